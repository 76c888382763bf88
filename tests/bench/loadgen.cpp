// loadgen: drives a coordd, or etcd's JSON gateway, over HTTP/1.1 with one thread and epoll, and
// prints one JSON object: throughput and the percentiles of all latencies (kept one by one).
//
// Closed loop (--rate 0): each connection sends its next request when it has its answer. Open loop:
// requests fall due at fixed instants whatever the server does, and a latency counts from that
// instant, so that a stall is charged to every request that it held up.
#include <fmt/format.h>
#include <sys/epoll.h>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <deque>
#include <map>
#include <string>
#include <vector>

#include "coord/base/prng.hpp"
#include "tests/bench/connection.hpp"
#include "tests/bench/floors.hpp"
#include "tests/bench/locks.hpp"
#include "tests/bench/requests.hpp"

namespace coord::bench {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
  std::uint16_t port = 7070;
  std::string op = "put";    // put get mix fill list watch lock lock-own hand-over floor-*
  std::string folder = ".";  // Of floor-sync.
  std::size_t connections = 1;
  double seconds = 5;
  double rate = 0;
  std::uint64_t reads_percent = 90;  // Of mix.
  std::uint64_t count = 20;          // Writes of watch.
  std::uint64_t batch = 1000;        // Creations in one transaction of fill; page of list.
  Shape shape;
};

struct Result {
  std::vector<double> latencies_us;
  std::uint64_t errors = 0;
  double seconds = 0;
};

