// RaftStage: a few Rafts that a story moves by hand.
//
// Messages arrive at once and in order unless a partition is between; disks sync at once unless
// they are held; time stands still unless the story ticks. So a story says exactly what happens.
#pragma once

#include <deque>
#include <map>
#include <memory>
#include <set>
#include <sstream>
#include <string>
#include <vector>

#include "election/raft.hpp"

namespace coord::scenario {

class RaftStage : public TraceSink {
 public:
  // Carries out one line of a story and returns what happened, a line each.
  [[nodiscard]] std::string run(const std::string& line);

 private:
  struct Work {
    std::optional<election::Persist> persist;
    std::vector<election::Message> messages;
  };
  struct Actor {
    std::unique_ptr<election::Raft> raft;  // None while it is down.
    std::int64_t now = 1000;
    std::uint64_t starts = 0;
    bool is_disk_held = false;
    std::deque<Work> disk_queue;
    election::Restored disk;
    Index applied;
    Term applied_term;
    election::Membership membership;  // As applied.
  };

  void nodes(std::istringstream& in);
  void start(MemberId id);
  void crash(MemberId id);
  void tick(std::int64_t ms);
  void campaign(MemberId id);
  void propose(MemberId id, const std::string& payload);
  void change(MemberId id, std::istringstream& in);
  void transfer(MemberId id, MemberId to);
  void checkpoint(MemberId id);
  void partition(std::istringstream& in);
  void status();

  void settle();
  bool drain(MemberId id, Actor& actor);
  void carry_out(MemberId id, Actor& actor, election::Ready ready);
  bool sync_one(MemberId id, Actor& actor);
  void apply(MemberId id, Actor& actor, const election::LogEntry& entry);
  void install(MemberId id, Actor& actor, election::SnapshotMark mark);
  void send(const std::vector<election::Message>& messages);
  Actor& actor(MemberId id);
  void say(const std::string& line) { out_ += line + "\n"; }
  void trace(const TraceEvent& event) override;

  std::map<MemberId, Actor> actors_;
  std::deque<election::Message> wire_;
  std::set<std::pair<MemberId, MemberId>> cut_;
  std::string out_;
};

}  // namespace coord::scenario
