// RecipeUser: what a client asks of locks, elections and the rest, and what it remembers of them.
//
// One table of recipes with weights; each draws a step, a query or a renewal. What waits is polled
// or given up by whoever asked, as the edge does it for a request that stays open. It forgets and
// remembers wrongly on purpose: fences that are stale, leases that are over, tickets that are gone.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/core/request.hpp"
#include "tests/sim/recipes_judge.hpp"

namespace coord::sim {

class World;

class RecipeUser {
 public:
  RecipeUser(World& world, std::uint64_t number) : world_(world), number_(number) {}

  // With the client's session; what is drawn may leave it out or use another.
  [[nodiscard]] core::Request draw(const core::SessionCredential& session);
  void on_reply(const core::Request& request, const core::Reply& reply);

 private:
  struct Wait {
    recipes::Kind kind = recipes::Kind::lock;
    std::string poll;
    bool poll_is_step = false;
    std::string give_up;
    std::optional<core::SessionCredential> session;
  };
  struct Taken {
    std::string queue;
    std::uint64_t item = 0;
    std::uint64_t lease = 0;
  };
  using Draw = core::Operation (RecipeUser::*)(core::Request& request);
  struct Recipe {
    std::uint64_t weight = 0;
    Draw draw = nullptr;
  };
  static const std::vector<Recipe>& table();

  core::Operation draw_lock(core::Request& request);
  core::Operation draw_fenced(core::Request& request);
  core::Operation draw_wait(core::Request& request);
  core::Operation draw_election(core::Request& request);
  core::Operation draw_barrier(core::Request& request);
  core::Operation draw_counter(core::Request& request);
  core::Operation draw_queue(core::Request& request);
  core::Operation draw_lease(core::Request& request);
  core::Operation draw_decision(core::Request& request);
  core::Operation draw_transaction(core::Request& request);
  core::Operation draw_service(core::Request& request);
  core::Operation draw_config(core::Request& request);
  core::Operation draw_acquire(core::Request& request, const std::string& name);
  core::Operation draw_take(core::Request& request, const std::string& name);
  core::Operation draw_registration(core::Request& request);

  void learn_lock(const recipes::Answer& answer);
  void learn_election(const recipes::Answer& answer);
  void learn_item(std::string_view bytes, const recipes::Answer& answer);
  // What its recipe reads of itself alone: the judge is told what it is.
  template <class Op>
  std::string noted(recipes::Kind kind, const Op& op);
  // The step brings a session of its own, which nobody keeps alive.
  void bring_session(core::Request& request, core::RecipeStep& step, std::int64_t ttl_ms);
  std::string one_of(const std::vector<std::string>& names);
  std::string unique_value();

  World& world_;
  std::uint64_t number_;
  std::uint64_t last_value_ = 0;
  // Tokens and epochs that it was given, also lost ones.
  std::map<std::pair<core::Fence::Kind, std::string>, std::uint64_t> fences_;
  std::map<std::string, std::string> candidates_;  // Who stands last, by election.
  std::uint64_t release_ = 0;                      // Of the configuration, as it was told last.
  std::vector<Wait> waits_;
  std::vector<Taken> taken_;
};

}  // namespace coord::sim