double micros(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

double percentile(const std::vector<double>& sorted, double part) {
  if (sorted.empty()) return 0;
  const auto rank = static_cast<std::size_t>(part * static_cast<double>(sorted.size()));
  return sorted[std::min(rank, sorted.size() - 1)];
}

void print(const Options& options, Result result) {
  std::sort(result.latencies_us.begin(), result.latencies_us.end());
  const auto& all = result.latencies_us;
  fmt::print(
      R"({{"op":"{}","ops":{},"errors":{},"seconds":{:.3f},"per_second":{:.1f},"p50_us":{:.1f},)"
      R"("p90_us":{:.1f},"p99_us":{:.1f},"p999_us":{:.1f},"max_us":{:.1f}}})"
      "\n",
      options.op, all.size(), result.errors, result.seconds,
      static_cast<double>(all.size()) / std::max(result.seconds, 1e-9), percentile(all, 0.5),
      percentile(all, 0.9), percentile(all, 0.99), percentile(all, 0.999),
      all.empty() ? 0 : all.back());
}

// Runs requests for the options' time over all connections.
class Load {
 public:
  explicit Load(const Options& options) : options_(options), poll_(::epoll_create1(0)) {
    for (std::size_t i = 0; i < options.connections; ++i) connections_.emplace_back(options.port);
    due_.resize(connections_.size());
    is_waiting_for_room_.resize(connections_.size());
    for (std::size_t i = 0; i < connections_.size(); ++i) {
      epoll_event event{};
      event.events = EPOLLIN;
      event.data.u64 = i;
      ::epoll_ctl(poll_, EPOLL_CTL_ADD, connections_[i].descriptor(), &event);
      idle_.push_back(i);
    }
  }

  Result run() {
    const auto start = Clock::now();
    end_ = start + std::chrono::duration_cast<Clock::duration>(
                       std::chrono::duration<double>(options_.seconds));
    next_due_ = start;
    while (true) {
      dispatch();
      if (Clock::now() >= end_ && idle_.size() == connections_.size()) break;
      wait();
    }
    result_.seconds = std::chrono::duration<double>(Clock::now() - start).count();
    return std::move(result_);
  }

 private:
  // Gives what is due to the connections that are idle.
  void dispatch() {
    const auto now = Clock::now();
    if (options_.rate > 0) {
      const auto gap = std::chrono::duration_cast<Clock::duration>(
          std::chrono::duration<double>(1 / options_.rate));
      for (; next_due_ <= now && next_due_ < end_; next_due_ += gap) queue_.push_back(next_due_);
      while (!queue_.empty() && !idle_.empty()) {
        start_one(queue_.front());
        queue_.pop_front();
      }
      return;
    }
    while (now < end_ && !idle_.empty()) start_one(Clock::now());
  }

  void start_one(Clock::time_point due) {
    const std::size_t i = idle_.front();
    idle_.pop_front();
    due_[i] = due;
    connections_[i].send(next_request());
    watch_for_room(i);
  }

  std::string next_request() {
    const std::uint64_t key = random_.below(options_.shape.keys);
    const bool is_read = options_.op == "get" ||
                         (options_.op == "mix" && random_.below(100) < options_.reads_percent);
    return is_read ? get_request(options_.shape, key)
                   : put_request(options_.shape, key, ++sequence_);
  }

  void watch_for_room(std::size_t i) {
    const bool is_needed = !connections_[i].flush();
    if (is_needed == is_waiting_for_room_[i]) return;
    is_waiting_for_room_[i] = is_needed;
    epoll_event event{};
    event.events = is_needed ? EPOLLIN | EPOLLOUT : EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(poll_, EPOLL_CTL_MOD, connections_[i].descriptor(), &event);
  }

  void wait() {
    timespec timeout{0, 50'000'000};
    if (options_.rate > 0 && !idle_.empty() && next_due_ < end_) {
      const auto left =
          std::chrono::duration_cast<std::chrono::nanoseconds>(next_due_ - Clock::now());
      timeout.tv_nsec = std::clamp<long>(left.count(), 0, 50'000'000);
    }
    epoll_event events[256];
    const int count = ::epoll_pwait2(poll_, events, 256, &timeout, nullptr);
    for (int e = 0; e < count; ++e) {
      const std::size_t i = events[e].data.u64;
      if ((events[e].events & EPOLLOUT) != 0) watch_for_room(i);
      if ((events[e].events & ~EPOLLOUT) == 0) continue;
      if (!connections_[i].receive()) fail("the server closed a connection");
      if (!connections_[i].take(answer_)) continue;
      result_.latencies_us.push_back(micros(Clock::now() - due_[i]));
      if (answer_.status < 200 || answer_.status > 299) ++result_.errors;
      idle_.push_back(i);
    }
  }

  const Options& options_;
  int poll_;
  std::vector<Connection> connections_;
  std::vector<Clock::time_point> due_;
  std::vector<bool> is_waiting_for_room_;
  std::deque<std::size_t> idle_;
  std::deque<Clock::time_point> queue_;
  Clock::time_point next_due_;
  Clock::time_point end_;
  Prng random_{42};
  std::uint64_t sequence_ = 0;
  Answer answer_;
  Result result_;
};

// Calls one request after another on one connection and keeps the latencies.
class Caller {
 public:
  explicit Caller(const Options& options) : connection_(options.port), start_(Clock::now()) {}

  const Answer& call(std::string request) {
    const auto sent = Clock::now();
    answer_ = connection_.call(std::move(request));
    result.latencies_us.push_back(micros(Clock::now() - sent));
    if (answer_.status < 200 || answer_.status > 299) {
      if (++result.errors == 1) fmt::print(stderr, "{} {}\n", answer_.status, answer_.body);
    }
    result.seconds = std::chrono::duration<double>(Clock::now() - start_).count();
    return answer_;
  }

  Result result;

 private:
  Connection connection_;
  Clock::time_point start_;
  Answer answer_;
};

Result fill(const Options& options) {
  Caller caller(options);
  const std::uint64_t parents = options.shape.is_etcd ? 0 : options.shape.parents;
  for (std::uint64_t first = 0; first < parents; first += 900) {
    caller.call(
        parents_request(options.shape, first, std::min<std::uint64_t>(900, parents - first)));
  }
  for (std::uint64_t first = 0; first < options.shape.keys; first += options.batch) {
    caller.call(
        fill_request(options.shape, first, std::min(options.batch, options.shape.keys - first)));
  }
  return std::move(caller.result);
}

// Lists the children of /bench/p0 by pages, again and again until the time is over.
Result list(const Options& options) {
  static constexpr std::string_view kCursor = "\"cursor\":\"";
  Caller caller(options);
  std::string cursor;
  do {
    const std::string& body = caller.call(list_request(cursor, options.batch)).body;
    const std::size_t at = body.rfind(kCursor);
    cursor = at == std::string::npos
                 ? std::string()
                 : body.substr(at + kCursor.size(),
                               body.find('"', at + kCursor.size()) - at - kCursor.size());
  } while (caller.result.seconds < options.seconds);
  return std::move(caller.result);
}

// Many streams of one key: from a write's answer until the last stream has the event.
Result watch(const Options& options) {
  const std::string_view opened = options.shape.is_etcd ? "\"created\":true" : "event: bookmark";
  const std::string_view changed = options.shape.is_etcd ? "\"kv\":{" : "event: changed";
  const int poll = ::epoll_create1(0);
  std::vector<Connection> streams;
  for (std::size_t i = 0; i < options.connections; ++i) {
    streams.emplace_back(options.port);
    streams.back().send(watch_request(options.shape, 0));
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(poll, EPOLL_CTL_ADD, streams.back().descriptor(), &event);
  }
  // Until each stream has received `text` once more.
  const auto wait_for_all = [&](std::string_view text) {
    std::size_t left = streams.size();
    epoll_event events[256];
    while (left > 0) {
      const int count = ::epoll_wait(poll, events, 256, 10'000);
      if (count <= 0) fail(fmt::format("{} streams did not receive {}", left, text));
      for (int e = 0; e < count; ++e) {
        Connection& stream = streams[events[e].data.u64];
        if (!stream.receive()) fail("the server closed a stream");
        const std::size_t at = stream.received().find(text);
        if (at == std::string::npos) continue;
        stream.received().clear();
        --left;
      }
    }
  };
  wait_for_all(opened);
  Connection writer(options.port);
  Result result;
  const auto start = Clock::now();
  for (std::uint64_t i = 0; i < options.count; ++i) {
    if (writer.call(put_request(options.shape, 0, i)).status > 299) ++result.errors;
    const auto answered = Clock::now();
    wait_for_all(changed);
    result.latencies_us.push_back(micros(Clock::now() - answered));
  }
  result.seconds = std::chrono::duration<double>(Clock::now() - start).count();
  return result;
}

Options parse(int count, char** arguments) {
  std::map<std::string, std::string> given;
  for (int i = 1; i + 1 < count; i += 2) given[arguments[i]] = arguments[i + 1];
  if (count % 2 == 0) fail("flags come in pairs: --flag value");
  Options options;
  const auto integer = [&](const char* name, std::uint64_t fallback) -> std::uint64_t {
    const auto found = given.extract(name);
    return found.empty() ? fallback : std::strtoull(found.mapped().c_str(), nullptr, 10);
  };
  const auto text = [&](const char* name, std::string fallback) {
    const auto found = given.extract(name);
    return found.empty() ? std::move(fallback) : found.mapped();
  };
  options.port = static_cast<std::uint16_t>(integer("--port", options.port));
  options.op = text("--op", options.op);
  options.folder = text("--folder", options.folder);
  options.connections = integer("--connections", options.connections);
  options.seconds = std::stod(text("--seconds", "5"));
  options.rate = std::stod(text("--rate", "0"));
  options.reads_percent = integer("--reads-percent", options.reads_percent);
  options.count = integer("--count", options.count);
  options.batch = integer("--batch", options.batch);
  options.shape.is_etcd = text("--server", "coord") == "etcd";
  options.shape.keys = integer("--keys", options.shape.keys);
  options.shape.parents = integer("--parents", options.shape.parents);
  options.shape.value_bytes = integer("--value-bytes", options.shape.value_bytes);
  if (!given.empty()) fail("unknown flag " + given.begin()->first);
  return options;
}

}  // namespace
}  // namespace coord::bench

int main(int count, char** arguments) {
  namespace bench = coord::bench;
  const bench::Options options = bench::parse(count, arguments);
  if (options.op == "fill") {
    bench::print(options, bench::fill(options));
  } else if (options.op == "list") {
    bench::print(options, bench::list(options));
  } else if (options.op == "watch") {
    bench::print(options, bench::watch(options));
  } else if (options.op.starts_with("lock") || options.op == "hand-over") {
    const bench::LockOptions locks{options.port, options.connections, options.seconds,
                                   options.count, options.op == "lock-own"};
    auto done = options.op == "hand-over" ? bench::hand_overs(locks) : bench::lock_pairs(locks);
    bench::print(options, {std::move(done.latencies_us), done.errors, done.seconds});
  } else if (options.op == "floor-sync") {
    bench::print(options, {bench::sync_floor(options.folder, 2000), 0, 1});
  } else if (options.op == "floor-loopback") {
    bench::print(options, {bench::loopback_floor(10'000), 0, 1});
  } else {
    bench::print(options, bench::Load(options).run());
  }
}
