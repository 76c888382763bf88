#include "cli/bench.hpp"

#include <fmt/format.h>

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <memory>

#include "cli/interrupt.hpp"
#include "cli/text.hpp"
#include "coord/base/prng.hpp"

namespace coord::cli {
namespace {

namespace asio = boost::asio;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Failure = boost::system::error_code;

constexpr std::size_t kBufferBytes = 64 * 1024;
constexpr std::chrono::milliseconds kReconnectPause{50};
// Open loop: what was due before the end may still be sent so long after it.
constexpr std::chrono::milliseconds kGrace{100};

struct Connection {
  Connection(asio::io_context& context, std::size_t number)
      : endpoint(number), socket(context), timer(context), input(kBufferBytes, '\0') {}

  std::size_t endpoint;  // Which of the endpoints it goes to.
  tcp::socket socket;
  asio::steady_timer timer;
  std::string request;
  std::string input;
  std::size_t input_bytes = 0;  // Of the head, until it is whole.
  std::size_t body_left = 0;    // Of the body, which is thrown away.
  Head head;
  bool is_in_body = false;
  bool is_waiting = false;  // A request is out.
  bool is_read = false;
  Clock::time_point due;  // The latency counts from here.
};

// One phase of load: requests from `next_request` over all connections until they are used up or
// the time is over.
class Load {
 public:
  Load(const BenchOptions& options, BenchReport& report)
      : options_(options), report_(report), guard_(context_), pacer_(context_), poll_(context_) {
    for (std::size_t i = 0; i < options.connections; ++i) {
      connections_.push_back(std::make_unique<Connection>(context_, i % options.endpoints.size()));
    }
    const auto authorization = options.user.empty() ? std::string()
                                                    : fmt::format("Authorization: Basic {}\r\n",
                                                                  base64_encoded(options.user));
    for (const Endpoint& endpoint : options.endpoints) {
      headers_.push_back(
          fmt::format(" HTTP/1.1\r\nHost: {}\r\n{}", to_string(endpoint).substr(7), authorization));
    }
    route_ = "/v1/tree" + percent_encoded(options.prefix, true);
    if (!options.consistency.empty()) query_ = "?consistency=" + options.consistency;
    value_.resize(options.value_bytes);
    for (char& c : value_) c = static_cast<char>('a' + prng_.below(26));
  }

  // Every connection open, or Trouble.
  Outcome<void> connect();
  // Writes each key once.
  Outcome<void> fill();
  // The measurement.
  Outcome<void> measure();

 private:
  enum class Phase { connecting, filling, measuring };

  void open(Connection& c);
  void on_open(Connection& c, Failure failure);
  void next(Connection& c, Clock::time_point now);
  void pace();
  void prepare(Connection& c);
  void put(Connection& c, std::string_view name, std::uint64_t number, std::string_view header);
  void send(Connection& c);
  void receive(Connection& c);
  void on_bytes(Connection& c, std::size_t count);
  void on_answer(Connection& c, Clock::time_point now);
  void lose(Connection& c, const std::string& why);
  void count_error(const std::string& what);
  void maybe_end();
  Outcome<void> run(std::chrono::milliseconds limit);
  void poll_interrupt();

  [[nodiscard]] Clock::time_point due_at(std::uint64_t n) const {
    const auto after = static_cast<double>(n) * 1e9 / options_.rate;
    return start_ + std::chrono::nanoseconds(static_cast<std::int64_t>(after));
  }

