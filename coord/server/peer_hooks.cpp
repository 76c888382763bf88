#include "coord/server/peer_hooks.hpp"

#include <algorithm>
#include <utility>

#include "coord/server/log.hpp"

namespace coord::server {
namespace {

// A template, so that it follows what the state records of its members.
template <class State>
std::vector<core::KnownMember> known_members(const State& state) {
  std::vector<core::KnownMember> known;
  if constexpr (requires { state.members(); }) {
    for (const auto& one : state.members()) {
      known.push_back({one.id, one.peer, one.disk_id, one.is_removed});
    }
  }
  // Members of --members are in the ensemble before anything is recorded of them.
  for (const auto id : state.membership().everybody()) {
    const auto has_id = [id](const core::KnownMember& one) { return one.id == id; };
    if (std::none_of(known.begin(), known.end(), has_id)) known.push_back({id, {}, 0, false});
  }
  return known;
}

// Another member says that this one may not be who it claims to be.
bool is_final(core::Refusal refusal) {
  return refusal == core::Refusal::wiped_member || refusal == core::Refusal::removed_member ||
         refusal == core::Refusal::unknown_member || refusal == core::Refusal::members_differ;
}

}  // namespace

bool is_empty(const core::Node& node) { return !node.raft().term() && !node.raft().last_index(); }

core::VoteGate vote_gate(const Config& config, const core::Node& node) {
  std::vector<MemberId> voters;
  for (const auto& member : config.members) {
    if (member.role == "voter") voters.push_back(member.id);
  }
  return core::VoteGate(config.id, is_empty(node), std::move(voters));
}

PeerLinks::Hooks peer_hooks(const Config& config, const Endpoint& http, std::uint64_t disk_id,
                            Runner& runner, std::function<void()> leave) {
  core::Hello hello;
  hello.id = config.id;
  hello.disk_id = disk_id;
  hello.members_hash = config.members.empty() ? 0 : core::hash_of(config.members);
  hello.peer = config.peer_address;
  hello.http = config.advertise_http.empty() ? fmt::format("{}:{}", http.host, http.port)
                                             : config.advertise_http;
  hello.zookeeper = config.advertise_zookeeper;
  hello.version = COORD_VERSION;
  PeerLinks::Hooks hooks;
  hooks.hello = [hello, &runner]() {
    auto now = hello;
    now.cluster = runner.node().state().cluster();
    now.is_empty = is_empty(runner.node());
    return now;
  };
  hooks.known = [&runner] { return known_members(runner.node().state()); };
  hooks.deliver = [&runner](core::Event event) { runner.enqueue(std::move(event)); };
  hooks.refused = [&runner, has_list = !config.members.empty(), leave = std::move(leave)](
                      MemberId by, const core::Greeting& greeting) {
    const auto refusal = greeting.verdict.refusal;
    spdlog::error("event=refused by={} code={} why=\"{}\"", by, core::word_of(refusal),
                  greeting.verdict.text);
    const bool has_cluster = !greeting.hello.cluster.empty();
    if (has_list && has_cluster && is_final(refusal) && is_empty(runner.node())) {
      spdlog::error(
          "--members forms a cluster on empty data only while none of the listed members has one; "
          "cluster {} exists already",
          greeting.hello.cluster);
      leave();
    }
  };
  return hooks;
}

}  // namespace coord::server
