#include "coord/recipes/election.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <functional>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/recipes/election_codec.hpp"
#include "coord/recipes/record.hpp"

namespace coord::recipes::election {
namespace {

// The value of the election's own node.
struct ElectionNode {
  std::uint64_t epoch = 0;  // The highest ever given.
  std::string leader;       // Who has it; it may have gone.
};

std::string election_path(std::string_view name) { return path_of(Kind::election, name); }
std::string candidate_path(std::string_view path, std::string_view id) {
  return fmt::format("{}/{}", path, id);
}

std::string text_of(const ElectionNode& node) {
  RecordWriter out;
  return out.number("epoch", node.epoch).text("leader", node.leader).finish();
}

ElectionNode election_of(const znode::View& node) {
  const RecordReader in(node.value);
  return {in.number("epoch"), in.text("leader")};
}

std::string text_of(const Candidate& candidate, bool is_own_session) {
  RecordWriter out;
  out.text("value", candidate.value).number_if("priority", candidate.priority);
  out.number_if("epoch", candidate.epoch);
  out.number("since_ms", static_cast<std::uint64_t>(candidate.since_ms));
  out.number_if("led_ms", static_cast<std::uint64_t>(candidate.led_ms));
  out.number_if("own_session", is_own_session ? 1 : 0);
  return out.finish();
}

bool is_own_session(const znode::View& node) {
  return RecordReader(node.value).number("own_session") != 0;
}

Candidate candidate_of(std::string_view id, const znode::View& node) {
  const RecordReader in(node.value);
  Candidate candidate;
  candidate.id = id;
  candidate.session = node.stat.ephemeral_owner;
  candidate.value = in.text("value");
  candidate.priority = static_cast<std::uint32_t>(in.number("priority"));
  candidate.epoch = in.number("epoch");
  candidate.is_leader = candidate.epoch != 0;
  candidate.since_ms = static_cast<std::int64_t>(in.number("since_ms"));
  candidate.led_ms = static_cast<std::int64_t>(in.number("led_ms"));
  return candidate;
}

void write(Step& step, const std::string& path, const std::string& text) {
  const auto done = step.tree.set(path, Blob(text), "application/json", {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service sets its own nodes", path, done.detail);
}

void each_candidate(const znode::Tree& tree, std::string_view path,
                    const std::function<bool(std::string_view id, const znode::View& node)>& each) {
  tree.children(path, {}, {}, [&](std::string_view id, const znode::View& node) {
    return !is_candidate(id) || each(id, node);
  });
}

// Who leads before whom: the leader, then by priority, then by time.
bool comes_before(const Candidate& a, const Candidate& b) {
  if (a.is_leader != b.is_leader) return a.is_leader;
  if (a.priority != b.priority) return a.priority > b.priority;
  return a.id < b.id;
}

Candidate leader_of(const znode::Tree& tree, const std::string& path) {
  const auto node = tree.get(path);
  if (!node) return {};
  const auto id = election_of(*node).leader;
  const auto leader = id.empty() ? std::nullopt : tree.get(candidate_path(path, id));
  return leader ? candidate_of(id, *leader) : Candidate();
}

// The candidate of a session, or none. A session stands once.
std::optional<std::string> find_candidate(const znode::Tree& tree, const std::string& path,
                                          SessionId session) {
  const auto node = tree.get(path);
  const auto owned = tree.ephemeral_count_of(session);
  if (!node || owned == 0) return std::nullopt;
  std::optional<std::string> found;
  if (node->stat.num_children <= owned) {
    each_candidate(tree, path, [&](std::string_view id, const znode::View& candidate) {
      if (candidate.stat.ephemeral_owner == session) found = id;
      return !found;
    });
    return found;
  }
  for (const auto& owned_path : tree.ephemerals_of(session)) {
    if (!owned_path.starts_with(path) || owned_path.size() <= path.size() + 1) continue;
    if (owned_path[path.size()] == '/') return owned_path.substr(path.size() + 1);
  }
  return std::nullopt;
}

// ---- settling

void elect(Step& step, const std::string& path, ElectionNode election, Candidate candidate) {
  election.epoch = std::max(step.zxid.value(), election.epoch + 1);
  election.leader = candidate.id;
  candidate.epoch = election.epoch;
  candidate.led_ms = step.wall_ms;
  const auto node = step.tree.get(candidate_path(path, candidate.id));
  const bool is_own = is_own_session(*node);
  write(step, candidate_path(path, candidate.id), text_of(candidate, is_own));
  write(step, path, text_of(election));
}

void settle_path(Step& step, const std::string& path) {
  const auto node = step.tree.get(path);
  if (!node || node->stat.num_children == 0) return;
  const auto election = election_of(*node);
  if (!election.leader.empty() && step.tree.get(candidate_path(path, election.leader))) return;
  std::optional<Candidate> best;
  each_candidate(step.tree, path, [&](std::string_view id, const znode::View& view) {
    auto candidate = candidate_of(id, view);
    if (!best || comes_before(candidate, *best)) best = std::move(candidate);
    return true;
  });
  if (best) elect(step, path, election, std::move(*best));
}

// ---- answers

std::uint64_t position_of(const znode::Tree& tree, const std::string& path,
                          const Candidate& candidate) {
  std::uint64_t before = 0;
  if (candidate.is_leader) return before;
  each_candidate(tree, path, [&](std::string_view id, const znode::View& node) {
    if (comes_before(candidate_of(id, node), candidate)) ++before;
    return true;
  });
  return before;
}

Answer candidate_answer(const znode::Tree& tree, std::string_view name, const std::string& id,
                        bool has_joined) {
  const auto path = election_path(name);
  CandidateAnswer shown;
  shown.name = name;
  shown.has_joined = has_joined;
  const auto node = tree.get(candidate_path(path, id));
  shown.candidate = candidate_of(id, *node);
  shown.candidate.position = position_of(tree, path, shown.candidate);
  shown.leader = leader_of(tree, path);
  Answer answer;
  answer.bytes = encode(shown);
  return answer;
}

void set_waiting(Answer& answer, const ShowCandidate& query) {
  answer.is_waiting = true;
  answer.watch = candidate_path(election_path(query.name), query.candidate);
  answer.poll = encode(query);
}

// It never comes back: a long poll does not wait for it.
Answer no_candidate(std::string_view name, std::string_view id) {
  auto answer = refusal(Code::not_found,
                        id.empty() ? fmt::format("this session does not stand in election {}", name)
                                   : fmt::format("nobody stands as {} in election {}", id, name));
  answer.is_final = true;
  return answer;
}

Answer mine_takes_session() {
  return refusal(Code::session_required,
                 "\"mine\" is the candidate of the session in Coord-Session");
}

// ---- steps

Answer join(const Join& op, Step& step) {
  if (!step.session) return refusal(Code::session_required, "a candidate stands with a session");
  const auto path = election_path(op.name);
  std::optional<std::string> id;
  if (!step.brings_session) id = find_candidate(step.tree, path, step.session);
  const bool has_joined = !id;
  if (!id) {
    const auto node = step.tree.get(path);
    if (!node) {
      znode::CreateOptions options;
      options.mode = znode::Mode::container;
      options.with_parents = true;
      options.content_type = "application/json";
      const auto made =
          step.tree.create(path, Blob(text_of(ElectionNode())), options, service_identities());
      if (made.code != Code::ok) return refusal(made);
    } else if (step.tree.check_access(path, znode::Permission::create, step.identities) !=
               Code::ok) {
      return refusal(Code::forbidden, fmt::format("the ACL of {} does not grant CREATE", path));
    } else if (node->stat.num_children >= kCandidatesMax) {
      return refusal(Code::overloaded,
                     fmt::format("{} stand in election {} already", kCandidatesMax, op.name));
    }
    Candidate candidate;
    candidate.value = op.value;
    candidate.priority = op.priority;
    candidate.since_ms = step.wall_ms;
    znode::CreateOptions options;
    options.mode = znode::Mode::ephemeral;
    options.is_sequential = true;
    options.content_type = "application/json";
    const auto stem = fmt::format("{:016x}{}", step.zxid.value(), kLatch);
    const auto made =
        step.tree.create(candidate_path(path, stem), Blob(text_of(candidate, step.brings_session)),
                         options, service_identities());
    if (made.code != Code::ok) return refusal(made);
    id = made.path.substr(path.size() + 1);
    settle_path(step, path);
  }
  auto answer = candidate_answer(step.tree, op.name, *id, has_joined);
  const bool leads = election_of(*step.tree.get(path)).leader == *id;
  if (op.waits && !leads) set_waiting(answer, {op.name, *id, step.session, true, has_joined});
  return answer;
}

// The candidate that a step names, or the session's own; or what is against it.
Answer find_for_change(const Step& step, std::string_view name, bool is_operators,
                       std::string& id) {
  const auto path = election_path(name);
  const auto wanted = id;
  if (id.empty()) {
    if (!step.session) return mine_takes_session();
    id = find_candidate(step.tree, path, step.session).value_or("");
  }
  const auto node = id.empty() ? std::nullopt : step.tree.get(candidate_path(path, id));
  if (!node) return no_candidate(name, wanted);
  const bool is_mine = step.session && node->stat.ephemeral_owner == step.session;
  if (is_mine || is_operators) return {};
  return refusal(Code::not_owner,
                 fmt::format("candidate {} is session {}'s", id, node->stat.ephemeral_owner));
}

Answer post(Post op, Step& step) {
  if (auto no = find_for_change(step, op.name, false, op.candidate); no.code != Code::ok) return no;
  const auto path = candidate_path(election_path(op.name), op.candidate);
  const auto node = step.tree.get(path);
  auto candidate = candidate_of(op.candidate, *node);
  candidate.value = op.value;
  write(step, path, text_of(candidate, is_own_session(*node)));
  return candidate_answer(step.tree, op.name, op.candidate, false);
}

Answer resign(Resign op, Step& step) {
  if (op.is_break && !is_operator(step.identities)) {
    return refusal(Code::forbidden, "to put a candidate down takes an operator's right");
  }
  auto answer = find_for_change(step, op.name, op.is_break, op.candidate);
  if (answer.code != Code::ok) return answer;
  const auto path = candidate_path(election_path(op.name), op.candidate);
  const auto node = step.tree.get(path);
  const bool is_own = is_own_session(*node) && node->stat.ephemeral_owner == step.session;
  const auto done = step.tree.erase(path, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service removes its own nodes", path, done.detail);
  answer.ends_session = is_own && step.tree.ephemeral_count_of(step.session) == 0;
  return answer;
}

Answer transfer(const Transfer& op, Step& step) {
  const auto path = election_path(op.name);
  const auto node = step.tree.get(path);
  auto leader = leader_of(step.tree, path);
  if (!node || leader.id.empty()) {
    return refusal(Code::not_found, fmt::format("election {} has no leader", op.name));
  }
  const bool is_mine = step.session && leader.session == step.session;
  if (!is_mine && !is_operator(step.identities)) {
    return refusal(Code::not_owner, "only the leader or an operator hands over");
  }
  const auto to = step.tree.get(candidate_path(path, op.to));
  if (!to) return no_candidate(op.name, op.to);
  if (op.to == leader.id) return candidate_answer(step.tree, op.name, op.to, false);
  const auto candidate = candidate_of(op.to, *to);
  const auto old_path = candidate_path(path, leader.id);
  leader.epoch = 0;
  leader.led_ms = 0;
  write(step, old_path, text_of(leader, is_own_session(*step.tree.get(old_path))));
  elect(step, path, election_of(*step.tree.get(path)), candidate);
  return candidate_answer(step.tree, op.name, op.to, false);
}

// ---- views

bool may_read(const Look& look, const std::string& path) {
  return look.tree.check_access(path, znode::Permission::read, look.identities) == Code::ok;
}

Answer show(const Show& query, const Look& look) {
  const auto path = election_path(query.name);
  const auto node = look.tree.get(path);
  if (!node) {
    return refusal(Code::not_found, fmt::format("nobody stands in election {}", query.name));
  }
  if (!may_read(look, path)) return refusal(Code::forbidden, "reading is not allowed");
  ElectionAnswer shown;
  shown.name = query.name;
  shown.epoch = election_of(*node).epoch;
  shown.leader = leader_of(look.tree, path);
  Answer answer;
  answer.etag = std::max(node->stat.mzxid, node->stat.pzxid);
  each_candidate(look.tree, path, [&](std::string_view id, const znode::View& view) {
    answer.etag = std::max(answer.etag, view.stat.mzxid);
    shown.candidates.push_back(candidate_of(id, view));
    return true;
  });
  shown.candidate_count = shown.candidates.size();
  std::sort(shown.candidates.begin(), shown.candidates.end(), comes_before);
  if (shown.candidates.size() > kShownMax) shown.candidates.resize(kShownMax);
  const std::uint64_t first = shown.leader.id.empty() ? 1 : 0;
  for (std::size_t i = 0; i < shown.candidates.size(); ++i) {
    shown.candidates[i].position = first + i;
  }
  answer.bytes = encode(shown);
  return answer;
}

Answer show_candidate(const ShowCandidate& query, const Look& look) {
  const auto path = election_path(query.name);
  auto id = query.candidate;
  if (id.empty()) id = find_candidate(look.tree, path, query.session).value_or("");
  const auto node = id.empty() ? std::nullopt : look.tree.get(candidate_path(path, id));
  if (!node) return no_candidate(query.name, query.candidate);
  if (!may_read(look, path)) return refusal(Code::forbidden, "reading is not allowed");
  auto answer = candidate_answer(look.tree, query.name, id, query.is_joined);
  answer.etag = node->stat.mzxid;
  answer.watch = candidate_path(path, id);
  if (query.waits && !candidate_of(id, *node).is_leader) {
    set_waiting(answer, {query.name, id, query.session, true, query.is_joined});
  }
  return answer;
}

Answer list(const List& query, const Look& look) {
  ListAnswer listed;
  Answer answer;
  const auto top = fmt::format("{}/{}", kRoot, directory_of(Kind::election));
  look.tree.children(top, query.after, {}, [&](std::string_view name, const znode::View& node) {
    if (listed.elections.size() == query.limit) {
      listed.is_last = false;
      return false;
    }
    const auto path = election_path(name);
    if (!may_read(look, path)) return true;
    ElectionAnswer shown;
    shown.name = name;
    shown.epoch = election_of(node).epoch;
    shown.leader = leader_of(look.tree, path);
    shown.candidate_count = node.stat.num_children;
    answer.etag = std::max({answer.etag, node.stat.mzxid, node.stat.pzxid});
    listed.elections.push_back(std::move(shown));
    return true;
  });
  if (const auto node = look.tree.get(top)) answer.etag = std::max(answer.etag, node->stat.pzxid);
  answer.bytes = encode(listed);
  return answer;
}

}  // namespace

bool is_step(std::string_view bytes) {
  Join join_op;
  Post post_op;
  Resign resign_op;
  Transfer transfer_op;
  return decode(bytes, join_op) || decode(bytes, post_op) || decode(bytes, resign_op) ||
         decode(bytes, transfer_op);
}

bool is_query(std::string_view bytes) {
  Show show_query;
  ShowCandidate candidate_query;
  List list_query;
  return decode(bytes, show_query) || decode(bytes, candidate_query) || decode(bytes, list_query);
}

Answer run(std::string_view bytes, Step& step) {
  if (Join op; decode(bytes, op)) return join(op, step);
  if (Post op; decode(bytes, op)) return post(std::move(op), step);
  if (Resign op; decode(bytes, op)) return resign(std::move(op), step);
  Transfer op;
  COORD_CHECK(decode(bytes, op), "a step decoded where it was proposed");
  return transfer(op, step);
}

Answer view(std::string_view bytes, const Look& look) {
  if (Show query; decode(bytes, query)) return show(query, look);
  if (ShowCandidate query; decode(bytes, query)) return show_candidate(query, look);
  List query;
  COORD_CHECK(decode(bytes, query), "a query decoded where it was asked");
  return list(query, look);
}

void settle(Step& step, std::string_view name) { settle_path(step, election_path(name)); }

bool holds(const Look& look, std::string_view name, std::uint64_t token) {
  const auto leader = leader_of(look.tree, election_path(name));
  return token != 0 && leader.epoch == token;
}

}  // namespace coord::recipes::election
