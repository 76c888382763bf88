// bare_ensemble: the least that members of a cluster must do, for a load generator that speaks
// ZooKeeper's protocol. No log, tree, session or check; what it measures is the machine.
//
//   bare_ensemble MEMBERS PORT [FOLDER [thread]]
//
// Member i listens on 127.0.0.1:PORT+i, until SIGTERM. A setData goes to the first member and from
// it to all. With a FOLDER each writes 4 KiB over blocks that exist and syncs them, and a majority
// must have before the write is answered: the floor under one durable write. The sync stops the
// member meanwhile, unless `thread` gives it to a thread, as whoever must answer for himself while
// the disk is slow has to: the floor under such a write. Members talk over TCP. Each member then
// tells every connection that has read since: the floor under the notification of watchers. One
// write at a time; every getData leaves a watch.
#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/tcp.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <bit>
#include <csignal>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <semaphore>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

#include "tests/bench/connection.hpp"

namespace coord::bench {
namespace {

constexpr std::size_t kBlock = 4096;
constexpr std::size_t kBlocks = 256;
constexpr std::int32_t kCreate = 1;
constexpr std::int32_t kGetData = 4;
constexpr std::int32_t kSetData = 5;
constexpr std::size_t kStatBytes = 68;

// What members say to each other: one byte each.
enum Word : char { kAsk = 'a', kAppend = 'p', kSynced = 's', kCommit = 'c' };

void put32(std::string& out, std::int32_t value) {
  const auto big = htonl(static_cast<std::uint32_t>(value));
  out.append(std::bit_cast<std::array<char, 4>>(big).data(), sizeof big);
}

void put64(std::string& out, std::int64_t value) {
  put32(out, static_cast<std::int32_t>(value >> 32));
  put32(out, static_cast<std::int32_t>(value));
}

std::int32_t get32(std::string_view bytes) {
  std::uint32_t big = 0;
  std::memcpy(&big, bytes.data(), sizeof big);
  return static_cast<std::int32_t>(ntohl(big));
}

std::string framed(const std::string& body) {
  std::string frame;
  put32(frame, static_cast<std::int32_t>(body.size()));
  return frame + body;
}

std::string reply_to(std::int32_t xid, std::int64_t zxid, std::string_view body) {
  std::string reply;
  put32(reply, xid);
  put64(reply, zxid);
  put32(reply, 0);
  return framed(reply.append(body));
}

std::string changed_event(std::string_view path) {
  std::string event;
  put32(event, 3);  // NodeDataChanged
  put32(event, 3);  // SyncConnected
  put32(event, static_cast<std::int32_t>(path.size()));
  return reply_to(-1, -1, event.append(path));
}

void say(int descriptor, std::string_view bytes) {
  const auto sent = ::send(descriptor, bytes.data(), bytes.size(), MSG_NOSIGNAL);
  if (sent != static_cast<ssize_t>(bytes.size())) fail("a message was not sent whole");
}

struct Client {
  std::string received;
  bool has_session = false;
};

class Member {
 public:
  Member(std::size_t id, std::vector<int> peers, std::uint16_t port, const std::string& folder,
         bool has_thread)
      : id_(id), peers_(std::move(peers)), poll_(::epoll_create1(0)) {
    listen_on(port);
    for (const int peer : peers_) {
      if (peer >= 0) add(peer, EPOLLIN);
    }
    if (!folder.empty()) make_file(folder + "/member" + std::to_string(id));
    if (!has_thread) return;
    done_ = ::eventfd(0, EFD_NONBLOCK);
    add(done_, EPOLLIN);
    std::thread([this] { sync_for_ever(); }).detach();
  }

  [[noreturn]] void run() {
    std::array<epoll_event, 256> events{};
    for (;;) {
      const int count = ::epoll_wait(poll_, events.data(), static_cast<int>(events.size()), -1);
      for (int i = 0; i < count; ++i) on_ready(events[static_cast<std::size_t>(i)].data.fd);
    }
  }

 private:
  void listen_on(std::uint16_t port) {
    listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK, 0);
    const int on = 1;
    ::setsockopt(listener_, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto generic = std::bit_cast<sockaddr>(address);
    if (::bind(listener_, &generic, sizeof generic) != 0 || ::listen(listener_, SOMAXCONN) != 0) {
      fail("cannot listen on port " + std::to_string(port));
    }
    add(listener_, EPOLLIN);
  }

