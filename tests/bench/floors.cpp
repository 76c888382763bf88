#include "tests/bench/floors.hpp"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <cstring>
#include <thread>

#include "tests/bench/connection.hpp"

namespace coord::bench {
namespace {

using Clock = std::chrono::steady_clock;

template <class Action>
std::vector<double> timed(int count, Action action) {
  std::vector<double> latencies;
  for (int i = 0; i < count; ++i) {
    const auto start = Clock::now();
    action(i);
    latencies.push_back(std::chrono::duration<double, std::micro>(Clock::now() - start).count());
  }
  return latencies;
}

void transfer(int descriptor, bool is_send, char* bytes, std::size_t size) {
  for (std::size_t done = 0; done < size;) {
    const ssize_t part = is_send ? ::send(descriptor, bytes + done, size - done, 0)
                                 : ::recv(descriptor, bytes + done, size - done, 0);
    if (part <= 0) fail("the loopback connection broke");
    done += static_cast<std::size_t>(part);
  }
}

}  // namespace

std::vector<double> sync_floor(const std::string& folder, int count) {
  constexpr std::size_t kBlock = 4096;
  const std::string path = folder + "/floor";
  const int file = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
  if (file < 0) fail("cannot make " + path);
  const std::string block(kBlock, 'f');
  const auto write_block = [&](int i) {
    const auto offset = static_cast<off_t>(i) * static_cast<off_t>(kBlock);
    if (::pwrite(file, block.data(), kBlock, offset) != static_cast<ssize_t>(kBlock)) {
      fail("cannot write " + path);
    }
  };
  for (int i = 0; i < count; ++i) write_block(i);
  ::fsync(file);
  auto latencies = timed(count, [&](int i) {
    write_block(i);
    if (::fdatasync(file) != 0) fail("fdatasync failed");
  });
  ::close(file);
  ::unlink(path.c_str());
  return latencies;
}

std::vector<double> loopback_floor(int count) {
  constexpr std::size_t kMessage = 100;
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  sockaddr generic{};
  std::memcpy(&generic, &address, sizeof address);
  socklen_t size = sizeof generic;
  if (::bind(listener, &generic, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, &generic, &size) != 0) {
    fail("cannot listen on the loopback");
  }
  std::thread echo([&] {
    const int peer = ::accept(listener, nullptr, nullptr);
    const int on = 1;
    ::setsockopt(peer, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    char bytes[kMessage];
    for (int i = 0; i < count; ++i) {
      transfer(peer, false, bytes, kMessage);
      transfer(peer, true, bytes, kMessage);
    }
    ::close(peer);
  });
  const int client = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(client, &generic, size) != 0) fail("cannot connect to the loopback");
  const int on = 1;
  ::setsockopt(client, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  char bytes[kMessage] = {};
  auto latencies = timed(count, [&](int) {
    transfer(client, true, bytes, kMessage);
    transfer(client, false, bytes, kMessage);
  });
  echo.join();
  ::close(client);
  ::close(listener);
  return latencies;
}

}  // namespace coord::bench
