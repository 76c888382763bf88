// What a client asks for, drawn from the seed.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "tests/sim/checker.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

constexpr std::uint64_t kDirectories = 3;

}  // namespace

std::string Client::register_path() {
  return fmt::format("/r/k{}", world_.prng().below(world_.plan().keys));
}

std::string Client::tree_path() {
  const auto directory = world_.prng().below(kDirectories);
  if (world_.chance(5)) return fmt::format("/t/d{}", directory);
  const auto name = world_.prng().below(world_.plan().keys + 2);
  if (world_.chance(15)) return fmt::format("/t/d{}/n{}/x{}", directory, name, name % 3);
  return fmt::format("/t/d{}/n{}", directory, name);
}

Blob Client::unique_value() {
  auto text = fmt::format("{}.{}", number_, last_token_ + 1);
  const auto more = world_.prng().below(world_.plan().value_bytes_max + 1);
  text.append(static_cast<std::size_t>(more), 'v');
  return Blob(text);
}

core::WriteGuard Client::draw_guard() {
  core::WriteGuard guard;
  if (world_.chance(15)) guard.mzxid = last_mzxid_;
  if (world_.chance(15)) guard.version = static_cast<std::int32_t>(world_.prng().below(4));
  return guard;
}

core::Operation Client::draw_register() {
  const auto dice = world_.prng().below(100);
  if (dice < 45) {
    core::Put put;
    put.path = register_path();
    put.value = unique_value();
    put.with_parents = true;
    return put;
  }
  if (dice < 55) {
    core::Delete erase;
    erase.path = register_path();
    return erase;
  }
  core::Get get;
  get.path = register_path();
  return get;
}

