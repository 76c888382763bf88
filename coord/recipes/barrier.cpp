#include "coord/recipes/barrier.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "coord/base/overloaded.hpp"
#include "coord/recipes/barrier_codec.hpp"
#include "coord/recipes/fields.hpp"

namespace coord::recipes::barrier {
namespace {

std::string top_of(std::string_view name) { return path_of(Kind::barrier, name); }
std::string members_of(std::string_view name) { return top_of(name) + "/members"; }
std::string ticket_path(std::string_view name, std::uint64_t ticket) {
  return fmt::format("{}/{}", members_of(name), padded(ticket));
}

struct Member {
  Participant shown;
  bool own = false;
};

Member member_of(std::string_view ticket, const znode::View& node) {
  Member member;
  member.shown.ticket = unpadded(ticket).value_or(0);
  member.shown.session = node.stat.ephemeral_owner;
  member.shown.entered_ms = number_of(node.value, "entered");
  member.shown.round = static_cast<std::uint64_t>(number_of(node.value, "released"));
  member.own = number_of(node.value, "own") == 1;
  if (member.shown.round != 0) member.shown.state = State::released;
  if (number_of(node.value, "leaving") != 0) member.shown.state = State::leaving;
  return member;
}

std::vector<Member> members(const znode::Tree& tree, std::string_view name) {
  std::vector<Member> all;
  tree.children(members_of(name), {}, {}, [&](std::string_view ticket, const znode::View& node) {
    all.push_back(member_of(ticket, node));
    return true;
  });
  return all;
}

std::optional<Member> find(const znode::Tree& tree, std::string_view name, std::uint64_t ticket) {
  const auto node = tree.get(ticket_path(name, ticket));
  if (!node) return std::nullopt;
  return member_of(padded(ticket), *node);
}

// The session's ticket. Of two (it leaves one round and waits for the next) the one that leaves, or
// with `to_enter` the other.
std::optional<Member> find_of(const znode::Tree& tree, std::string_view name, SessionId session,
                              bool to_enter) {
  for (const auto& member : members(tree, name)) {
    if (member.shown.session != session) continue;
    if (!to_enter || member.shown.state != State::leaving) return member;
  }
  return std::nullopt;
}

std::uint32_t count_of(const znode::Tree& tree, std::string_view name) {
  const auto node = tree.get(top_of(name));
  return node ? static_cast<std::uint32_t>(number_of(node->value, "count")) : 0;
}

Record record_of(const Member& member, std::uint64_t leaving) {
  Record record;
  record.number("own", member.own ? 1 : 0).number("entered", member.shown.entered_ms);
  if (member.shown.round != 0) {
    record.number("released", static_cast<std::int64_t>(member.shown.round));
  }
  if (leaving != 0) record.number("leaving", static_cast<std::int64_t>(leaving));
  return record;
}

void write(Step& step, std::string_view name, const Member& member, std::uint64_t leaving) {
  const auto path = ticket_path(name, member.shown.ticket);
  const auto done =
      step.tree.set(path, record_of(member, leaving).blob(), {}, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service writes its records", path, done.detail);
}

void erase(Step& step, std::string_view name, std::uint64_t ticket) {
  const auto done = step.tree.erase(ticket_path(name, ticket), {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "a ticket that is there goes", ticket, done.detail);
}

Answer gone(std::string_view name) {
  return refusal(Code::not_found,
                 fmt::format("there is no such ticket at the barrier {}: it has left, or its "
                             "session has ended",
                             name));
}

Entered entered(const znode::Tree& tree, std::string_view name, const Participant& self) {
  Entered answer;
  answer.self = self;
  answer.count = count_of(tree, name);
  for (const auto& member : members(tree, name)) {
    if (member.shown.state == State::waiting) ++answer.waiting;
  }
  return answer;
}

// What a participant is told: with what to wait for while it waits.
Answer told(const znode::Tree& tree, const std::string& name, const Participant& self,
            bool was_in) {
  auto body = entered(tree, name, self);
  body.was_in = was_in;
  Answer answer;
  answer.bytes = encode(body);
  const auto node = tree.get(ticket_path(name, self.ticket));
  if (node) answer.etag = node->stat.mzxid;
  answer.is_final = self.state != State::waiting;
  answer.is_waiting = self.state == State::waiting;
  if (answer.is_waiting) {
    answer.watch = ticket_path(name, self.ticket);
    answer.poll = encode(GetTicket{name, self.ticket, {}});
    answer.give_up = encode(GiveUp{name, self.ticket});
  }
  return answer;
}

// ---- settling

bool is_round_on(const std::vector<Member>& all) {
  return std::any_of(all.begin(), all.end(),
                     [](const Member& one) { return one.shown.state == State::released; });
}

// All of the round have left: their tickets go.
void end_round(Step& step, std::string_view name, std::vector<Member>& all) {
  std::erase_if(all, [&](const Member& member) {
    if (member.shown.state != State::leaving) return false;
    erase(step, name, member.shown.ticket);
    return true;
  });
}

void begin_round(Step& step, std::string_view name, std::vector<Member>& all) {
  const auto count = count_of(step.tree, name);
  if (count == 0 || all.size() < count) return;
  for (std::uint32_t i = 0; i < count; ++i) {
    all[i].shown.round = step.zxid.value();
    write(step, name, all[i], 0);
  }
}

// ---- steps

Answer enter(const Enter& op, Step& step) {
  if (!step.session) return refusal(Code::session_required, "to enter a barrier takes a session");
  const auto top = top_of(op.name);
  const auto present = count_of(step.tree, op.name);
  if (present != 0 && present != op.count) {
    return refusal(Code::permits_mismatch,
                   fmt::format("the barrier {} is one of {}, not of {}, as long as anybody is in",
                               op.name, present, op.count));
  }
  if (const auto mine = find_of(step.tree, op.name, step.session, true)) {
    return told(step.tree, op.name, mine->shown, true);
  }
  if (child_count(step.tree, members_of(op.name)) >= kParticipantsMax) {
    return refusal(Code::overloaded, fmt::format("{} are in already", kParticipantsMax));
  }
  if (present == 0) {
    Record record;
    record.number("count", op.count);
    znode::CreateOptions options;
    options.with_parents = true;
    const auto done = step.tree.create(top, record.blob(), options, service_identities());
    if (done.code != Code::ok) return refusal(done);
  }
  Member member;
  member.own = step.brings_session;
  member.shown.ticket = step.zxid.value();
  member.shown.session = step.session;
  member.shown.entered_ms = step.wall_ms;
  znode::CreateOptions options;
  options.with_parents = true;
  options.mode = znode::Mode::ephemeral;
  const auto path = ticket_path(op.name, member.shown.ticket);
  const auto done =
      step.tree.create(path, record_of(member, 0).blob(), options, service_identities());
  if (done.code != Code::ok) return refusal(done);
  settle(step, op.name);  // The last to come is told at once.
  return told(step.tree, op.name, find(step.tree, op.name, member.shown.ticket)->shown, false);
}

Answer give_up(const GiveUp& op, Step& step) {
  const auto member = find(step.tree, op.name, op.ticket);
  if (!member || member->shown.session != step.session) return gone(op.name);
  if (member->shown.state != State::waiting) return told(step.tree, op.name, member->shown, false);
  const auto now = entered(step.tree, op.name, member->shown);
  auto answer = refusal(Code::conflict, fmt::format("only {} of {} wait at the barrier {}; this "
                                                    "one has left again",
                                                    now.waiting, now.count, op.name));
  answer.is_done = true;
  answer.bytes = encode(now);
  answer.ends_session = member->own;
  erase(step, op.name, op.ticket);
  return answer;
}

Answer leave(const Leave& op, Step& step) {
  const auto member = op.ticket == 0 ? find_of(step.tree, op.name, step.session, false)
                                     : find(step.tree, op.name, op.ticket);
  if (!member) return gone(op.name);
  const auto& shown = member->shown;
  const bool is_owner = step.session && shown.session == step.session;
  if (!is_owner && !is_operator(step.identities)) {
    return refusal(Code::not_owner, fmt::format("ticket {} is another session's: to take it away "
                                                "is an operator's right",
                                                shown.ticket));
  }
  Answer answer;
  // It has left, and holds nobody up; its ticket stays for the request that waits for the others.
  if (is_owner && shown.state == State::leaving && !op.waits) return answer;
  const bool ends = is_owner && member->own;
  if (shown.state == State::waiting || !op.waits || !is_owner) {
    erase(step, op.name, shown.ticket);
    answer.ends_session = ends;
    return answer;
  }
  write(step, op.name, *member, step.zxid.value());
  settle(step, op.name);
  if (!find(step.tree, op.name, shown.ticket)) {  // It was the last.
    answer.ends_session = ends;
    return answer;
  }
  answer.is_waiting = true;
  answer.watch = ticket_path(op.name, shown.ticket);
  answer.poll = encode(Left{op.name, shown.ticket, ends, false});
  answer.poll_is_step = true;
  answer.give_up = encode(Left{op.name, shown.ticket, ends, true});
  return answer;
}

Answer left(const Left& op, Step& step) {
  Answer answer;
  answer.ends_session = op.own;
  const auto member = find(step.tree, op.name, op.ticket);
  if (!member || member->shown.session != step.session) return answer;
  if (op.gives_up) {  // Its ticket holds nobody up, and another of its requests may wait by it.
    answer.code = Code::conflict;
    answer.is_done = true;
    answer.detail = fmt::format("others are in at the barrier {} yet; this one has left", op.name);
    return answer;
  }
  answer.ends_session = false;
  answer.is_waiting = true;
  answer.watch = ticket_path(op.name, op.ticket);
  answer.poll = encode(op);
  answer.poll_is_step = true;
  answer.give_up = encode(Left{op.name, op.ticket, op.own, true});
  return answer;
}

// ---- views

bool is_readable(const Look& look, std::string_view name) {
  return look.tree.check_access(top_of(name), znode::Permission::read, look.identities) == Code::ok;
}

Answer get(const Get& query, const Look& look) {
  const auto node = look.tree.get(top_of(query.name));
  if (!node) {
    return refusal(Code::not_found, fmt::format("nobody is in at the barrier {}", query.name));
  }
  if (!is_readable(look, query.name)) return refusal(Code::forbidden, "reading is not allowed");
  View view;
  view.count = count_of(look.tree, query.name);
  Answer answer;
  answer.etag = node->stat.mzxid;
  const auto directory = look.tree.get(members_of(query.name));
  if (directory) answer.etag = std::max(answer.etag, directory->stat.pzxid);
  look.tree.children(members_of(query.name), {}, {},
                     [&](std::string_view ticket, const znode::View& member) {
                       answer.etag = std::max(answer.etag, member.stat.mzxid);
                       view.participants.push_back(member_of(ticket, member).shown);
                       return true;
                     });
  answer.bytes = encode(view);
  return answer;
}

Answer get_ticket(const GetTicket& query, const Look& look) {
  const auto member = query.ticket != 0 ? find(look.tree, query.name, query.ticket)
                                        : find_of(look.tree, query.name, query.session, true);
  if (!member || (query.ticket == 0 && !query.session)) return gone(query.name);
  if (!is_readable(look, query.name)) return refusal(Code::forbidden, "reading is not allowed");
  return told(look.tree, query.name, member->shown, true);
}

Answer list(const ListQuery& query, const Look& look) {
  return list_recipe(Kind::barrier, query, look, [&](std::string_view name, const znode::View&) {
    const auto inside = child_count(look.tree, members_of(name));
    return encode(Summary{count_of(look.tree, name), static_cast<std::uint32_t>(inside)});
  });
}

}  // namespace

bool is_step(std::string_view bytes) { return decode_op(bytes).index() != 0; }
bool is_query(std::string_view bytes) { return decode_query(bytes).index() != 0; }

Answer run(std::string_view bytes, Step& step) {
  return std::visit(Overloaded{[&](const Enter& op) { return enter(op, step); },
                               [&](const GiveUp& op) { return give_up(op, step); },
                               [&](const Leave& op) { return leave(op, step); },
                               [&](const Left& op) { return left(op, step); },
                               [](std::monostate) { return Answer(); }},
                    decode_op(bytes));
}

Answer view(std::string_view bytes, const Look& look) {
  return std::visit(Overloaded{[&](const Get& query) { return get(query, look); },
                               [&](const GetTicket& query) { return get_ticket(query, look); },
                               [&](const ListQuery& query) { return list(query, look); },
                               [](std::monostate) { return Answer(); }},
                    decode_query(bytes));
}

void settle(Step& step, std::string_view name) {
  if (!step.tree.get(top_of(name))) return;
  auto all = members(step.tree, name);
  if (!is_round_on(all)) {
    end_round(step, name, all);
    begin_round(step, name, all);
  }
  if (!all.empty()) return;
  const auto done = step.tree.erase_tree(top_of(name), {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "an empty barrier goes", name, done.detail);
}

}  // namespace coord::recipes::barrier