  void make_file(const std::string& path) {
    file_ = ::open(path.c_str(), O_RDWR | O_CREAT | O_TRUNC, 0600);
    if (file_ < 0) fail("cannot make " + path);
    for (std::size_t i = 0; i < kBlocks; ++i) write_block();
    if (::fsync(file_) != 0) fail("cannot sync " + path);
  }

  void write_block() {
    const auto offset = static_cast<off_t>(written_++ % kBlocks * kBlock);
    if (::pwrite(file_, block_.data(), kBlock, offset) != static_cast<ssize_t>(kBlock)) {
      fail("cannot write");
    }
  }

  void sync() {
    if (file_ < 0) return;
    write_block();
    if (::fdatasync(file_) != 0) fail("fdatasync failed");
  }

  // Of the thread.
  [[noreturn]] void sync_for_ever() {
    for (;;) {
      wanted_.acquire();
      sync();
      if (::eventfd_write(done_, 1) != 0) fail("eventfd_write failed");
    }
  }

  void begin_sync() {
    if (done_ >= 0) return wanted_.release();
    sync();
    end_sync();
  }

  void end_sync() {
    if (id_ == 0) {
      on_synced(-1);
    } else {
      say(peers_[0], std::string(1, kSynced));
    }
  }

  void add(int descriptor, std::uint32_t events) const {
    epoll_event event{};
    event.events = events;
    event.data.fd = descriptor;
    if (::epoll_ctl(poll_, EPOLL_CTL_ADD, descriptor, &event) != 0) fail("epoll_ctl failed");
  }

  void on_ready(int descriptor) {
    if (descriptor == listener_) return accept_all();
    if (descriptor == done_) {
      eventfd_t count = 0;
      if (::eventfd_read(done_, &count) == 0) end_sync();
      return;
    }
    const auto found = clients_.find(descriptor);
    if (found == clients_.end()) return on_peer(descriptor);
    std::array<char, 16384> bytes{};
    const auto size = ::recv(descriptor, bytes.data(), bytes.size(), 0);
    if (size <= 0) return forget(descriptor);
    auto& client = found->second;
    client.received.append(bytes.data(), static_cast<std::size_t>(size));
    while (client.received.size() >= 4) {
      const auto whole = 4 + static_cast<std::size_t>(get32(client.received));
      if (client.received.size() < whole) return;
      on_frame(descriptor, client, std::string_view(client.received).substr(4, whole - 4));
      client.received.erase(0, whole);
    }
  }

