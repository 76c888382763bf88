#include "tests/bench/locks.hpp"

#include <fmt/format.h>
#include <sys/epoll.h>
#include <unistd.h>

#include <chrono>
#include <deque>
#include <string>
#include <string_view>
#include <thread>

#include "tests/bench/connection.hpp"

namespace coord::bench {
namespace {

constexpr auto kLookAgain = std::chrono::milliseconds(20);

using Clock = std::chrono::steady_clock;

double micros(Clock::duration duration) {
  return std::chrono::duration<double, std::micro>(duration).count();
}

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

std::string field_of(const std::string& body, std::string_view name) {
  const auto key = fmt::format("\"{}\":\"", name);
  // The top-level session stands last: those of holders are bare ids.
  const auto at = body.rfind(key);
  if (at == std::string::npos) return {};
  const auto begin = at + key.size();
  return body.substr(begin, body.find('"', begin) - begin);
}

std::string request(std::string_view method, std::string_view target, std::string_view session) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: bench\r\n{}{}Content-Length: 0\r\n\r\n", method,
                     target, session.empty() ? "" : "Coord-Session: ",
                     session.empty() ? std::string() : fmt::format("{}\r\n", session));
}

std::string open_session(Connection& connection) {
  const auto answer = connection.call(request("POST", "/v1/sessions", {}));
  if (answer.status != 201) fail(answer.body);
  return field_of(answer.body, "session");
}

// One connection, and what it holds.
struct Party {
  explicit Party(std::uint16_t port) : connection(port) {}
  Connection connection;
  std::string lock;
  std::string session;
  bool is_held = false;
  Clock::time_point asked;
};

class Poll {
 public:
  Poll() : descriptor_(::epoll_create1(0)) {}
  void add(const Connection& connection, std::size_t i) const {
    epoll_event event{};
    event.events = EPOLLIN;
    event.data.u64 = i;
    ::epoll_ctl(descriptor_, EPOLL_CTL_ADD, connection.descriptor(), &event);
  }
  // Those that can be read.
  std::vector<std::size_t> wait(int ms) const {
    epoll_event events[256];
    std::vector<std::size_t> ready;
    const int count = ::epoll_wait(descriptor_, events, 256, ms);
    for (int e = 0; e < count; ++e) ready.push_back(events[e].data.u64);
    return ready;
  }

 private:
  int descriptor_;
};

}  // namespace

LockResult lock_pairs(const LockOptions& options) {
  std::deque<Party> parties;
  Poll poll;
  for (std::size_t i = 0; i < options.connections; ++i) {
    auto& party = parties.emplace_back(options.port);
    party.lock = fmt::format("/v1/locks/bench-{}", i);
    if (!options.brings_session) party.session = open_session(party.connection);
    poll.add(party.connection, i);
  }
  LockResult result;
  const auto start = Clock::now();
  const auto take = [&](Party& party) {
    party.asked = Clock::now();
    party.connection.send(
        request("POST", party.lock, options.brings_session ? std::string() : party.session));
  };
  std::size_t running = parties.size();
  for (auto& party : parties) take(party);
  while (running > 0) {
    for (const auto i : poll.wait(10'000)) {
      auto& party = parties[i];
      Answer answer;
      if (!party.connection.receive()) fail("the server closed a connection");
      if (!party.connection.take(answer)) continue;
      if (answer.status != (party.is_held ? 204 : 201) && ++result.errors == 1) {
        fmt::print(stderr, "{} {}\n", answer.status, answer.body);
      }
      if (!party.is_held) {
        party.is_held = answer.status == 201;
        if (options.brings_session) party.session = field_of(answer.body, "session");
        party.connection.send(request("DELETE", party.lock + "/mine", party.session));
        continue;
      }
      party.is_held = false;
      result.latencies_us.push_back(micros(Clock::now() - party.asked));
      if (seconds_since(start) < options.seconds) {
        take(party);
      } else {
        --running;
      }
    }
  }
  result.seconds = seconds_since(start);
  return result;
}

LockResult hand_overs(const LockOptions& options) {
  std::deque<Party> parties;
  Poll poll;
  Connection looker(options.port);
  // Its own: whoever had the lock when an earlier run ended has it until its session ends.
  const auto name = fmt::format("/v1/locks/bench-queue-{}", ::getpid());
  const auto queue_up = [&](Party& party) {
    party.connection.send(request("POST", name + "?wait=600s&ttl=60s", {}));
  };
  for (std::size_t i = 0; i <= options.connections; ++i) {
    poll.add(parties.emplace_back(options.port).connection, i);
    queue_up(parties.back());
  }
  // Until all but one wait.
  const auto length = fmt::format("\"queue_length\":{},", options.connections);
  while (looker.call(request("GET", name, {})).body.find(length) == std::string::npos) {
    std::this_thread::sleep_for(kLookAgain);  // Looking costs messages between the members.
  }
  LockResult result;
  const auto start = Clock::now();
  Clock::time_point released;
  Party* holder = nullptr;
  bool is_releasing = false;  // The answer to the last release has not come yet.
  bool is_first = true;
  while (result.latencies_us.size() < options.count) {
    const auto ready = poll.wait(30'000);
    if (ready.empty()) fail("nobody got the lock");
    for (const auto i : ready) {
      auto& party = parties[i];
      Answer answer;
      if (!party.connection.receive()) fail("the server closed a connection");
      if (!party.connection.take(answer)) continue;
      if (answer.status == 204) {
        is_releasing = false;
        queue_up(party);
        continue;
      }
      if (answer.status != 201) fail(answer.body);
      if (!is_first) result.latencies_us.push_back(micros(Clock::now() - released));
      is_first = false;
      party.session = field_of(answer.body, "session");
      holder = &party;
    }
    if (holder == nullptr || is_releasing) continue;
    released = Clock::now();
    holder->connection.send(request("DELETE", name + "/mine", holder->session));
    holder = nullptr;
    is_releasing = true;
  }
  result.seconds = seconds_since(start);
  return result;
}

}  // namespace coord::bench
