#include "tests/sim/network.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "tests/sim/member.hpp"
#include "tests/sim/world.hpp"

namespace coord::sim {
namespace {

constexpr std::size_t kOldMax = 256;
constexpr std::size_t kTermsMax = 4;
constexpr std::int64_t kResendUs = 200 * kMs;  // As TCP does what was lost.
constexpr std::int64_t kCalmUs = 300;

// Each message is what its wire form says.
core::Message through_wire(const core::Message& message) {
  core::Message copy;
  const auto bytes = core::encode(message);
  COORD_CHECK(core::decode(bytes, copy), "a message can be read back", message.body.index());
  return copy;
}

}  // namespace

Member* Network::find(MemberId id) {
  for (auto& member : world_.members()) {
    if (member->id() == id) return member.get();
  }
  return nullptr;
}

std::int64_t Network::delay() {
  const auto mean = world_.plan().peers_us;
  return world_.delay(world_.is_stormy() ? mean : std::min(mean, kCalmUs));
}

// ---------------------------------------------------------------- messages

void Network::send(std::vector<core::Message> messages) {
  constexpr std::uint64_t kWireOneIn = 4;
  for (auto& message : messages) {
    world_.count(Count::message_sent);
    if (const auto* body = std::get_if<election::Body>(&message.body);
        body != nullptr && std::holds_alternative<election::TimeoutNow>(*body)) {
      world_.on_hand_over(message.from, message.to);
    }
    // The wire form refuses what this mutant sends.
    const bool has_wire_form = world_.mutant() != Mutant::commit_unverified;
    if (++sent_ % kWireOneIn == 0 && has_wire_form) message = through_wire(message);
    if (world_.plan().has(Fault::loose_links)) {
      carry_loose(message);
    } else {
      carry_in_order(message);
    }
  }
}

void Network::arrive(const core::Message& message) {
  if (auto* member = find(message.to)) member->receive(core::PeerMessage{message});
}

void Network::carry_loose(const core::Message& message) {
  const auto& plan = world_.plan();
  const auto carry = [this](const core::Message& what) {
    const auto& way = ways_[{what.from, what.to}];
    const auto at = std::max(way.clogged_until_us, world_.now() + delay());
    world_.after(at - world_.now(), [this, what] {
      if (ways_[{what.from, what.to}].cuts == 0) arrive(what);
    });
  };
  if (!world_.is_stormy()) {
    auto& way = ways_[{message.from, message.to}];
    way.last_arrival_us = std::max(way.last_arrival_us + 1, world_.now() + delay());
    world_.after(way.last_arrival_us - world_.now(), [this, message] {
      if (ways_[{message.from, message.to}].cuts == 0) arrive(message);
    });
    return;
  }
  if (world_.prng().chance(plan.lost_permille, 1'000)) return world_.count(Count::message_lost);
  if (plan.has(Fault::late_answers)) keep(message);
  carry(message);
  if (world_.prng().chance(plan.doubled_permille, 1'000)) {
    world_.count(Count::message_doubled);
    carry(message);
  }
  if (!old_.empty() && world_.prng().chance(plan.replayed_permille, 1'000)) {
    world_.count(Count::message_replayed);
    carry(old_[static_cast<std::size_t>(world_.prng().below(old_.size()))]);
  }
  if (old_.size() < kOldMax) {
    old_.push_back(message);
  } else {
    old_[static_cast<std::size_t>(world_.prng().below(kOldMax))] = message;
  }
}

void Network::keep(const core::Message& message) {
  const auto* body = std::get_if<election::Body>(&message.body);
  const auto* reply = body == nullptr ? nullptr : std::get_if<election::AppendReply>(body);
  if (reply == nullptr || !reply->success) return;
  auto& kept = acknowledgements_[{message.from, message.to}];
  kept.insert_or_assign(reply->term, message);
  if (kept.size() > kTermsMax) kept.erase(kept.begin());
}

// Who leads again hears once more what it was told when it led before.
void Network::on_leader(MemberId id) {
  if (!world_.is_stormy()) return;
  for (const auto& [way, kept] : acknowledgements_) {
    if (way.second != id) continue;
    for (const auto& [term, message] : kept) {
      world_.count(Count::message_replayed);
      for (auto i = world_.between(1, 3); i > 0; --i) {
        world_.after(world_.between(1, 800 * kMs), [this, message = message] { arrive(message); });
      }
    }
    // What it said then is not made true meanwhile.
    const auto left = world_.plan().faults_end_us - world_.now();
    if (world_.chance(30)) clog(id, way.first, std::min(world_.between(1, 1'000 * kMs), left));
  }
}

void Network::carry_in_order(const core::Message& message) {
  const auto& link = links_[pair_of(message.from, message.to)];
  if (!link.is_up) return world_.count(Count::message_lost);
  auto& way = ways_[{message.from, message.to}];
  auto takes = delay();
  while (world_.is_stormy() && world_.prng().chance(world_.plan().lost_permille, 1'000)) {
    takes += kResendUs;
  }
  auto at = std::max({way.last_arrival_us + 1, way.clogged_until_us, world_.now() + takes});
  way.last_arrival_us = at;
  world_.after(at - world_.now(), [this, message, epoch = link.epoch] {
    if (links_[pair_of(message.from, message.to)].epoch != epoch) {
      return world_.count(Count::message_lost);
    }
    auto& now = ways_[{message.from, message.to}];
    if (now.cuts > 0 || !now.held.empty()) {
      now.held.push_back(message);
    } else {
      arrive(message);
    }
  });
}

// ---------------------------------------------------------------- links

void Network::on_start(MemberId id) {
  for (const auto& other : world_.members()) {
    if (other->id() != id) try_link(id, other->id(), world_.between(1 * kMs, 50 * kMs));
  }
}

void Network::on_end(MemberId id, bool is_power) {
  for (const auto& other : world_.members()) {
    if (other->id() == id) continue;
    auto& link = links_[pair_of(id, other->id())];
    if (!link.is_up) continue;
    link.is_up = false;
    ++link.epoch;
    ways_[{id, other->id()}].held.clear();
    ways_[{other->id(), id}].held.clear();
    // The kernel of a killed process closes its connections; a machine without power says nothing.
    tell_down(other->id(), id,
              is_power ? world_.between(500 * kMs, 3'000 * kMs) : world_.between(100, 20 * kMs));
  }
}

void Network::try_link(MemberId a, MemberId b, std::int64_t in_us) {
  auto& link = links_[pair_of(a, b)];
  if (link.is_trying || link.is_up) return;
  link.is_trying = true;
  world_.after(in_us, [this, a, b] {
    auto& now = links_[pair_of(a, b)];
    now.is_trying = false;
    auto* one = find(a);
    auto* other = find(b);
    if (now.is_up || one == nullptr || other == nullptr || !one->is_up() || !other->is_up()) return;
    if (ways_[{a, b}].cuts > 0 || ways_[{b, a}].cuts > 0) {
      return try_link(a, b, world_.between(50 * kMs, 300 * kMs));
    }
    now.is_up = true;
    ++now.epoch;
    world_.count(Count::link_up);
    world_.note("link", a.value(), b.value(), now.epoch);
    tell_up(a, b);
    tell_up(b, a);
  });
}

void Network::tell_up(MemberId at, MemberId peer) {
  auto* member = find(at);
  auto* other = find(peer);
  if (member == nullptr || other == nullptr) return;
  member->receive(core::PeerUp{peer, peer.value(), fmt::format("10.1.0.{}:8080", peer), "", "1"});
}

void Network::tell_down(MemberId at, MemberId peer, std::int64_t in_us) {
  world_.after(in_us, [this, at, peer, epoch = links_[pair_of(at, peer)].epoch] {
    // A new link came first: then the old one's end is no news.
    if (links_[pair_of(at, peer)].epoch != epoch) return;
    if (auto* member = find(at)) member->receive(core::PeerDown{peer});
  });
}

void Network::break_link(MemberId a, MemberId b) {
  auto& link = links_[pair_of(a, b)];
  if (!link.is_up) return;
  world_.count(Count::link_broken);
  link.is_up = false;
  ++link.epoch;
  ways_[{a, b}].held.clear();
  ways_[{b, a}].held.clear();
  tell_down(a, b, world_.between(1, 20 * kMs));
  tell_down(b, a, world_.between(1, 20 * kMs));
  try_link(a, b, world_.between(20 * kMs, 300 * kMs));
}

void Network::false_hint(MemberId at, MemberId peer) {
  if (auto* member = find(at)) member->receive(core::PeerDown{peer});
}

// ---------------------------------------------------------------- cuts

void Network::cut(MemberId from, MemberId to) {
  auto& way = ways_[{from, to}];
  if (++way.cuts > 1) return;
  world_.note("cut", from.value(), to.value());
  const auto number = ++way.cut_number;
  // The kernel gives up at some time.
  world_.after(world_.between(200 * kMs, 3'000 * kMs), [this, from, to, number] {
    const auto& now = ways_[{from, to}];
    if (now.cuts > 0 && now.cut_number == number) break_link(from, to);
  });
}

void Network::heal(MemberId from, MemberId to) {
  auto& way = ways_[{from, to}];
  if (way.cuts == 0 || --way.cuts > 0) return;
  world_.note("healed", from.value(), to.value());
  for (auto& message : std::exchange(way.held, {})) arrive(message);
}

void Network::clog(MemberId from, MemberId to, std::int64_t for_us) {
  auto& way = ways_[{from, to}];
  way.clogged_until_us = std::max(way.clogged_until_us, world_.now() + for_us);
}

}  // namespace coord::sim
