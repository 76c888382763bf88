#include "coord/recipes/service.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <set>

#include "coord/base/check.hpp"
#include "coord/base/checksum.hpp"
#include "coord/recipes/service_codec.hpp"

namespace coord::recipes::service {
namespace {

constexpr std::string_view kEmptySince = "empty_since=";

std::string path_of_instance(std::string_view service, std::string_view instance) {
  return fmt::format("{}/{}", path_of(Kind::service, service), instance);
}

std::string path_of_checker(MemberId member) { return fmt::format("{}/{}", kCheckersPath, member); }

Found found_of(std::string_view id, const znode::View& node) {
  Found found;
  found.id = id;
  found.session = node.stat.ephemeral_owner;
  found.changed = node.stat.mzxid;
  const bool is_record = parse(node.value, found.record);
  COORD_CHECK(is_record, "what the service wrote is a record", id);
  return found;
}

std::optional<Found> find(const znode::Tree& tree, std::string_view service,
                          std::string_view instance) {
  const auto node = tree.get(path_of_instance(service, instance));
  if (!node) return std::nullopt;
  return found_of(instance, *node);
}

Answer no_instance(std::string_view service, std::string_view instance) {
  return refusal(Code::not_found, fmt::format("there is no instance {} of {}", instance, service));
}

Answer answer_of(const Registered& registered) {
  Answer answer;
  answer.bytes = encode(registered);
  answer.renews = registered.now.session;
  return answer;
}

Answer held_by_another(const Found& found, std::string_view service) {
  auto answer =
      refusal(Code::instance_held,
              fmt::format("instance {} of {} hangs on {}", found.id, service,
                          found.record.ttl_ms > 0 ? std::string("a ttl of its own")
                                                  : fmt::format("session {}", found.session)));
  answer.bytes = encode(Registered{false, found});
  return answer;
}

// Bound to a ttl: whoever speaks without a session speaks for it. Bound to a session: only that.
bool is_of(const Found& found, SessionId acting) {
  return found.record.ttl_ms > 0 ? !acting : found.session == acting;
}

// ---- steps

Answer write(Step& step, const std::string& path, Found now, bool is_new) {
  const Blob text(to_text(now.record));
  znode::Outcome done;
  if (is_new) {
    znode::CreateOptions options;
    options.mode = znode::Mode::ephemeral;
    options.with_parents = true;
    options.content_type = "text/plain";
    done = step.tree.create(path, text, options, step.identities);
  } else {
    done = step.tree.set(path, text, "text/plain", {}, step.identities);
  }
  if (done.code != Code::ok) return refusal(done);
  now.session = done.stat.ephemeral_owner;
  now.changed = step.zxid;
  return answer_of({is_new, std::move(now)});
}

Answer enlist(const Register& op, Step& step) {
  const auto path = path_of_instance(op.service, op.instance);
  const auto acting = step.brings_session ? SessionId() : step.session;
  if (!step.session) {
    return refusal(Code::session_required, "an instance hangs on a Coord-Session or has a ttl");
  }
  Found now;
  now.id = op.instance;
  now.record = op.record;
  if (!step.brings_session) now.record.ttl_ms = 0;
  const auto before = find(step.tree, op.service, op.instance);
  if (!before) {
    const auto service = step.tree.get(path_of(Kind::service, op.service));
    if (service && service->stat.num_children >= kInstancesMax) {
      return refusal(Code::quota, fmt::format("a service has at most {} instances", kInstancesMax));
    }
    return write(step, path, std::move(now), true);
  }
  const bool is_mine = is_of(*before, acting);
  if (!is_mine && !op.takes_over) return held_by_another(*before, op.service);
  keep_state(before->record, now.record);
  if (is_mine && before->record.ttl_ms == now.record.ttl_ms) {
    if (now.record == before->record) {
      auto answer = answer_of({false, *before});
      answer.ends_session = step.brings_session;
      return answer;
    }
    auto answer = write(step, path, std::move(now), false);
    answer.ends_session = step.brings_session && answer.code == Code::ok;
    return answer;
  }
  // From one session to another.
  const auto gone = step.tree.erase(path, {}, step.identities);
  if (gone.code != Code::ok) return refusal(gone);
  auto answer = write(step, path, std::move(now), true);
  if (before->record.ttl_ms > 0) answer.also_ends = before->session;
  return answer;
}

Answer leave(const Deregister& op, Step& step) {
  const auto found = find(step.tree, op.service, op.instance);
  if (!found) return no_instance(op.service, op.instance);
  const bool is_allowed = found->record.ttl_ms > 0 || found->session == step.session;
  if (!is_allowed && !op.takes_over) return held_by_another(*found, op.service);
  const auto done = step.tree.erase(path_of_instance(op.service, op.instance), {}, step.identities);
  if (done.code != Code::ok) return refusal(done);
  Answer answer;
  if (found->record.ttl_ms > 0) answer.also_ends = found->session;
  return answer;
}

Answer update(Step& step, std::string_view service, Found found, const Instance& before,
              const Identities& identities) {
  if (found.record == before) return {};
  const auto done = step.tree.set(path_of_instance(service, found.id), Blob(to_text(found.record)),
                                  "text/plain", {}, identities);
  return done.code == Code::ok ? Answer() : refusal(done);
}

Answer maintain(const Maintain& op, Step& step) {
  auto found = find(step.tree, op.service, op.instance);
  if (!found) return no_instance(op.service, op.instance);
  const auto before = found->record;
  found->record.maintenance = op.reason;
  return update(step, op.service, std::move(*found), before, step.identities);
}

Answer report(const Report& op, Step& step) {
  auto found = find(step.tree, op.service, op.instance);
  if (!found) return no_instance(op.service, op.instance);
  const auto before = found->record;
  const auto at = std::find(before.checks.begin(), before.checks.end(), op.check);
  if (at == before.checks.end()) return refusal(Code::not_found, "it has no such check any more");
  auto& why = found->record.failing[static_cast<std::size_t>(at - before.checks.begin())];
  // Another reason to fail is no change of health.
  if (why.has_value() == op.why.has_value()) return {};
  why = op.why;
  return update(step, op.service, std::move(*found), before, service_identities());
}

Answer volunteer(const Volunteer& op, Step& step) {
  if (!step.session) return refusal(Code::session_required, "a checker hangs on a session");
  const auto path = path_of_checker(op.member);
  Answer answer;
  if (const auto node = step.tree.get(path)) {
    if (node->stat.ephemeral_owner == step.session) return {};
    // Of an earlier life of the same member.
    answer.also_ends = node->stat.ephemeral_owner;
    const auto gone = step.tree.erase(path, {}, service_identities());
    if (gone.code != Code::ok) return refusal(gone);
  }
  znode::CreateOptions options;
  options.mode = znode::Mode::ephemeral;
  options.with_parents = true;
  const auto done = step.tree.create(path, Blob(), options, service_identities());
  return done.code == Code::ok ? answer : refusal(done);
}

// ---- queries

std::vector<MemberId> checkers_of(const znode::Tree& tree) {
  std::vector<MemberId> members;
  tree.children(kCheckersPath, {}, {}, [&](std::string_view name, const znode::View&) {
    std::uint64_t id = 0;
    std::from_chars(name.data(), name.data() + name.size(), id);
    members.emplace_back(id);
    return true;
  });
  std::sort(members.begin(), members.end());
  return members;
}

bool may_read(const Look& look, const std::string& path) {
  return look.tree.check_access(path, znode::Permission::read, look.identities) == Code::ok;
}

Answer list(const List& query, const Look& look) {
  const auto path = path_of(Kind::service, query.service);
  Instances found;
  if (!look.tree.get(path)) {
    if (!query.may_be_unknown) {
      return refusal(Code::not_found, fmt::format("there is no service {}", query.service));
    }
  } else if (!may_read(look, path)) {
    return refusal(Code::forbidden, "reading is not allowed");
  }
  bool has_checks = false;
  look.tree.children(path, {}, {}, [&](std::string_view name, const znode::View& node) {
    auto one = found_of(name, node);
    if (query.filter.fits(one.record)) {
      has_checks = has_checks || !one.record.checks.empty();
      found.instances.push_back(std::move(one));
    }
    return true;
  });
  if (has_checks) found.checkers = checkers_of(look.tree);
  Answer answer;
  answer.bytes = encode(found);
  // Not a revision: under a filter something may leave the list without being in it.
  answer.etag = Zxid(checksum(answer.bytes) | 1);
  return answer;
}

Summary summary_of(std::string_view service, const std::string& path, const Filter& filter,
                   const Look& look) {
  Summary summary;
  summary.service = service;
  std::set<std::string> tags;
  look.tree.children(path, {}, {}, [&](std::string_view name, const znode::View& node) {
    const auto one = found_of(name, node);
    if (!filter.fits(one.record)) return true;
    ++summary.instances;
    if (is_healthy(one.record)) ++summary.healthy;
    tags.insert(one.record.tags.begin(), one.record.tags.end());
    return true;
  });
  summary.tags.assign(tags.begin(), tags.end());
  return summary;
}

Answer list_services(const ListServices& query, const Look& look) {
  const auto top = fmt::format("{}/{}", kRoot, directory_of(Kind::service));
  Services found;
  look.tree.children(top, query.after, {}, [&](std::string_view name, const znode::View&) {
    const auto path = path_of(Kind::service, name);
    if (!may_read(look, path)) return true;
    auto summary = summary_of(name, path, query.filter, look);
    if (summary.instances == 0) return true;
    if (found.services.size() >= query.limit) {
      found.is_last = false;
      return false;
    }
    found.services.push_back(std::move(summary));
    return true;
  });
  Answer answer;
  answer.bytes = encode(found);
  answer.etag = Zxid(checksum(answer.bytes) | 1);
  return answer;
}

// Since when the service has no instance; none while it has, or when that is not known.
std::optional<std::int64_t> empty_since(const znode::View& node) {
  if (node.stat.num_children > 0 || !node.value.starts_with(kEmptySince)) return std::nullopt;
  const auto digits = node.value.substr(kEmptySince.size());
  std::int64_t since = 0;
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), since);
  if (error != std::errc()) return std::nullopt;
  return since;
}

}  // namespace

