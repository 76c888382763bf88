// Model: a plain second implementation of what committed entries mean.
//
// std::map, whole copies, no cleverness. It decodes the entries by itself, applies them with its
// own rules, and remembers every revision: what each entry answered, what it changed, and every
// node as it was. The simulator holds all that the service says against it.
#pragma once

#include <algorithm>
#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "coord/core/command.hpp"
#include "coord/core/outcome.hpp"
#include "coord/core/state_machine.hpp"
#include "election/entry.hpp"
#include "tests/sim/recipes.hpp"
#include "watch/filter.hpp"
#include "znode/change.hpp"

namespace coord::sim {

struct ModelNode {
  std::string value;
  bool is_null = false;
  std::string content_type;
  znode::Stat stat;
  std::uint64_t created = 0;    // Children ever created.
  std::int64_t touched_ms = 0;  // Service time: for the deadlines of containers and ttl nodes.
};

// Every request of a client carries one identity of this scheme, whose id is a number of its own:
// so its entry is known in the log.
inline constexpr auto kTokenScheme = "sim";

struct ModelEntry {
  core::Command command;
  bool is_command = false;
  std::uint64_t token = 0;  // Zero: of no client.
  core::Outcome outcome;
  std::vector<znode::Change> changes;
  std::vector<SessionId> expired;  // Ended by this entry because they ran out.
};

class Model {
 public:
  using Node = std::optional<ModelNode>;  // None: there is no such node.

  explicit Model(const core::StateLimits& limits);
  // With recipes: what they do is taken from there, and left out of nodes().
  void follow(Recipes& recipes) noexcept { recipes_ = &recipes; }

  // Requires: entry.index is applied + 1, and the entry decodes.
  const ModelEntry& apply(const election::LogEntry& entry);
  [[nodiscard]] Zxid applied() const noexcept { return Zxid(entries_.size()); }
  // Requires: 0 < zxid <= applied().
  [[nodiscard]] const ModelEntry& at(Zxid zxid) const { return entries_[zxid.value() - 1]; }
  [[nodiscard]] Node node_at(const std::string& path, Zxid zxid) const;
  [[nodiscard]] std::vector<std::string> children_at(const std::string& path, Zxid zxid) const;
  [[nodiscard]] const std::map<std::string, ModelNode>& nodes() const noexcept { return nodes_; }
  struct Session {
    std::int64_t ttl_ms = 0;
  };
  [[nodiscard]] const std::map<SessionId, Session>& sessions() const noexcept { return sessions_; }
  [[nodiscard]] bool was_live_at(SessionId id, Zxid zxid) const;
  // The window still holds the answer to the request with this hash.
  [[nodiscard]] bool remembers(std::uint64_t hash) const {
    return std::any_of(window_.begin(), window_.end(),
                       [hash](const auto& one) { return one.hash == hash; });
  }
  // The changes that a watch wants of one revision; empty if none.
  [[nodiscard]] std::vector<znode::Change> wanted(const watch::Filter& filter, Zxid zxid) const;

 private:
  using Outcome = core::Outcome;
  void run(const core::Command& command, ModelEntry& entry);
  Outcome perform(const core::Put& op);
  Outcome perform(const core::Create& op);
  Outcome perform(const core::Set& op);
  Outcome perform(const core::Add& op);
  Outcome perform(const core::Delete& op);
  Outcome perform(const core::SetAcl& op);
  Outcome perform(const core::Txn& op);
  Outcome perform_txn_op(const core::TxnOp& op, core::TxnOpResult& result);
  [[nodiscard]] bool holds(const core::Compare& compare) const;
  bool end_session(SessionId id);
  bool is_admitted(const core::Command& command, Outcome& outcome) const;
  void note_fenced(const core::Command& command, const Outcome& outcome);
  void take_step(const core::Command& command, Outcome& outcome);
  [[nodiscard]] Outcome refused(Code code) const;
  [[nodiscard]] std::optional<Code> guard_code(const std::string& path,
                                               const core::WriteGuard& guard) const;
  Outcome set(const std::string& path, const Blob& value, const std::string& type,
              const core::WriteGuard& guard);
  void add(const std::string& path, ModelNode node);
  void erase(const std::string& path);
  void remember(const std::string& path);
  void roll_back();
  void close_revision();
  [[nodiscard]] bool has_children(const std::string& path) const;
  [[nodiscard]] std::vector<std::string> below(const std::string& path) const;

  core::StateLimits limits_;
  Recipes* recipes_ = nullptr;
  const core::Applied* followed_ = nullptr;  // Of the entry that is being applied.
  std::map<std::string, ModelNode> nodes_;
  std::map<SessionId, Session> sessions_;
  std::map<SessionId, std::pair<Zxid, Zxid>> lives_;  // Opened at, ended at (none: live).
  std::vector<ModelEntry> entries_;
  struct Version {
    Zxid zxid;
    Node node;
  };
  std::map<std::string, std::vector<Version>> versions_;

  struct Remembered {
    std::pair<std::string, std::string> key;
    std::int64_t service_ms = 0;
    std::uint64_t hash = 0;
    Outcome outcome;
  };
  std::deque<Remembered> window_;

  // Of the entry that is being applied.
  const core::Command* command_ = nullptr;
  Zxid zxid_;
  std::int64_t service_ms_ = 0;
  std::map<std::string, Node> before_;
  std::vector<znode::Change> changes_;
};

}  // namespace coord::sim
