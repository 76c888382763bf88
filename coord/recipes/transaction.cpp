#include "coord/recipes/transaction.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <variant>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/fields.hpp"

namespace coord::recipes::transaction {
namespace {

enum class Tag : std::uint8_t { begin = 1, vote = 2, abort = 3, get = 4, list = 5 };

using Op = std::variant<std::monostate, Begin, Vote, Abort>;
using Query = std::variant<std::monostate, Get, ListQuery>;

// ---- bytes

Begin take_begin(Reader& in) {
  Begin op;
  op.timeout_ms = in.svarint();
  if (op.timeout_ms < kTimeoutMsMin || op.timeout_ms > kTimeoutMsMax) in.fail();
  const auto count = in.count();
  if (count == 0 || count > kParticipantsMax) in.fail();
  std::set<std::string_view> seen;
  for (std::size_t i = 0; i < count && in.ok(); ++i) {
    const auto name = in.bytes();
    if (!name_error(name).empty() || !seen.insert(name).second) in.fail();
    op.participants.emplace_back(name);
  }
  return op;
}

Vote take_vote(Reader& in) {
  Vote op;
  op.id = in.varint();
  op.participant = in.bytes();
  op.is_yes = in.boolean();
  if (!name_error(op.participant).empty()) in.fail();
  return op;
}

Op decode_op(std::string_view bytes) {
  Reader in(bytes);
  Op op;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::begin:
      op = take_begin(in);
      break;
    case Tag::vote:
      op = take_vote(in);
      break;
    case Tag::abort:
      op = Abort{in.varint()};
      break;
    default:
      break;
  }
  return in.done() ? op : Op();
}

Query decode_query(std::string_view bytes) {
  Reader in(bytes);
  Query query;
  switch (static_cast<Tag>(in.u8())) {
    case Tag::get:
      query = Get{in.varint()};
      break;
    case Tag::list:
      query = decode_list_query(in);
      break;
    default:
      break;
  }
  return in.done() ? query : Query();
}

std::string encode(const View& view) {
  std::string bytes;
  Writer out(bytes);
  out.varint(view.id);
  out.u8(static_cast<std::uint8_t>(view.state));
  out.bytes(view.reason);
  out.svarint(view.begun_ms);
  out.svarint(view.timeout_ms);
  out.svarint(view.left_ms);
  out.id(view.decided);
  out.varint(view.votes.size());
  for (const auto& vote : view.votes) {
    out.bytes(vote.participant);
    out.u8(static_cast<std::uint8_t>(vote.ballot));
  }
  return bytes;
}

// ---- nodes

std::string_view word_of(State state) {
  switch (state) {
    case State::preparing:
      return "preparing";
    case State::committed:
      return "committed";
    case State::aborted:
      return "aborted";
  }
  return {};
}

State state_of(std::string_view record) {
  const auto word = field_of(record, "state");
  if (word == word_of(State::committed)) return State::committed;
  return word == word_of(State::aborted) ? State::aborted : State::preparing;
}

Ballot ballot_of(std::string_view record) {
  const auto word = field_of(record, "vote");
  if (word == "yes") return Ballot::yes;
  return word == "no" ? Ballot::no : Ballot::none;
}

Blob ballot_blob(Ballot ballot) {
  Record record;
  record.text("vote", ballot == Ballot::yes ? "yes" : ballot == Ballot::no ? "no" : "");
  return record.blob();
}

std::string top_of(std::uint64_t id) { return path_of(Kind::transaction, padded(id)); }

View view_of(const Look& look, std::uint64_t id, const znode::View& node) {
  View view;
  view.id = id;
  view.state = state_of(node.value);
  view.reason = field_of(node.value, "reason");
  view.begun_ms = node.stat.ctime_ms;
  view.timeout_ms = number_of(node.value, "timeout_ms");
  view.decided = Zxid(static_cast<std::uint64_t>(number_of(node.value, "decided")));
  if (view.state == State::preparing) {
    view.left_ms = std::max<std::int64_t>(0, number_of(node.value, "until") - look.service_ms);
  }
  look.tree.children(top_of(id), {}, {}, [&](std::string_view name, const znode::View& vote) {
    view.votes.push_back({std::string(name), ballot_of(vote.value)});
    return true;
  });
  return view;
}

Answer told(const Look& look, std::uint64_t id) {
  const auto node = look.tree.get(top_of(id));
  COORD_CHECK(node.has_value(), "a transaction that is told of is there", id);
  const auto view = view_of(look, id, *node);
  Answer answer;
  answer.bytes = encode(view);
  answer.is_final = view.state != State::preparing;
  answer.etag = node->stat.mzxid;
  look.tree.children(top_of(id), {}, {}, [&](std::string_view, const znode::View& vote) {
    answer.etag = std::max(answer.etag, vote.stat.mzxid);
    return true;
  });
  return answer;
}

Answer missing(std::uint64_t id) {
  return refusal(Code::not_found,
                 fmt::format("there is no transaction {}: it never began, or it is over for so "
                             "long that it was trimmed (committed ones after 24 h, aborted ones "
                             "after 1 h)",
                             id));
}

// Requires: it is preparing.
void decide(Step& step, std::uint64_t id, State state, std::string_view reason) {
  const auto path = top_of(id);
  const auto node = step.tree.get(path);
  COORD_CHECK(node && state_of(node->value) == State::preparing, "what is decided stays so", id);
  const auto keep = state == State::committed ? kKeepMs : kKeepAbortedMs;
  Record record;
  record.text("state", word_of(state))
      .number("until", step.service_ms + keep)
      .number("timeout_ms", number_of(node->value, "timeout_ms"))
      .number("decided", static_cast<std::int64_t>(step.zxid.value()));
  if (!reason.empty()) record.text("reason", reason);
  const auto done = step.tree.set(path, record.blob(), {}, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service writes its records", path, done.detail);
}

void time_out(Step& step, std::uint64_t id) {
  decide(step, id, State::aborted, "the time to vote has run out");
}

// Aborts what has run out of time but was not found due yet. The present state.
State settle_time(Step& step, std::uint64_t id, const znode::View& node) {
  const auto state = state_of(node.value);
  if (state != State::preparing || number_of(node.value, "until") > step.service_ms) return state;
  time_out(step, id);
  return State::aborted;
}

Answer refused(const Step& step, std::uint64_t id, std::string detail) {
  auto answer = told(step.look(), id);
  answer.code = Code::conflict;
  answer.detail = std::move(detail);
  answer.is_done = true;  // The time that has run out stays so.
  return answer;
}

// ---- steps

Answer begin(const Begin& op, Step& step) {
  const auto directory = fmt::format("{}/{}", kRoot, directory_of(Kind::transaction));
  if (child_count(step.tree, directory) >= kTransactionsMax) {
    return refusal(Code::quota, fmt::format("there are {} transactions; finished ones are trimmed "
                                            "in time",
                                            kTransactionsMax));
  }
  const auto id = step.zxid.value();
  Record record;
  record.text("state", word_of(State::preparing))
      .number("until", step.service_ms + op.timeout_ms)
      .number("timeout_ms", op.timeout_ms);
  znode::CreateOptions options;
  options.with_parents = true;
  const auto done = step.tree.create(top_of(id), record.blob(), options, service_identities());
  if (done.code != Code::ok) return refusal(done);
  for (const auto& name : op.participants) {
    const auto made = step.tree.create(fmt::format("{}/{}", top_of(id), name),
                                       ballot_blob(Ballot::none), {}, service_identities());
    if (made.code != Code::ok) return refusal(made);
  }
  return told(step.look(), id);
}

bool have_all_said_yes(const Step& step, std::uint64_t id) {
  bool have_all = true;
  step.tree.children(top_of(id), {}, {}, [&](std::string_view, const znode::View& vote) {
    have_all = ballot_of(vote.value) == Ballot::yes;
    return have_all;
  });
  return have_all;
}

Answer vote(const Vote& op, Step& step) {
  const auto node = step.tree.get(top_of(op.id));
  if (!node) return missing(op.id);
  const auto path = fmt::format("{}/{}", top_of(op.id), op.participant);
  const auto own = step.tree.get(path);
  if (!own) {
    return refusal(Code::not_found,
                   fmt::format("{} is no participant of transaction {}", op.participant, op.id));
  }
  const auto before = ballot_of(own->value);
  const auto ballot = op.is_yes ? Ballot::yes : Ballot::no;
  const auto state = settle_time(step, op.id, *node);
  if (before == ballot) return told(step.look(), op.id);  // Said again.
  if (before != Ballot::none) {
    return refused(step, op.id,
                   fmt::format("{} has voted {} already", op.participant,
                               before == Ballot::yes ? "yes" : "no"));
  }
  if (state != State::preparing) {
    return refused(step, op.id, fmt::format("transaction {} is {} already", op.id, word_of(state)));
  }
  const auto done = step.tree.set(path, ballot_blob(ballot), {}, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service writes its records", path, done.detail);
  if (!op.is_yes) {
    decide(step, op.id, State::aborted, fmt::format("{} voted no", op.participant));
  } else if (have_all_said_yes(step, op.id)) {
    decide(step, op.id, State::committed, {});
  }
  return told(step.look(), op.id);
}

Answer abort(const Abort& op, Step& step) {
  const auto node = step.tree.get(top_of(op.id));
  if (!node) return missing(op.id);
  const auto state = settle_time(step, op.id, *node);
  if (state == State::committed) {
    return refused(step, op.id, fmt::format("transaction {} is committed already", op.id));
  }
  if (state == State::preparing) decide(step, op.id, State::aborted, "it was called off");
  return told(step.look(), op.id);
}

// ---- views

Answer get(const Get& query, const Look& look) {
  const auto path = top_of(query.id);
  if (!look.tree.get(path)) return missing(query.id);
  if (look.tree.check_access(path, znode::Permission::read, look.identities) != Code::ok) {
    return refusal(Code::forbidden, "reading is not allowed");
  }
  return told(look, query.id);
}

Answer list(const ListQuery& query, const Look& look) {
  return list_recipe(Kind::transaction, query, look,
                     [&](std::string_view name, const znode::View& node) {
                       return encode(view_of(look, unpadded(name).value_or(0), node));
                     });
}

}  // namespace

std::string encode(const Begin& op) {
  std::string bytes(1, static_cast<char>(Tag::begin));
  Writer out(bytes);
  out.svarint(op.timeout_ms);
  out.varint(op.participants.size());
  for (const auto& name : op.participants) out.bytes(name);
  return bytes;
}

std::string encode(const Vote& op) {
  std::string bytes(1, static_cast<char>(Tag::vote));
  Writer out(bytes);
  out.varint(op.id);
  out.bytes(op.participant);
  out.boolean(op.is_yes);
  return bytes;
}

std::string encode(const Abort& op) {
  std::string bytes(1, static_cast<char>(Tag::abort));
  Writer(bytes).varint(op.id);
  return bytes;
}

std::string encode(const Get& query) {
  std::string bytes(1, static_cast<char>(Tag::get));
  Writer(bytes).varint(query.id);
  return bytes;
}

std::string encode(const ListQuery& query) {
  std::string bytes(1, static_cast<char>(Tag::list));
  Writer out(bytes);
  recipes::encode(query, out);
  return bytes;
}

bool decode(std::string_view bytes, View& answer) {
  Reader in(bytes);
  answer.id = in.varint();
  const auto state = in.u8();
  if (state < 1 || state > 3) in.fail();
  answer.state = in.ok() ? static_cast<State>(state) : State::preparing;
  answer.reason = in.bytes();
  answer.begun_ms = in.svarint();
  answer.timeout_ms = in.svarint();
  answer.left_ms = in.svarint();
  answer.decided = in.id<Zxid>();
  for (auto left = in.count(); left > 0; --left) {
    ParticipantVote vote;
    vote.participant = in.bytes();
    const auto ballot = in.u8();
    if (ballot > 2) in.fail();
    vote.ballot = in.ok() ? static_cast<Ballot>(ballot) : Ballot::none;
    answer.votes.push_back(std::move(vote));
  }
  return in.done();
}

bool is_step(std::string_view bytes) { return decode_op(bytes).index() != 0; }
bool is_query(std::string_view bytes) { return decode_query(bytes).index() != 0; }

Answer run(std::string_view bytes, Step& step) {
  return std::visit(Overloaded{[&](const Begin& op) { return begin(op, step); },
                               [&](const Vote& op) { return vote(op, step); },
                               [&](const Abort& op) { return abort(op, step); },
                               [](std::monostate) { return Answer(); }},
                    decode_op(bytes));
}

Answer view(std::string_view bytes, const Look& look) {
  return std::visit(Overloaded{[&](const Get& query) { return get(query, look); },
                               [&](const ListQuery& query) { return list(query, look); },
                               [](std::monostate) { return Answer(); }},
                    decode_query(bytes));
}

std::optional<std::int64_t> deadline(const Look& look, const Place& place) {
  if (!place.rest.empty()) return std::nullopt;
  const auto node = look.tree.get(path_of(Kind::transaction, place.name));
  if (!node) return std::nullopt;
  return number_of(node->value, "until");
}

void due(Step& step, const Place& place) {
  const auto until = deadline(step.look(), place);
  const auto id = unpadded(place.name);
  if (!until || !id || *until > step.service_ms) return;
  const auto path = path_of(Kind::transaction, place.name);
  if (state_of(step.tree.get(path)->value) == State::preparing) {
    time_out(step, *id);
    return;
  }
  const auto done = step.tree.erase_tree(path, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "what is over is trimmed", path, done.detail);
}

}  // namespace coord::recipes::transaction