  const BenchOptions& options_;
  BenchReport& report_;
  asio::io_context context_{1};
  asio::steady_timer guard_;
  asio::steady_timer pacer_;
  asio::steady_timer poll_;
  std::vector<std::unique_ptr<Connection>> connections_;
  std::vector<Connection*> idle_;     // Open loop: without a request that is due.
  std::vector<std::string> headers_;  // For each endpoint, from " HTTP/1.1" on.
  std::string route_;
  std::string query_;
  std::string value_;
  std::string run_ = random_key().substr(0, 8);  // Makes created names new in each run.
  Prng prng_{0x5eed};
  Phase phase_ = Phase::connecting;
  std::size_t open_count_ = 0;
  std::size_t waiting_ = 0;
  std::uint64_t sent_ = 0;
  Clock::time_point start_;
  Clock::time_point deadline_;   // The end of the duration.
  Clock::time_point last_send_;  // No request leaves from here on.
  bool is_over_ = false;
  bool is_interrupted_ = false;
};

void Load::count_error(const std::string& what) {
  if (report_.errors++ == 0) report_.first_error = what;
}

void Load::open(Connection& c) {
  Failure failure;
  const Endpoint& to = options_.endpoints[c.endpoint];
  tcp::resolver resolver(context_);
  const auto addresses = resolver.resolve(to.host, to.port, failure);
  if (failure) return on_open(c, failure);
  asio::async_connect(c.socket, addresses,
                      [this, &c](Failure why, const tcp::endpoint&) { on_open(c, why); });
}

void Load::on_open(Connection& c, Failure failure) {
  if (is_over_) return;
  if (failure) {
    return lose(c, fmt::format("cannot connect to {}: {}",
                               to_string(options_.endpoints[c.endpoint]), failure.message()));
  }
  Failure ignored;
  c.socket.set_option(tcp::no_delay(true), ignored);
  c.socket.non_blocking(true, ignored);
  if (phase_ != Phase::connecting) return next(c, Clock::now());
  if (++open_count_ == connections_.size()) context_.stop();
}

// Gives `c` something to do, or lets it rest.
void Load::next(Connection& c, Clock::time_point now) {
  if (phase_ == Phase::filling ? sent_ >= options_.keys : now >= last_send_) return maybe_end();
  c.due = now;
  if (phase_ == Phase::measuring && options_.rate > 0) {
    const auto due = due_at(sent_);
    if (due > now || due >= deadline_) {
      idle_.push_back(&c);
      if (idle_.size() == 1) pace();
      return;
    }
    c.due = due;
  }
  send(c);
}

// Open loop: wakes when the next request is due, and hands out all that are.
void Load::pace() {
  const auto due = due_at(sent_);
  if (due >= deadline_) return;
  pacer_.expires_at(due);
  pacer_.async_wait([this](Failure failure) {
    if (failure || is_over_) return;
    const auto now = Clock::now();
    while (!idle_.empty() && due_at(sent_) <= std::min(now, deadline_) && now < last_send_) {
      Connection* c = idle_.back();
      idle_.pop_back();
      c->due = due_at(sent_);
      send(*c);
    }
    if (!idle_.empty()) pace();
  });
}

void Load::put(Connection& c, std::string_view name, std::uint64_t number,
               std::string_view header) {
  fmt::format_to(std::back_inserter(c.request), "PUT {}/{}{:08}{}{}Content-Length: {}\r\n\r\n{}",
                 route_, name, number, headers_[c.endpoint], header, value_.size(), value_);
}

void Load::prepare(Connection& c) {
  c.request.clear();
  c.is_read = false;
  if (phase_ == Phase::filling) return put(c, "k", sent_, "");
  switch (options_.op) {
    case BenchOp::create:
      return put(c, run_ + "-", sent_, "If-None-Match: *\r\n");
    case BenchOp::write:
      return put(c, "k", prng_.below(options_.keys), "");
    case BenchOp::read:
      c.is_read = true;
      break;
    case BenchOp::mixed:
      c.is_read = static_cast<double>(prng_.below(1U << 24U)) <
                  options_.reads * static_cast<double>(1U << 24U);
      break;
  }
  const std::uint64_t key = prng_.below(options_.keys);
  if (!c.is_read) return put(c, "k", key, "");
  fmt::format_to(std::back_inserter(c.request), "GET {}/k{:08}{}{}\r\n", route_, key, query_,
                 headers_[c.endpoint]);
}

void Load::send(Connection& c) {
  prepare(c);
  ++sent_;
  ++waiting_;
  c.is_waiting = true;
  c.input_bytes = 0;
  Failure failure;
  const std::size_t written = c.socket.write_some(asio::buffer(c.request), failure);
  if (failure && failure != asio::error::would_block) return lose(c, failure.message());
  if (!failure && written == c.request.size()) return receive(c);
  // The socket's buffer is full: the rest goes when there is room.
  asio::async_write(c.socket, asio::buffer(c.request) + (failure ? 0 : written),
                    [this, &c](Failure why, std::size_t) {
                      if (is_over_) return;
                      if (why) return lose(c, why.message());
                      receive(c);
                    });
}

void Load::receive(Connection& c) {
  c.socket.async_read_some(
      asio::buffer(c.input.data() + c.input_bytes, c.input.size() - c.input_bytes),
      [this, &c](Failure failure, std::size_t count) {
        if (is_over_) return;
        if (failure) return lose(c, failure.message());
        on_bytes(c, count);
      });
}

void Load::on_bytes(Connection& c, std::size_t count) {
  if (c.is_in_body) {
    c.body_left -= std::min(c.body_left, count);
  } else {
    c.input_bytes += count;
    const HeadState state = parse_head({c.input.data(), c.input_bytes}, c.head);
    const bool is_too_large = state == HeadState::incomplete && c.input_bytes == c.input.size();
    if (state == HeadState::malformed || is_too_large) {
      return lose(c, "an answer that the bench does not understand");
    }
    if (state == HeadState::incomplete) return receive(c);
    c.body_left =
        c.head.body_bytes - std::min(c.head.body_bytes, c.input_bytes - c.head.head_bytes);
    c.is_in_body = true;
    if (c.head.status >= 400) {
      const std::string_view body =
          std::string_view(c.input.data(), c.input_bytes).substr(c.head.head_bytes);
      count_error(trouble_of(c.head.status, body).message);
    }
    c.input_bytes = 0;
  }
  if (c.body_left > 0) return receive(c);
  on_answer(c, Clock::now());
}

void Load::on_answer(Connection& c, Clock::time_point now) {
  c.is_in_body = false;
  c.is_waiting = false;
  --waiting_;
  if (phase_ == Phase::measuring && c.head.status < 400) {
    const auto took = std::chrono::duration_cast<std::chrono::nanoseconds>(now - c.due).count();
    (c.is_read ? report_.reads : report_.writes)
        .add(static_cast<std::uint64_t>(std::max<std::int64_t>(took, 0)));
    if (now <= deadline_) ++report_.in_time;
  }
  if (!c.head.is_closing) return next(c, now);
  Failure ignored;
  c.socket.close(ignored);
  open(c);
}

void Load::lose(Connection& c, const std::string& why) {
  Failure ignored;
  c.socket.close(ignored);
  if (c.is_waiting) --waiting_;
  c.is_waiting = false;
  c.is_in_body = false;
  count_error(why);
  if (phase_ == Phase::connecting) return context_.stop();
  if (phase_ == Phase::measuring && Clock::now() >= last_send_) return maybe_end();
  c.timer.expires_after(kReconnectPause);
  c.timer.async_wait([this, &c](Failure failure) {
    if (!failure && !is_over_) open(c);
  });
}

void Load::maybe_end() {
  if (waiting_ == 0) context_.stop();
}

void Load::poll_interrupt() {
  poll_.expires_after(std::chrono::milliseconds(100));
  poll_.async_wait([this](Failure failure) {
    if (failure) return;
    if (!Interrupt::is_raised()) return poll_interrupt();
    is_interrupted_ = true;
    context_.stop();
  });
}

// Runs the phase; what is out after `limit` is missing.
Outcome<void> Load::run(std::chrono::milliseconds limit) {
  guard_.expires_after(limit);
  guard_.async_wait([this](Failure failure) {
    if (!failure) context_.stop();
  });
  poll_interrupt();
  context_.restart();
  context_.run();
  guard_.cancel();
  poll_.cancel();
  pacer_.cancel();
  if (is_interrupted_) return Trouble{Exit::interrupted, {}, {}};
  return success();
}

Outcome<void> Load::connect() {
  for (auto& c : connections_) open(*c);
  // A refusal that came at once has been counted already; then there is nothing to run for.
  if (report_.errors == 0) {
    COORD_TRY(run(options_.timeout));
  }
  if (open_count_ == connections_.size()) return success();
  const std::string why = report_.errors > 0 ? report_.first_error : "connecting took too long";
  return Trouble{Exit::unavailable, why, {}};
}

Outcome<void> Load::fill() {
  phase_ = Phase::filling;
  sent_ = 0;
  start_ = Clock::now();
  deadline_ = Clock::time_point::max();
  last_send_ = deadline_;
  for (auto& c : connections_) next(*c, start_);
  // A million keys take a while: what matters is that it goes on, and Ctrl-C ends it.
  COORD_TRY(run(std::chrono::hours(1)));
  if (report_.errors == 0) return success();
  return Trouble{Exit::other, "cannot create the keys: " + report_.first_error, {}};
}

Outcome<void> Load::measure() {
  phase_ = Phase::measuring;
  sent_ = 0;
  start_ = Clock::now();
  deadline_ = start_ + options_.duration;
  last_send_ = options_.rate > 0 ? deadline_ + kGrace : deadline_;
  report_.seconds = static_cast<double>(options_.duration.count()) / 1000.0;
  for (auto& c : connections_) next(*c, start_);
  // An open loop may have no connection busy at the end: then only the time ends it.
  asio::steady_timer end(context_);
  end.expires_at(last_send_);
  end.async_wait([this](Failure failure) {
    if (!failure) maybe_end();
  });
  COORD_TRY(run(options_.duration + options_.timeout));
  is_over_ = true;
  for (std::size_t i = 0; i < waiting_; ++i) count_error("no answer in time");
  if (options_.rate > 0) {
    const auto due = static_cast<std::uint64_t>(report_.seconds * options_.rate);
    report_.unsent = due > sent_ ? due - sent_ : 0;
  }
  return success();
}

}  // namespace

Outcome<BenchReport> run_bench(const BenchOptions& options) {
  // On the heap: two histograms are 60 KiB, and the connections refer to it.
  auto report = std::make_unique<BenchReport>();
  Load load(options, *report);
  COORD_TRY(load.connect());
  if (options.op != BenchOp::create) {
    COORD_TRY(load.fill());
  }
  COORD_TRY(load.measure());
  return std::move(*report);
}

}  // namespace coord::cli