bool Filter::fits(const Instance& instance) const {
  if (only_healthy && !is_healthy(instance)) return false;
  for (const auto& tag : tags) {
    if (!has_tag(instance, tag)) return false;
  }
  return std::all_of(meta.begin(), meta.end(), [&](const auto& wanted) {
    return std::find(instance.meta.begin(), instance.meta.end(), wanted) != instance.meta.end();
  });
}

bool is_step(std::string_view bytes) {
  if (bytes.empty()) return false;
  Register enlist_op;
  Deregister leave_op;
  Maintain maintain_op;
  Report report_op;
  Volunteer volunteer_op;
  return decode(bytes, enlist_op) || decode(bytes, leave_op) || decode(bytes, maintain_op) ||
         decode(bytes, report_op) || decode(bytes, volunteer_op);
}

bool is_query(std::string_view bytes) {
  List list_query;
  ListServices services_query;
  return decode(bytes, list_query) || decode(bytes, services_query);
}

bool is_renewal(std::string_view bytes) {
  Heartbeat heartbeat;
  Register enlist_op;
  return decode(bytes, heartbeat) || decode(bytes, enlist_op);
}

Answer run(std::string_view bytes, Step& step) {
  Register enlist_op;
  if (decode(bytes, enlist_op)) return enlist(enlist_op, step);
  Deregister leave_op;
  if (decode(bytes, leave_op)) return leave(leave_op, step);
  Maintain maintain_op;
  if (decode(bytes, maintain_op)) return maintain(maintain_op, step);
  Report report_op;
  if (decode(bytes, report_op)) return report(report_op, step);
  Volunteer volunteer_op;
  const bool is_volunteer = decode(bytes, volunteer_op);
  COORD_CHECK(is_volunteer, "a step decoded where it was proposed");
  return volunteer(volunteer_op, step);
}

