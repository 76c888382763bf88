#include "api/edge.hpp"

#include <sys/socket.h>

#include <ctime>

#include "api/connection.hpp"
#include "api/text.hpp"

namespace coord::api {
namespace {

constexpr std::size_t kSparesMax = 256;
constexpr std::string_view kFull =
    "HTTP/1.1 503 Service Unavailable\r\nConnection: close\r\nRetry-After: 1\r\n"
    "Content-Type: application/problem+json\r\nX-Content-Type-Options: nosniff\r\n"
    "Content-Length: 195\r\n\r\n"
    "{\"type\":\"urn:coord:problem:overloaded\",\"title\":\"The member is "
    "overloaded\",\"status\":503,"
    "\"detail\":\"too many connections\",\"code\":\"overloaded\",\"retryable\":true,"
    "\"outcome\":\"not-applied\",\"instance\":\"/\"}";

constexpr std::size_t body_size(std::string_view answer) {
  return answer.size() - answer.find("\r\n\r\n") - 4;
}
static_assert(body_size(kFull) == 195, "the Content-Length above is right");

HttpOptions with_version(HttpOptions options) {
  if (options.version.empty()) options.version = COORD_VERSION;
  return options;
}

}  // namespace

Edge::Edge(Gateway& gateway, HttpOptions options)
    : gateway_(gateway),
      options_(with_version(std::move(options))),
      sockets_({options_.connections_max, options_.scan_ms, options_.drain_ms},
               {[this](int fd, Caller caller) {
                  return std::make_unique<Connection>(*this, fd, std::move(caller));
                },
                [](int fd) {
                  (void)::send(fd, kFull.data(), kFull.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
                  ::shutdown(fd, SHUT_WR);
                },
                [this] {
                  renders_.clear();
                  if (scratch_.capacity() > kMiB) std::string().swap(scratch_);
                }}) {}

Edge::~Edge() { sockets_.close_all(); }

std::string_view Edge::date() {
  const auto second = static_cast<std::int64_t>(::time(nullptr));
  if (second != date_second_) {
    date_second_ = second;
    date_ = "Date: ";
    append_http_date(date_, second);
    date_ += "\r\n";
  }
  return date_;
}

std::unique_ptr<HttpParser> Edge::take_parser() {
  if (parsers_.empty()) return std::make_unique<HttpParser>(options_);
  auto parser = std::move(parsers_.back());
  parsers_.pop_back();
  return parser;
}

void Edge::give_back(std::unique_ptr<HttpParser> parser) {
  if (parsers_.size() >= kSparesMax) return;
  parser->reset();
  parsers_.push_back(std::move(parser));
}

Exchange* Edge::take_exchange() {
  if (exchanges_.empty()) return std::make_unique<Exchange>().release();
  auto exchange = std::move(exchanges_.back());
  exchanges_.pop_back();
  return exchange.release();
}

void Edge::give_back(Exchange* exchange) {
  std::unique_ptr<Exchange> owned(exchange);
  if (exchanges_.size() >= kSparesMax) return;
  owned->reset();
  if (owned->out.capacity() > 64 * kKiB) std::string().swap(owned->out);
  if (owned->plan.patch_body.capacity() > 64 * kKiB) std::string().swap(owned->plan.patch_body);
  exchanges_.push_back(std::move(owned));
}

}  // namespace coord::api
