#include "coord/server/health.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "coord/server/log.hpp"
#include "coord/server/runner.hpp"

namespace coord::server {
namespace {

namespace service = recipes::service;

constexpr std::int64_t kSubscribeAgainMs = 200;

std::int64_t now_ms() { return mono_ns() / 1'000'000; }

std::optional<MemberId> checker_named(std::string_view path) {
  const auto& top = service::kCheckersPath;
  if (!path.starts_with(top) || path.size() < top.size() + 2) return std::nullopt;
  std::uint64_t id = 0;
  for (const char c : path.substr(top.size() + 1)) {
    if (c < '0' || c > '9') return std::nullopt;
    id = id * 10 + static_cast<std::uint64_t>(c - '0');
  }
  return MemberId(id);
}

}  // namespace

HealthChecks::HealthChecks(boost::asio::io_context& loop, api::Gateway& gateway, MemberId member,
                           std::uint64_t seed, HealthOptions options)
    : loop_(loop),
      gateway_(gateway),
      member_(member),
      options_(options),
      prng_(seed),
      beat_timer_(loop),
      probe_timer_(loop) {}

HealthChecks::~HealthChecks() {
  for (auto& [number, task] : tasks_) {
    if (task.probe) task.probe->cancel();
  }
}

void HealthChecks::start() {
  connection_ = gateway_.connect(*this);
  subscribe();
}

void HealthChecks::stop() {
  is_stopped_ = true;
  beat_timer_.cancel();
  probe_timer_.cancel();
  for (auto& [path, watched] : instances_) drop_tasks(watched);
  if (session_) {
    const auto id = session_->id;
    submit(core::CloseSession{id, session::EndReason::closed}, true, {});
    session_.reset();
  }
}

void HealthChecks::submit(core::Operation op, bool with_session, Pending pending) {
  core::Request request;
  request.connection = connection_;
  request.id = RequestId(++last_request_);
  request.identities = recipes::service_identities();
  if (with_session) request.session = session_;
  request.op = std::move(op);
  pending_.emplace(request.id, pending);
  gateway_.submit(std::move(request));
}

// ---- what there is to check

void HealthChecks::subscribe() {
  // All of it comes again.
  for (auto& [path, watched] : instances_) drop_tasks(watched);
  instances_.clear();
  checkers_.clear();
  watch_ = watch_.next();
  core::Subscribe subscribe;
  subscribe.connection = connection_;
  subscribe.watch = watch_;
  subscribe.filter.paths = {
      fmt::format("{}/{}", recipes::kRoot, recipes::directory_of(recipes::Kind::service)),
      std::string(service::kCheckersPath)};
  subscribe.filter.depth = watch::Depth::subtree;
  subscribe.filter.with_system = true;
  subscribe.with_initial = true;
  subscribe.identities = recipes::service_identities();
  subscribe.consistency = core::Consistency::local;
  subscribe.is_internal = true;
  is_subscribed_ = true;
  gateway_.subscribe(std::move(subscribe));
}

void HealthChecks::deliver(core::Delivery delivery) {
  if (const auto* reply = std::get_if<core::Reply>(&delivery)) return on_reply(*reply);
  if (const auto* event = std::get_if<core::WatchEvent>(&delivery)) {
    if (event->watch == watch_) on_event(*event);
    return;
  }
  const auto& state = std::get<core::WatchState>(delivery);
  if (state.watch != watch_ || is_stopped_) return;
  if (state.kind == core::WatchState::Kind::more) {
    gateway_.resume({connection_, watch_});
  } else if (state.kind == core::WatchState::Kind::ended) {
    is_subscribed_ = false;
    arm_beat(kSubscribeAgainMs);
  }
}

void HealthChecks::on_event(const core::WatchEvent& event) {
  if (is_stopped_) return;
  const auto& changes = event.batch->changes;
  const auto count = event.wanted.empty() ? changes.size() : event.wanted.size();
  const auto checkers = checkers_;
  for (std::size_t i = 0; i < count; ++i) {
    on_change(changes[event.wanted.empty() ? i : event.wanted[i]], event.is_initial);
  }
  if (checkers != checkers_) refresh_all();
  if (!instances_.empty() && !session_ && !is_volunteering_) volunteer();
  pump();
}

void HealthChecks::on_change(const znode::Change& change, bool is_initial) {
  const bool is_gone = change.kind == znode::ChangeKind::deleted;
  if (const auto member = checker_named(change.path)) {
    if (is_gone) {
      checkers_.erase(*member);
    } else {
      checkers_.insert(*member);
    }
    return;
  }
  const auto place = recipes::place_of(change.path);
  if (!place || place->kind != recipes::Kind::service || place->rest.empty()) return;
  if (change.kind == znode::ChangeKind::acl) return;
  service::Instance record;
  const bool has_checks =
      !is_gone && service::parse(change.value.view(), record) && !record.checks.empty();
  const auto known = instances_.find(change.path);
  if (!has_checks) {
    if (known == instances_.end()) return;
    drop_tasks(known->second);
    instances_.erase(known);
    return;
  }
  auto& watched = known != instances_.end() ? known->second : instances_[change.path];
  watched.service = place->name;
  watched.id = place->rest;
  watched.record = std::move(record);
  if (change.kind == znode::ChangeKind::created) watched.is_new = !is_initial;
  refresh(watched);
}

// Makes the tasks of the instance what they should be: none if another member has them.
void HealthChecks::refresh(Watched& watched) {
  const std::vector<MemberId> checkers(checkers_.begin(), checkers_.end());
  if (service::checker_of(watched.service, watched.id, checkers) != member_) {
    return drop_tasks(watched);
  }
  const auto& record = watched.record;
  std::vector<std::uint64_t> kept;
  for (std::size_t i = 0; i < record.checks.size(); ++i) {
    const auto has_it = [&](std::uint64_t number) {
      return tasks_.at(number).check == record.checks[i];
    };
    auto at = std::find_if(watched.tasks.begin(), watched.tasks.end(), has_it);
    std::uint64_t number = 0;
    if (at != watched.tasks.end()) {
      number = *at;
      watched.tasks.erase(at);
    } else {
      number = ++last_task_;
      auto& task = tasks_[number];
      task.service = watched.service;
      task.instance = watched.id;
      task.check = record.checks[i];
      task.is_first = watched.is_new;
      const auto spread = std::min(task.check.interval_ms, options_.spread_ms);
      task.due_ms =
          now_ms() + static_cast<std::int64_t>(prng_.below(static_cast<std::uint64_t>(spread)));
      queue_.emplace(task.due_ms, number);
    }
    tasks_.at(number).is_failing = record.failing[i].has_value();
    kept.push_back(number);
  }
  drop_tasks(watched);
  watched.tasks = std::move(kept);
}

void HealthChecks::refresh_all() {
  for (auto& [path, watched] : instances_) {
    watched.is_new = false;
    refresh(watched);
  }
}

void HealthChecks::drop_tasks(Watched& watched) {
  for (const auto number : std::exchange(watched.tasks, {})) drop_task(number);
}

void HealthChecks::drop_task(std::uint64_t number) {
  const auto at = tasks_.find(number);
  if (at->second.probe) {
    at->second.probe->cancel();
    --running_;
  }
  queue_.erase({at->second.due_ms, number});
  tasks_.erase(at);
}

// ---- being one of those who check

void HealthChecks::arm_beat(std::int64_t in_ms) {
  beat_timer_.expires_after(std::chrono::milliseconds(in_ms));
  beat_timer_.async_wait([this](const boost::system::error_code& code) {
    if (!code && !is_stopped_) beat();
  });
}

void HealthChecks::beat() {
  if (!is_subscribed_) subscribe();
  if (instances_.empty()) {
    if (session_) {
      const auto id = session_->id;
      submit(core::CloseSession{id, session::EndReason::closed}, true, {});
      session_.reset();
    }
    return;  // The next instance with a check wakes this again.
  }
  if (session_) {
    submit(core::Keepalive{session_->id}, true, {Asked::keepalive, 0});
  } else if (!is_volunteering_) {
    volunteer();
  }
  arm_beat(options_.beat_ms);
}

void HealthChecks::volunteer() {
  core::OwnSession own;
  own.ttl_ms = options_.session_ttl_ms;
  own.name = fmt::format("checks of member {}", member_);
  own.secret = gateway_.random_secret();
  is_volunteering_ = true;
  submit(core::RecipeStep{recipes::Kind::service, encode(service::Volunteer{member_}), own}, false,
         {Asked::volunteer, 0});
  arm_beat(options_.beat_ms);
}

void HealthChecks::on_reply(const core::Reply& reply) {
  const auto at = pending_.find(reply.id);
  if (at == pending_.end()) return;
  const auto asked = at->second;
  pending_.erase(at);
  switch (asked.what) {
    case Asked::volunteer: {
      is_volunteering_ = false;
      const auto* result = std::get_if<core::RecipeResult>(&reply.result);
      if (reply.code == Code::ok && result != nullptr && result->opened) {
        session_ = {result->opened->id, result->opened->secret};
      }
      return;
    }
    case Asked::keepalive:
      if (reply.code == Code::session_expired || reply.code == Code::not_found) {
        session_.reset();
        if (!is_stopped_ && !is_volunteering_ && !instances_.empty()) volunteer();
      }
      return;
    case Asked::report: {
      const auto task = tasks_.find(asked.task);
      if (task != tasks_.end()) task->second.is_reporting = false;
      return;
    }
  }
}

// ---- running checks

void HealthChecks::pump() {
  const auto now = now_ms();
  while (!queue_.empty() && queue_.begin()->first <= now && running_ < options_.running_max) {
    const auto number = queue_.begin()->second;
    queue_.erase(queue_.begin());
    run(number);
  }
  if (queue_.empty() || running_ >= options_.running_max) return;  // A result wakes this again.
  probe_timer_.expires_after(
      std::chrono::milliseconds(std::max<std::int64_t>(1, queue_.begin()->first - now)));
  probe_timer_.async_wait([this](const boost::system::error_code& code) {
    if (!code && !is_stopped_) pump();
  });
}

void HealthChecks::run(std::uint64_t number) {
  auto& task = tasks_.at(number);
  ++running_;
  // The answer may be there at once, and must not find the task half begun.
  task.probe = Probe::start(
      loop_, task.check, options_.policy, [this, number](std::optional<std::string> why) {
        boost::asio::post(loop_, [this, number, why = std::move(why)] { on_result(number, why); });
      });
}

void HealthChecks::on_result(std::uint64_t number, std::optional<std::string> why) {
  const auto at = tasks_.find(number);
  if (at == tasks_.end() || !at->second.probe) return;
  auto& task = at->second;
  task.probe.reset();
  --running_;
  task.failures = why ? task.failures + 1 : 0;
  const bool is_bad = why && (task.failures >= options_.failures_to_fail || task.is_first);
  task.is_first = false;
  if (why ? is_bad && !task.is_failing : task.is_failing) report(number, task, std::move(why));
  task.due_ms = std::max(task.due_ms + task.check.interval_ms, now_ms());
  queue_.emplace(task.due_ms, number);
  pump();
}

// A report that gets lost is made again after the next probe, since the state differs still.
void HealthChecks::report(std::uint64_t number, Task& task, std::optional<std::string> why) {
  if (task.is_reporting || !session_) return;
  task.is_reporting = true;
  spdlog::info("event=health service={} instance={} check={} failing={}", task.service,
               task.instance, task.check.target, why.has_value());
  if (why) why->resize(std::min(why->size(), service::kReasonBytesMax));
  submit(core::RecipeStep{recipes::Kind::service,
                          encode(service::Report{task.service, task.instance, task.check,
                                                 std::move(why)}),
                          {}},
         true, {Asked::report, number});
}

}  // namespace coord::server