Answer view(std::string_view bytes, const Look& look) {
  List list_query;
  if (decode(bytes, list_query)) return list(list_query, look);
  ListServices services_query;
  static_cast<void>(decode(bytes, services_query));
  return list_services(services_query, look);
}

// A registration that would change something is not_found: it takes a step.
Renewal renewal(std::string_view bytes, const Look& look, SessionId session) {
  Renewal renewal;
  Heartbeat heartbeat;
  Register again;
  const bool is_heartbeat = decode(bytes, heartbeat);
  if (!is_heartbeat) static_cast<void>(decode(bytes, again));
  const auto& service = is_heartbeat ? heartbeat.service : again.service;
  const auto& instance = is_heartbeat ? heartbeat.instance : again.instance;
  const auto found = find(look.tree, service, instance);
  if (!found) {
    renewal.answer = no_instance(service, instance);
    return renewal;
  }
  if (is_heartbeat && found->record.ttl_ms == 0 && found->session != session) {
    renewal.answer = held_by_another(*found, service);
    return renewal;
  }
  if (!is_heartbeat) {
    auto wanted = again.record;
    if (session) wanted.ttl_ms = 0;
    keep_state(found->record, wanted);
    if (!is_of(*found, session) || wanted != found->record) {
      renewal.answer = refusal(Code::not_found, "it is not registered like that");
      return renewal;
    }
  }
  renewal.answer = answer_of({false, *found});
  renewal.session = found->session;
  renewal.is_own = is_heartbeat && found->record.ttl_ms > 0;
  return renewal;
}

SessionId renewed_by(std::string_view bytes, const Look& look, SessionId session) {
  Register op;
  if (!decode(bytes, op)) return {};
  const auto found = find(look.tree, op.service, op.instance);
  return found && is_of(*found, session) ? found->session : SessionId();
}

void settle(Step& step, std::string_view name) {
  const auto path = path_of(Kind::service, name);
  const auto node = step.tree.get(path);
  if (!node) return;
  const bool is_empty = node->stat.num_children == 0;
  const bool says_empty = node->value.starts_with(kEmptySince);
  if (is_empty == says_empty) return;
  const Blob text(is_empty ? fmt::format("{}{}", kEmptySince, step.service_ms) : std::string());
  const auto done = step.tree.set(path, text, {}, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "the service may write its own nodes", path, done.detail);
}

std::optional<std::int64_t> deadline(const Look& look, const Place& place) {
  if (!place.rest.empty()) return std::nullopt;
  const auto node = look.tree.get(path_of(Kind::service, place.name));
  if (!node) return std::nullopt;
  const auto since = empty_since(*node);
  if (!since) return std::nullopt;
  return *since + kForgetMs;
}

void due(Step& step, const Place& place) {
  const auto at = deadline(step.look(), place);
  if (!at || *at > step.service_ms) return;
  const auto path = path_of(Kind::service, place.name);
  const auto done = step.tree.erase(path, {}, service_identities());
  COORD_CHECK(done.code == Code::ok, "a service without instances can go", path, done.detail);
}

}  // namespace coord::recipes::service
