#include "tests/sim/recipes_judge.hpp"

#include "coord/base/overloaded.hpp"

namespace coord::sim {

RecipeNodes read_recipe(const znode::Tree& tree, recipes::Kind kind, std::string_view name) {
  RecipeNodes nodes;
  const auto top = recipes::path_of(kind, name);
  tree.walk(top, SIZE_MAX, {}, true, [&](std::string_view path, const znode::View& node) {
    const auto rest = path.size() > top.size() ? path.substr(top.size() + 1) : std::string_view();
    nodes.emplace(rest, RecipeNode{std::string(node.value), node.stat.ephemeral_owner,
                                   node.stat.czxid, node.stat.mzxid});
    return true;
  });
  return nodes;
}

void RecipeJudge::note_asked(const RecipeOp& op) {
  asked_.emplace(std::visit([](const auto& one) { return encode(one); }, op), op);
}

std::string RecipeJudge::answered(const RecipeEntry& /*entry*/) { return {}; }
std::string RecipeJudge::told(const RecipeTold& /*told*/) { return {}; }
std::string RecipeJudge::overdue(std::int64_t /*service_ms*/) const { return {}; }
std::string RecipeJudge::at_end() const { return {}; }
bool RecipeJudge::holds(const std::string& /*name*/, std::uint64_t /*token*/) const {
  return false;
}
std::string RecipeJudge::fenced_write(const std::string& /*name*/, std::uint64_t /*token*/) {
  return {};
}

std::unique_ptr<RecipeJudge> make_judge(recipes::Kind kind) {
  using recipes::Kind;
  switch (kind) {
    case Kind::lock:
      return make_lock_judge();
    case Kind::election:
      return make_election_judge();
    case Kind::service:
      return make_service_judge();
    case Kind::barrier:
      return make_barrier_judge();
    case Kind::counter:
      return make_counter_judge();
    case Kind::queue:
      return make_queue_judge();
    case Kind::decision:
      return make_decision_judge();
    case Kind::transaction:
      return make_transaction_judge();
    case Kind::config:
      return make_config_judge();
  }
  return nullptr;
}

}  // namespace coord::sim