core::Operation Client::draw_tree_write() {
  const auto dice = world_.prng().below(100);
  if (dice < 20) {
    core::Put put;
    put.path = tree_path();
    put.value = unique_value();
    put.with_parents = true;
    put.create_only = world_.chance(20);
    put.guard = draw_guard();
    if (session_ && world_.chance(25)) put.mode = znode::Mode::ephemeral;
    return put;
  }
  if (dice < 55) {
    core::Create create;
    create.path = tree_path();
    create.value = world_.chance(10) ? Blob() : unique_value();
    create.with_parents = world_.chance(80);
    create.is_sequential = world_.chance(20);
    create.content_type = world_.chance(20) ? "text/plain" : "";
    if (world_.chance(40)) {
      create.mode = znode::Mode::ephemeral;
    } else if (world_.chance(15)) {
      create.mode = znode::Mode::container;
    } else if (world_.chance(15)) {
      create.ttl_ms = world_.between(100, 3'000);
    }
    return create;
  }
  if (dice < 62) {
    core::Set set;
    set.path = tree_path();
    set.value = unique_value();
    set.guard = draw_guard();
    return set;
  }
  if (dice < 72) {
    const auto path = fmt::format("/t/c{}", world_.prng().below(3));
    if (world_.chance(15)) {
      core::Put put;
      put.path = path;
      put.value = Blob("0");
      put.with_parents = put.create_only = true;
      return put;
    }
    return core::Add{path, world_.between(-5, 9), {}};
  }
  if (dice < 80) return core::SetAcl{tree_path(), znode::open_acl(), std::nullopt};
  core::Delete erase;
  erase.path = tree_path();
  erase.is_recursive = world_.chance(30);
  erase.guard = draw_guard();
  return erase;
}

core::Operation Client::draw_txn() {
  core::Txn txn;
  for (auto i = world_.prng().below(3); i > 0; --i) {
    core::Compare compare;
    compare.path = tree_path();
    compare.exists = world_.chance(60);
    if (world_.chance(10)) compare.version = 0;
    txn.compare.push_back(std::move(compare));
  }
  for (auto* branch : {&txn.then, &txn.otherwise}) {
    for (auto i = world_.prng().below(5); i > 0; --i) {
      const auto dice = world_.prng().below(100);
      if (dice < 35) {
        core::Create create;
        create.path = tree_path();
        create.value = unique_value();
        create.with_parents = world_.chance(90);
        create.is_sequential = world_.chance(50);
        if (session_ && world_.chance(30)) create.mode = znode::Mode::ephemeral;
        branch->emplace_back(std::move(create));
      } else if (dice < 55) {
        branch->emplace_back(core::Set{tree_path(), unique_value(), "", {}});
      } else if (dice < 65) {
        branch->emplace_back(core::Delete{tree_path(), world_.chance(50), {}});
      } else if (dice < 80) {
        branch->emplace_back(core::TxnGet{tree_path()});
      } else if (dice < 90) {
        branch->emplace_back(core::TxnChildren{tree_path(), 5});
      } else {
        branch->emplace_back(core::Check{tree_path(), draw_guard()});
      }
    }
  }
  return txn;
}

core::Operation Client::draw_read() {
  const auto dice = world_.prng().below(100);
  if (dice < 25) {
    core::Get get;
    get.path = tree_path();
    get.with_value = world_.chance(80);
    return get;
  }
  if (dice < 50) {
    core::Get get;
    get.path = world_.chance(50) ? tree_path() : register_path();
    const auto last = world_.checker().said().value();
    get.at = Zxid(1 + world_.prng().below(last + 3));
    return get;
  }
  if (dice < 65) {
    core::GetChildren children;
    children.path = world_.chance(20) ? "/" : world_.chance(50) ? "/r" : "/t/d0";
    children.limit = 1 + static_cast<std::size_t>(world_.prng().below(20));
    if (world_.chance(30)) children.after = "k3";
    if (world_.chance(20)) children.prefix = "n";
    return children;
  }
  if (dice < 70) {
    core::Walk walk;
    walk.path = world_.chance(50) ? "/t/d1" : "/r";
    walk.with_values = world_.chance(50);
    return walk;
  }
  const auto last = world_.checker().said().value();
  if (dice < 85) {
    core::GetHistory history;
    history.path = world_.chance(50) ? tree_path() : register_path();
    history.limit = 1 + static_cast<std::size_t>(world_.prng().below(30));
    if (world_.chance(50)) history.before = Zxid(1 + world_.prng().below(last + 3));
    return history;
  }
  core::GetChanges changes;
  changes.from = Zxid(world_.prng().below(last + 2));
  changes.limit = 1 + static_cast<std::size_t>(world_.prng().below(50));
  return changes;
}

core::Request Client::draw_request() {
  core::Request request;
  request.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
  const auto dice = world_.prng().below(100);
  if (dice < 45) {
    request.op = draw_register();
  } else if (dice < 70) {
    request.op = draw_tree_write();
  } else if (dice < 78) {
    request.op = draw_txn();
  } else {
    request.op = draw_read();
  }
  if (session_ && world_.chance(60)) request.session = session_;
  if (core::is_write(request.op)) {
    if (world_.chance(50)) request.idempotency_key = fmt::format("k{}", last_token_ + 1);
  } else if (world_.chance(20)) {
    request.consistency = core::Consistency::local;
    if (world_.chance(50)) request.min_revision = last_revision_;
  } else if (world_.chance(20)) {
    request.consistency = core::Consistency::leader;
  }
  if (world_.chance(5) && world_.is_stormy()) request.timeout_ms = world_.between(1, 500);
  const bool is_impatient = world_.plan().has(Fault::late_answers) && world_.is_stormy();
  if (is_impatient && world_.chance(70)) request.timeout_ms = world_.between(20, 100);
  return request;
}

// As an operator does it: any member, any time, several at once.
// Now and then of somebody who was removed, or never came: to be refused.
core::Operation Client::draw_change(MemberId id) {
  const auto dice = world_.prng().below(100);
  if (dice < 35) {
    core::AddMember add;
    add.id = world_.may_hire() && world_.chance(60) ? world_.hire().id() : id;
    add.peer = fmt::format("10.1.0.{}:7000", add.id);
    add.role = world_.chance(75) ? core::MemberRole::standby : core::MemberRole::observer;
    const MemberId old(1 + world_.prng().below(world_.members().size()));
    if (world_.chance(40) && old != add.id) add.replaces = old;
    return add;
  }
  if (dice < 55) return core::RemoveMember{id};
  const auto role = world_.chance(60) ? core::MemberRole::voter : core::MemberRole::observer;
  return core::ChangeMember{id, role};
}

bool Client::ask_of_cluster() {
  const auto& plan = world_.plan();
  if (!world_.is_stormy() || !world_.prng().chance(1, 200)) return false;
  const MemberId id(1 + world_.prng().below(world_.members().size()));
  core::Request request;
  request.identities = {{"super", "operator"}};
  if (world_.chance(50)) {
    if (!plan.has(Fault::transfer)) return false;
    world_.count(Count::transfer);
    request.op = core::TransferLeader{world_.chance(50) ? id : MemberId()};
  } else {
    if (!plan.has(Fault::membership)) return false;
    request.op = draw_change(id);
  }
  ask(std::move(request));
  return true;
}

bool Client::ask_of_recipes() {
  if (!world_.plan().with_recipes || !session_ || !world_.chance(40)) return false;
  auto request = recipes_.draw(*session_);
  if (core::is_write(request.op) && world_.chance(50)) {
    request.idempotency_key = fmt::format("k{}", last_token_ + 1);
  }
  ask(std::move(request));
  return true;
}

bool Client::ask_as_operator(core::Operation op) {
  if (!connection_) return false;
  if (!world_.witness().membership().contains(member_->id())) {
    drop_connection();  // It knows nobody, and stays as it is.
    return false;
  }
  core::Request request;
  request.identities = {{"super", "operator"}};
  request.op = std::move(op);
  ask(std::move(request));
  return true;
}

bool Client::ask_transfer(MemberId to) {
  if (!ask_as_operator(core::TransferLeader{to})) return false;
  world_.count(Count::transfer);
  return true;
}

void Client::ask_something() {
  if (ask_of_cluster()) return;
  const bool waits = world_.plan().has(Fault::late_retries) && world_.is_stormy();
  if (!to_retry_.empty() && (!waits || world_.chance(3))) {
    auto again = std::move(to_retry_.back());
    to_retry_.pop_back();
    world_.count(Count::retry);
    return ask_again(std::move(again));
  }
  if (!session_ && !is_opening_ && world_.chance(10)) {
    is_opening_ = true;
    core::OpenSession open;
    const auto shortest = world_.plan().session_ttl_ms_min;
    const bool is_short = world_.plan().has(Fault::short_sessions) && world_.chance(50);
    open.ttl_ms = world_.between(shortest, is_short ? 2 * shortest : 5'000);
    for (auto& byte : open.secret) byte = static_cast<std::uint8_t>(world_.prng().below(256));
    core::Request request;
    request.identities = {{"ip", fmt::format("10.0.0.{}", number_)}};
    request.op = std::move(open);
    if (world_.chance(50)) request.idempotency_key = fmt::format("k{}", last_token_ + 1);
    return ask(std::move(request));
  }
  if (session_ && world_.prng().chance(1, 200)) {
    core::Request request;
    request.session = session_;
    request.op = core::CloseSession{session_->id, session::EndReason::closed};
    return ask(std::move(request));
  }
  if (ask_of_recipes()) return;
  ask(draw_request());
}

void Client::keep_alive() {
  if (!session_ || !keeps_alive_ || world_.now() < next_keepalive_us_) return;
  next_keepalive_us_ = world_.now() + session_ttl_ms_ * 300;
  if (world_.prng().chance(1, 20)) keeps_alive_ = false;  // From now on only requests do it.
  core::Request request;
  request.session = session_;
  request.op = core::Keepalive{session_->id};
  ask(std::move(request));
}

}  // namespace coord::sim