  void accept_all() {
    for (int descriptor = 0; (descriptor = ::accept(listener_, nullptr, nullptr)) >= 0;) {
      const int on = 1;
      ::setsockopt(descriptor, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
      clients_[descriptor];
      add(descriptor, EPOLLIN | EPOLLET);
    }
  }

  void forget(int descriptor) {
    std::erase(watchers_, descriptor);
    clients_.erase(descriptor);
    ::close(descriptor);
  }

  void on_frame(int descriptor, Client& client, std::string_view frame) {
    if (!client.has_session) {
      client.has_session = true;
      std::string opened;
      put32(opened, 0);
      put32(opened, 10'000);
      put64(opened, static_cast<std::int64_t>(id_ * 100'000) + descriptor + 1);
      put32(opened, 16);
      return say(descriptor, framed(opened.append(16, 'p')));
    }
    const auto xid = get32(frame);
    const auto op = get32(frame.substr(4));
    std::string body;
    if (op == kSetData) {
      writer_ = descriptor;
      writer_xid_ = xid;
      return id_ == 0 ? append() : say(peers_[0], std::string(1, kAsk));
    }
    if (op == kGetData) {
      watchers_.push_back(descriptor);
      put32(body, 100);
      body.append(100, 'v').append(kStatBytes, '\0');
    } else if (op == kCreate) {
      put32(body, 1);
      body += '/';
    }
    say(descriptor, reply_to(xid, static_cast<std::int64_t>(written_.load()), body));
  }

  void on_peer(int descriptor) {
    std::array<char, 64> words{};
    const auto size = ::recv(descriptor, words.data(), words.size(), 0);
    if (size <= 0) std::exit(0);  // The ensemble ends together.
    for (const char word : std::string_view(words.data(), static_cast<std::size_t>(size))) {
      if (word == kAsk) append();
      if (word == kSynced) on_synced(descriptor);
      if (word == kCommit) commit();
      if (word == kAppend) begin_sync();
    }
  }

  void append() {
    ++appended_;
    tell_all(kAppend);
    begin_sync();
  }

  // A word of a member counts its writes, so that one that is late does not count for the next.
  void on_synced(int peer) {
    ++synced_[peer];
    const auto has_all = [this](const auto& member) { return member.second >= appended_; };
    if (std::ranges::count_if(synced_, has_all) <= std::ssize(peers_) / 2) return;
    if (std::exchange(committed_, appended_) == appended_) return;
    tell_all(kCommit);
    commit();
  }

  void tell_all(Word word) const {
    for (const int peer : peers_) {
      if (peer >= 0) say(peer, std::string(1, word));
    }
  }

  void commit() {
    static const auto kEvent = changed_event("/bench/0/k0000000");
    for (const int watcher : watchers_) say(watcher, kEvent);
    watchers_.clear();
    if (writer_ >= 0) {
      say(writer_, reply_to(writer_xid_, static_cast<std::int64_t>(written_.load()),
                            std::string(kStatBytes, '\0')));
    }
    writer_ = -1;
  }

  std::size_t id_;
  std::vector<int> peers_;  // By id; -1 for this member itself.
  int poll_;
  int listener_ = -1;
  int file_ = -1;
  std::atomic<std::size_t> written_ = 0;
  std::counting_semaphore<> wanted_{0};
  int done_ = -1;  // Without a thread -1.
  // Of writes, at the first member.
  std::size_t appended_ = 0;
  std::size_t committed_ = 0;
  std::map<int, std::size_t> synced_;  // By descriptor; -1 is this member.
  std::string block_ = std::string(kBlock, 'b');
  std::map<int, Client> clients_;
  std::vector<int> watchers_;
  int writer_ = -1;
  std::int32_t writer_xid_ = 0;
};

// The two ends of a connection over the loopback.
std::array<int, 2> connected_pair() {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  auto generic = std::bit_cast<sockaddr>(address);
  socklen_t size = sizeof generic;
  const int listener = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::bind(listener, &generic, size) != 0 || ::listen(listener, 1) != 0 ||
      ::getsockname(listener, &generic, &size) != 0) {
    fail("cannot listen for a peer");
  }
  const int near = ::socket(AF_INET, SOCK_STREAM, 0);
  if (::connect(near, &generic, size) != 0) fail("cannot connect a peer");
  const int far = ::accept(listener, nullptr, nullptr);
  ::close(listener);
  const int on = 1;
  for (const int end : {near, far}) {
    if (::setsockopt(end, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on) != 0) fail("no such peer");
  }
  return {near, far};
}

[[noreturn]] void run_all(std::size_t count, std::uint16_t port, const std::string& folder,
                          bool has_thread) {
  std::vector<std::vector<int>> peers(count, std::vector<int>(count, -1));
  for (std::size_t a = 0; a < count; ++a) {
    for (std::size_t b = a + 1; b < count; ++b) {
      const auto pair = connected_pair();
      peers[a][b] = pair[0];
      peers[b][a] = pair[1];
    }
  }
  std::size_t id = 0;
  for (std::size_t other = 1; other < count; ++other) {
    if (::fork() != 0) continue;
    ::prctl(PR_SET_PDEATHSIG, SIGTERM);
    ::setsid();  // A member of its own to the scheduler, as each coordd is.
    id = other;
    break;
  }
  Member(id, peers[id], static_cast<std::uint16_t>(port + id), folder, has_thread).run();
}

}  // namespace
}  // namespace coord::bench

int main(int argc, char** argv) {
  if (argc < 3) coord::bench::fail("usage: bare_ensemble MEMBERS PORT [FOLDER [thread]]");
  const std::vector<std::string> given(argv + 1, argv + argc);
  coord::bench::run_all(std::stoul(given[0]), static_cast<std::uint16_t>(std::stoul(given[1])),
                        given.size() > 2 ? given[2] : "", given.size() > 3 && given[3] == "thread");
}
