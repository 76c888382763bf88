// World: members, network, disks, clocks and faults of one run, in one thread, from one seed.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <vector>

#include "raft_sim/plan.hpp"
#include "raft_sim/witness.hpp"

namespace coord::raft_sim {

struct Summary {
  std::uint64_t steps = 0;
  std::uint64_t hash = 0;  // Of all that happened: two runs of a seed must be equal.
  std::uint64_t elections = 0;
  std::uint64_t committed = 0;
  std::uint64_t granted_reads = 0;
  std::uint64_t memberships = 0;
  std::uint64_t installs = 0;
  std::uint64_t transfers = 0;
  std::uint64_t crashes = 0;
  std::uint64_t leased_turns = 0;
};

class World : public TraceSink {
 public:
  World(const Plan& plan, bool is_traced);

  // The whole run: faults, then healing, then liveness. Throws a Violation.
  [[nodiscard]] Summary run();

 private:
  struct Event {
    std::int64_t at;
    std::uint64_t order;
    std::function<void()> action;
    bool operator>(const Event& other) const {
      return at != other.at ? at > other.at : order > other.order;
    }
  };

  // world.cpp: time, members, disks.
  void after(std::int64_t delay, std::function<void()> action);
  void after_for(Member& member, std::int64_t delay, std::function<void(Member&)> action);
  void run_until(std::int64_t end);
  void start(Member& member);
  void crash(Member& member);
  void turn(Member& member);
  void wake(Member& member);
  void keep_ticking(Member& member);
  void act(Member& member, const std::function<void(Raft&)>& input);
  void drain(Member& member);
  void carry_out(Member& member, Ready ready);
  void start_sync(Member& member);
  void synced(Member& member);
  void apply(Member& member, const SharedEntry& entry);
  void checkpoint(Member& member);
  void fetch_snapshot(Member& member, MemberId source, SnapshotMark wanted);
  void check_liveness();
  [[nodiscard]] Member* leader_of_all();
  [[nodiscard]] std::int64_t exponential(std::int64_t mean);
  void trace(const TraceEvent& event) override;
  template <class... Args>
  void say(const Args&... args);
  void mix(std::uint64_t value) { summary_.hash = (summary_.hash ^ value) * 0x9e3779b97f4a7c15U; }

  // faults.cpp: network, clients, operators, accidents.
  void send(Member& from, const Message& message);
  void deliver(const Message& message);
  void every(std::int64_t mean, void (World::*what)());
  void operation();
  void partition();
  void accident();
  void blackout();
  void pause();
  void change();
  void transfer();
  void false_hint();
  void heal();
  [[nodiscard]] Member& any_member();
  [[nodiscard]] Member& likely_leader();

  const Plan plan_;
  const bool is_traced_;
  Prng prng_;
  std::int64_t now_ = 0;
  std::uint64_t order_ = 0;
  bool has_faults_ = true;
  std::vector<Event> events_;  // A heap; the earliest is in front.
  std::map<MemberId, Member> members_;
  std::set<std::pair<MemberId, MemberId>> cut_;  // From, to.
  std::vector<Message> old_messages_;
  std::uint64_t next_read_ = 1;
  std::uint64_t next_value_ = 1;
  Witness witness_;
  Summary summary_;
};

}  // namespace coord::raft_sim
