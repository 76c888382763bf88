// Recipes: what must hold of queues, barriers, decisions, transactions and counters in a run.
//
// Fed with every entry in its order, with the state after it and what it did (Locks follows the
// entries), and with every answer that a client got. It keeps its own small account of each recipe
// and compares.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>

#include "coord/core/state_machine.hpp"
#include "coord/recipes/queue.hpp"
#include "coord/recipes/transaction.hpp"

namespace coord::sim {

class World;

class Recipes {
 public:
  explicit Recipes(World& world) : world_(world) {}

  // `state` has just applied `command`.
  void check(const core::StateMachine& state, const core::Command& command,
             const core::Applied& applied);
  // What a client was told.
  void check_reply(const core::Request& request, const core::Reply& reply);

 private:
  struct Lease {
    std::uint64_t token = 0;
    std::int64_t until = 0;  // In service time.
  };
  struct Queue {
    std::set<std::uint64_t> alive;            // Put, not acknowledged.
    std::map<std::uint64_t, Lease> promised;  // To takers, and not over as far as they know.
  };
  struct Transaction {
    recipes::transaction::State told = recipes::transaction::State::preparing;
  };

  void check_step(const core::StateMachine& state, const core::RecipeStep& step,
                  const recipes::Answer& answer);
  void check_queue(const core::StateMachine& state, const core::RecipeStep& step,
                   const recipes::Answer& answer);
  void on_taken(const core::StateMachine& state, const std::string& name,
                const recipes::queue::Taken& taken);
  void check_places(const core::StateMachine& state, const std::string& name, const Queue& one);
  void check_barriers(const core::StateMachine& state);
  void check_counter(const recipes::Answer& answer);
  void check_decision(const std::string& bytes, bool is_write);
  void check_transaction(const std::string& bytes);
  void fail(const std::string& what);

  World& world_;
  std::map<std::string, Queue> queues_;
  std::map<std::uint64_t, Transaction> transactions_;
  std::map<std::uint64_t, std::set<std::uint64_t>> rounds_;  // Tickets, by the round's zxid.
  std::string decided_;
  bool is_decided_ = false;
  std::int64_t counted_ = 0;
};

}  // namespace coord::sim
