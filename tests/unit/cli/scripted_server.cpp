#include "tests/unit/cli/scripted_server.hpp"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

int bound_socket(unsigned short& port) {
  const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
  COORD_CHECK(::bind(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0, "a port");
  socklen_t size = sizeof address;
  ::getsockname(fd, reinterpret_cast<sockaddr*>(&address), &size);
  port = ntohs(address.sin_port);
  return fd;
}

// Is the request whole: its head, and as much body as the head says?
bool is_whole(const std::string& request) {
  const std::size_t end = request.find("\r\n\r\n");
  if (end == std::string::npos) return false;
  const std::string length = header_of(request, "Content-Length");
  return request.size() >= end + 4 + (length.empty() ? 0 : std::stoul(length));
}

}  // namespace

std::string header_of(const std::string& request, const std::string& name) {
  const std::size_t at = request.find("\r\n" + name + ": ");
  if (at == std::string::npos) return {};
  const std::size_t start = at + name.size() + 4;
  return request.substr(start, request.find("\r\n", start) - start);
}

std::string refusing_port() {
  unsigned short port = 0;
  ::close(bound_socket(port));
  return std::to_string(port);
}

ScriptedServer::Step ScriptedServer::Step::ok(const std::string& body) {
  return {"HTTP/1.1 200 OK\r\nContent-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body};
}

ScriptedServer::Step ScriptedServer::Step::problem(int status, const std::string& code) {
  Step step = ok("{\"status\":" + std::to_string(status) + ",\"code\":\"" + code + "\"}");
  step.answer.replace(9, 3, std::to_string(status));
  return step;
}

ScriptedServer::Step ScriptedServer::Step::cut_stream(const std::string& body) {
  return {"HTTP/1.1 200 OK\r\nContent-Type: text/event-stream\r\n\r\n" + body, true};
}

ScriptedServer::ScriptedServer(std::vector<Step> steps) : steps_(std::move(steps)) {
  listener_ = bound_socket(port_);
  COORD_CHECK(::listen(listener_, 16) == 0, "listening");
  COORD_CHECK(::pipe(wake_) == 0, "a pipe");
  thread_ = std::thread([this] { serve(); });
}

ScriptedServer::~ScriptedServer() {
  ::close(wake_[1]);
  thread_.join();
  ::close(wake_[0]);
  ::close(listener_);
}

std::vector<std::string> ScriptedServer::requests() const {
  const std::scoped_lock lock(mutex_);
  return requests_;
}

int ScriptedServer::connections() const {
  const std::scoped_lock lock(mutex_);
  return connections_;
}

void ScriptedServer::serve() {
  while (true) {
    pollfd waits[] = {{listener_, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0 || waits[1].revents != 0) return;
    const int fd = ::accept(listener_, nullptr, nullptr);
    if (fd < 0) continue;
    {
      const std::scoped_lock lock(mutex_);
      ++connections_;
    }
    serve_connection(fd);
    ::close(fd);
  }
}

void ScriptedServer::serve_connection(int fd) {
  std::string request;
  char piece[4096];
  while (true) {
    pollfd waits[] = {{fd, POLLIN, 0}, {wake_[0], POLLIN, 0}};
    if (::poll(waits, 2, -1) < 0 || waits[1].revents != 0) return;
    const auto got = ::recv(fd, piece, sizeof piece, 0);
    if (got <= 0) return;
    request.append(piece, static_cast<std::size_t>(got));
    if (!is_whole(request)) continue;
    Step step{"HTTP/1.1 500 Not In The Script\r\nContent-Length: 0\r\n\r\n"};
    {
      const std::scoped_lock lock(mutex_);
      if (requests_.size() < steps_.size()) step = steps_[requests_.size()];
      requests_.push_back(std::move(request));
    }
    request.clear();
    ::send(fd, step.answer.data(), step.answer.size(), MSG_NOSIGNAL);
    if (step.closes) return;
  }
}

}  // namespace coord::cli
