// HealthChecks: runs the active checks of the instances that the replicated state gives to this
// member, and reports when their health changes.
//
// While any instance has checks, this member volunteers: a session of its own keeps its name under
// /.coord/checkers. All members look at the same names, so that each instance is checked by one of
// them, and when one is lost its session ends and its share is another's. A result that says what
// the state says already is not written. It decides nothing else: what a report does is the
// service recipe's part.
//
// Thread rule: the loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "api/gateway.hpp"
#include "coord/base/prng.hpp"
#include "coord/recipes/service.hpp"
#include "coord/server/probe.hpp"

namespace coord::server {

struct HealthOptions {
  ProbePolicy policy = ProbePolicy::any;
  std::size_t running_max = 128;        // Probes at one time; more are late.
  std::int64_t session_ttl_ms = 4'000;  // So long after its loss a member's checks move.
  std::int64_t beat_ms = 1'000;
  int failures_to_fail = 2;        // In a row. The first of a new instance counts at once.
  std::int64_t spread_ms = 1'000;  // The first probes of many instances are spread over this.
};

class HealthChecks final : public api::Sink {
 public:
  // `gateway` outlives it.
  HealthChecks(boost::asio::io_context& loop, api::Gateway& gateway, MemberId member,
               std::uint64_t seed, HealthOptions options);
  ~HealthChecks() override;
  void start();
  // No more probes; gives its share to the others at once.
  void stop();

  // api::Sink
  void deliver(core::Delivery delivery) override;
  void deliver_backup(api::BackupPiece) override {}
  void flush() override {}
  [[nodiscard]] bool is_client() const override { return false; }

 private:
  // One check that this member runs.
  struct Task {
    std::string service;
    std::string instance;
    recipes::service::Check check;
    bool is_failing = false;  // As the state says.
    bool is_first = false;    // No result yet of an instance that is new.
    bool is_reporting = false;
    int failures = 0;  // In a row.
    std::int64_t due_ms = 0;
    std::shared_ptr<Probe> probe;  // While it runs.
  };
  struct Watched {
    std::string service;
    std::string id;
    recipes::service::Instance record;
    bool is_new = false;
    std::vector<std::uint64_t> tasks;
  };
  enum class Asked : std::uint8_t { volunteer, keepalive, report };
  struct Pending {
    Asked what = Asked::keepalive;
    std::uint64_t task = 0;
  };

  void subscribe();
  void on_event(const core::WatchEvent& event);
  void on_change(const znode::Change& change, bool is_initial);
  void on_reply(const core::Reply& reply);
  void refresh(Watched& watched);
  void refresh_all();
  void drop_tasks(Watched& watched);
  void drop_task(std::uint64_t number);
  void beat();
  void arm_beat(std::int64_t in_ms);
  void volunteer();
  void pump();
  void run(std::uint64_t number);
  void on_result(std::uint64_t number, std::optional<std::string> why);
  void report(std::uint64_t number, Task& task, std::optional<std::string> why);
  void submit(core::Operation op, bool with_session, Pending pending);

  boost::asio::io_context& loop_;
  api::Gateway& gateway_;
  MemberId member_;
  HealthOptions options_;
  Prng prng_;
  boost::asio::steady_timer beat_timer_;
  boost::asio::steady_timer probe_timer_;
  ConnectionId connection_;
  WatchId watch_;
  std::uint64_t last_request_ = 0;
  std::map<RequestId, Pending> pending_;
  std::map<std::string, Watched, std::less<>> instances_;  // By path; those with checks.
  std::set<MemberId> checkers_;
  std::map<std::uint64_t, Task> tasks_;
  std::set<std::pair<std::int64_t, std::uint64_t>> queue_;  // When, and which task.
  std::uint64_t last_task_ = 0;
  std::size_t running_ = 0;
  std::optional<core::SessionCredential> session_;
  bool is_volunteering_ = false;  // Asked for, not answered.
  bool is_subscribed_ = false;
  bool is_stopped_ = false;
};

}  // namespace coord::server
