// Network: what carries messages between members.
//
// Two kinds. As the shell's links do it: between two members that reach each other stands a link,
// which delivers in order or breaks; both ends are told when it stands and, sooner or later, when
// it is gone, and what was on its way is lost with it. Or hostile: each message goes its own way,
// may be lost, doubled, come late, or come again much later. The Node must be right over both.
#pragma once

#include <cstdint>
#include <deque>
#include <map>
#include <utility>
#include <vector>

#include "coord/core/peer_message.hpp"

namespace coord::sim {

class Member;
class World;

class Network {
 public:
  explicit Network(World& world) : world_(world) {}

  void send(std::vector<core::Message> messages);
  void on_start(MemberId id);
  void on_leader(MemberId id);
  void on_end(MemberId id, bool is_power);
  // Nothing goes from one to the other until it is healed as often as it was cut; the way back is a
  // way of its own.
  void cut(MemberId from, MemberId to);
  void heal(MemberId from, MemberId to);
  void clog(MemberId from, MemberId to, std::int64_t for_us);
  void break_link(MemberId a, MemberId b);
  // A member is told that a link broke, which stands.
  void false_hint(MemberId at, MemberId peer);

 private:
  struct Way {
    std::uint64_t cuts = 0;
    std::uint64_t cut_number = 0;  // Which cut this is.
    std::int64_t clogged_until_us = 0;
    std::int64_t last_arrival_us = 0;
    std::deque<core::Message> held;  // By a cut; a link keeps its order.
  };
  struct Link {
    bool is_up = false;
    std::uint64_t epoch = 0;
    bool is_trying = false;
  };
  using Pair = std::pair<MemberId, MemberId>;
  [[nodiscard]] static Pair pair_of(MemberId a, MemberId b) {
    return a < b ? Pair(a, b) : Pair(b, a);
  }
  [[nodiscard]] Member* find(MemberId id);
  void carry_loose(const core::Message& message);
  void carry_in_order(const core::Message& message);
  void arrive(const core::Message& message);
  void try_link(MemberId a, MemberId b, std::int64_t in_us);
  void tell_up(MemberId at, MemberId peer);
  void tell_down(MemberId at, MemberId peer, std::int64_t in_us);
  [[nodiscard]] std::int64_t delay();

  World& world_;
  std::map<Pair, Way> ways_;
  std::map<Pair, Link> links_;
  void keep(const core::Message& message);
  std::vector<core::Message> old_;  // To come again.
  // Of each way, what went furthest in each term.
  std::map<Pair, std::map<Term, core::Message>> acknowledgements_;
  std::uint64_t sent_ = 0;
};

}  // namespace coord::sim
