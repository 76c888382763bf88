// Damage to what a disk held: found by every start, and in an ensemble the end of that member.
//
// The atlas: which copies may be damaged. A member with a damaged log or store does not start, so
// all that it held is lost with it; lost members are never so many that what is committed could be
// nowhere else, nor so many that the others could not replace them. The last batch of a log stays
// as it is: that it was there cannot be told from a write that the power loss cut off.
#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "coord/disk/recovery.hpp"
#include "coord/disk/wal_frame.hpp"
#include "coord/disk/wal_reader.hpp"
#include "tests/sim/client.hpp"
#include "tests/sim/member.hpp"
#include "tests/sim/witness.hpp"

namespace coord::sim {
namespace {

constexpr std::int64_t kAgainUs = 1'000'000;
constexpr std::uint64_t kSectorsMax = 16;

// What a recovery makes of the log that ends silently where the damage is (a mutant).
void stop_at_damage(SimDisk& disk, const std::string& file, std::uint64_t offset) {
  auto bytes = disk.content(file);
  std::fill(
      bytes.begin() + static_cast<std::ptrdiff_t>(offset / disk::kSectorBytes * disk::kSectorBytes),
      bytes.end(), '\0');
  disk.set_content(file, std::move(bytes));
  const auto names = disk.list();
  for (const auto& name : names.value()) {
    if (disk::parse_segment_name(name) && name > file) (void)disk.remove(name);
  }
}

// Is a majority of each half left, when all of these are gone?
bool outlives(const election::Membership& membership, const std::set<MemberId>& gone) {
  const auto has_majority = [&gone](const std::vector<MemberId>& voters) {
    const auto lost =
        std::count_if(voters.begin(), voters.end(), [&gone](auto id) { return gone.contains(id); });
    return voters.empty() || 2 * (voters.size() - static_cast<std::size_t>(lost)) > voters.size();
  };
  return has_majority(membership.voters) && has_majority(membership.outgoing);
}

}  // namespace

// ---------------------------------------------------------------- one member

std::optional<Member::Spot> Member::draw_spot() {
  auto scan = disk::read_wal(*disk_);
  if (!scan || scan.value().segments.empty()) return std::nullopt;
  const auto& segments = scan.value().segments;
  const auto which = static_cast<std::size_t>(world_.prng().below(segments.size()));
  const bool is_last = which + 1 == segments.size();
  const auto end = is_last ? scan.value().last_batch_offset : segments[which].used;
  if (end == 0 || segments.back().used == 0) return std::nullopt;
  return Spot{disk::segment_name(segments[which].sequence), end};
}

// Damage before the last batch must be refused, naming the file; then the disk is repaired (by
// hand, as it were). Returns false if it was not.
bool Member::check_damage() {
  const auto spot = draw_spot();
  if (!spot) return true;
  const auto& name = spot->file;
  const auto whole = disk_->content(name);
  const auto offset = world_.prng().below(spot->end);
  disk_->flip(name, offset, static_cast<std::uint8_t>(1U << world_.prng().below(8)));
  world_.count(Count::bit_rot);
  world_.note("bit rot", id_.value(), offset);
  auto copy = disk_->clone();
  if (world_.mutant() == Mutant::stop_at_bad_checksum) stop_at_damage(*copy, name, offset);
  const auto opened = disk::open_wal(*copy, world_.plan().wal);
  if (opened) {
    world_.fail(16, fmt::format("{} is damaged at {} and the log opens", name, offset));
    return false;
  }
  if (opened.error().failure != Failure::corrupt ||
      opened.error().message.find(name) == std::string::npos) {
    world_.fail(16, fmt::format("{} is damaged at {}: {}", name, offset, opened.error().message));
    return false;
  }
  disk_->set_content(name, whole);
  return true;
}

// A flipped bit; sectors that were never written, or hold what was there before; sectors that were
// written to another place. None: nothing has changed.
std::optional<Member::Damage> Member::damage_file() {
  const auto spot = draw_spot();
  if (!spot) return std::nullopt;
  auto& prng = world_.prng();
  const auto whole = disk_->content(spot->file);
  const auto dice = prng.below(3);
  if (dice == 0) {
    const auto offset = prng.below(spot->end);
    disk_->flip(spot->file, offset, static_cast<std::uint8_t>(1U << prng.below(8)));
    return Damage{spot->file, offset, "a flipped bit"};
  }
  const auto sectors = spot->end / disk::kSectorBytes;
  const auto at = prng.below(sectors);
  const auto size = static_cast<std::size_t>(std::min(1 + prng.below(kSectorsMax), sectors - at) *
                                             disk::kSectorBytes);
  const auto offset = static_cast<std::size_t>(at * disk::kSectorBytes);
  auto bytes = whole;
  if (dice == 1) {
    bytes.replace(offset, size, std::string(size, '\0'));
  } else {
    const auto other = static_cast<std::size_t>(prng.below(sectors) * disk::kSectorBytes);
    const auto moved =
        whole.substr(offset, std::min(size, static_cast<std::size_t>(spot->end) - other));
    bytes.replace(offset, size, std::string(size, '\0'));
    bytes.replace(other, moved.size(), moved);
  }
  if (bytes == whole) return std::nullopt;
  disk_->set_content(spot->file, std::move(bytes));
  return Damage{spot->file, offset, dice == 1 ? "a lost write" : "a misdirected write"};
}

// True: the mutant lets it start.
bool Member::mutate_damaged(const Damage& damage) {
  if (world_.mutant() == Mutant::damaged_comes_back_empty) {
    disk_ = std::make_unique<SimDisk>();
    store_ = ModelStore();
    return true;
  }
  if (world_.mutant() != Mutant::damage_cut_off || damage.file.empty()) return false;
  stop_at_damage(*disk_, damage.file, damage.offset);
  return true;
}

bool Member::damage_disk() {
  auto damage = world_.chance(70) ? damage_file() : std::nullopt;
  if (!damage && store_.damage(world_.prng())) damage = Damage{"", 0, "a damaged record"};
  if (!damage) return false;
  world_.count(Count::disk_damaged);
  world_.note("damage", id_.value(), damage->offset);
  if (world_.has_trace()) {
    world_.trace(fmt::format("member {}: {} in {}", id_, damage->what,
                             damage->file.empty() ? "the store" : damage->file));
  }
  if (mutate_damaged(*damage)) return false;
  const auto started =
      start_from(*disk_, store_, own_plan(), world_.plan().wal, first_membership());
  if (started) {
    world_.fail(16, fmt::format("{} in {} at {}, and the member starts", damage->what, damage->file,
                                damage->offset));
  } else if (started.error().failure != Failure::corrupt ||
             started.error().message.find(damage->file) == std::string::npos) {
    world_.fail(16, fmt::format("{} in {} at {}: {}", damage->what, damage->file, damage->offset,
                                started.error().message));
  }
  return true;
}

// ---------------------------------------------------------------- the ensemble

bool World::may_lose(MemberId id) const {
  auto gone = lost_;
  gone.insert(id);
  const auto& voters = witness_->membership().voters;
  if (std::find(voters.begin(), voters.end(), id) == voters.end()) return false;
  return outlives(witness_->membership(), gone) &&
         std::all_of(members_.begin(), members_.end(), [&gone](const auto& member) {
           return !member->is_up() || outlives(member->node().raft().membership(), gone);
         });
}

bool World::has_lost_members() const {
  return std::any_of(lost_.begin(), lost_.end(),
                     [this](auto id) { return witness_->membership().contains(id); });
}

void World::lose(Member& member) {
  if (!may_hire() || !may_lose(member.id())) return;
  member.end(Member::End::power);
  if (!member.damage_disk()) return;
  lost_.insert(member.id());
  outside_.insert(member.id());
  member.retire();
  replace_lost(member.id(), hire().id());
}

// An operator asks until it is done, any member: some know no leader, or nobody yet.
void World::replace_lost(MemberId lost, MemberId with) {
  after(between(kAgainUs / 2, 2 * kAgainUs), [this, lost, with] {
    if (!witness_->membership().contains(lost)) return count(Count::member_replaced);
    core::AddMember add;
    add.id = with;
    add.peer = fmt::format("10.1.0.{}:7000", with);
    add.replaces = lost;
    (void)clients_[static_cast<std::size_t>(prng_.below(clients_.size()))]->ask_as_operator(add);
    replace_lost(lost, with);
  });
}

}  // namespace coord::sim
