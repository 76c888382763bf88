#include "session/retry.hpp"

#include <absl/container/flat_hash_set.h>
#include <absl/hash/hash.h>
#include <absl/strings/string_view.h>

#include <deque>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"

namespace coord::session {
namespace {

constexpr std::uint8_t kRetryFormat = 1;
constexpr std::size_t kKeyBytes = 12;

// Entries come at the back and leave at the front: a queue, and a set of places in it.
struct Slot {
  RetryEntry entry;
  std::string text;  // The scope and then the key: one allocation for both.
  std::uint32_t scope_bytes = 0;
  std::uint32_t ordinal = 0;  // Among the entries of one zxid, from 0.

  [[nodiscard]] std::string_view scope() const noexcept {
    return std::string_view(text).substr(0, scope_bytes);
  }
  [[nodiscard]] std::string_view key() const noexcept {
    return std::string_view(text).substr(scope_bytes);
  }
};

std::string key_of(const Slot& slot) {
  std::string key;
  append_big_endian(key, slot.entry.zxid.value());
  for (int shift = 24; shift >= 0; shift -= 8) {
    key.push_back(static_cast<char>(slot.ordinal >> shift));
  }
  return key;
}

std::string encode(const Slot& slot) {
  std::string bytes;
  bytes.reserve(slot.text.size() + slot.entry.outcome.size() + 32);
  Writer out(bytes);
  out.u8(kRetryFormat);
  out.bytes(slot.scope());
  out.bytes(slot.key());
  out.u64(slot.entry.request_hash);
  out.svarint(slot.entry.service_ms);
  out.bytes(slot.entry.outcome);
  return bytes;
}

Slot make_slot(std::string_view scope, std::string_view key, RetryEntry entry) {
  Slot slot;
  slot.entry = std::move(entry);
  slot.text.reserve(scope.size() + key.size());
  slot.text.append(scope).append(key);
  slot.scope_bytes = static_cast<std::uint32_t>(scope.size());
  return slot;
}

// A place in the queue, numbered from the first entry ever, with the hash of what lies there, so
// that growing the set does not touch the slots.
struct Place {
  std::uint64_t number = 0;
  std::size_t hash = 0;
};
struct Wanted {
  std::string_view scope;
  std::string_view key;
  std::size_t hash = 0;
};

std::size_t hash_of(std::string_view scope, std::string_view key) {
  return absl::HashOf(absl::string_view(scope.data(), scope.size()),
                      absl::string_view(key.data(), key.size()));
}

struct Queue {
  std::deque<Slot> slots;
  std::uint64_t first = 0;  // The number of the front slot.

  [[nodiscard]] const Slot& at(std::uint64_t number) const {
    COORD_CHECK(number >= first && number - first < slots.size(), "a place is in the queue");
    return slots[static_cast<std::size_t>(number - first)];
  }
};

struct PlaceHash {
  using is_transparent = void;
  std::size_t operator()(const Place& place) const noexcept { return place.hash; }
  std::size_t operator()(const Wanted& wanted) const noexcept { return wanted.hash; }
};
struct PlaceEqual {
  using is_transparent = void;
  const Queue* queue;
  bool operator()(const Place& a, const Place& b) const noexcept { return a.number == b.number; }
  bool operator()(const Place& place, const Wanted& wanted) const {
    if (place.hash != wanted.hash) return false;
    const auto& slot = queue->at(place.number);
    return slot.scope() == wanted.scope && slot.key() == wanted.key;
  }
  bool operator()(const Wanted& wanted, const Place& place) const { return (*this)(place, wanted); }
};

}  // namespace

struct RetryWindow::Impl {
  explicit Impl(RetryLimits wanted) : limits(wanted) {}

  RetryLimits limits;
  Queue queue;
  absl::flat_hash_set<Place, PlaceHash, PlaceEqual> places{0, PlaceHash(), PlaceEqual{&queue}};
  std::uint64_t digest = 0;

  [[nodiscard]] const Slot* find(std::string_view scope, std::string_view key) const {
    const auto at = places.find(Wanted{scope, key, hash_of(scope, key)});
    return at == places.end() ? nullptr : &queue.at(at->number);
  }
  void push(Slot slot) {
    const Place place{queue.first + queue.slots.size(), hash_of(slot.scope(), slot.key())};
    queue.slots.push_back(std::move(slot));
    places.insert(place);
  }
  void pop(DirtyMap& dirty) {
    const auto& slot = queue.slots.front();
    const auto key = key_of(slot);
    digest -= record_hash(Table::retry, key, encode(slot));
    dirty.erase(Table::retry, key);
    const auto erased = places.erase(Place{queue.first, hash_of(slot.scope(), slot.key())});
    COORD_CHECK(erased == 1, "every entry is in the set");
    queue.slots.pop_front();
    ++queue.first;
  }
  [[nodiscard]] bool may_leave(std::int64_t service_ms) const {
    if (queue.slots.empty()) return false;
    if (queue.slots.size() > limits.entries_max) return true;
    if (queue.slots.size() <= limits.entries_kept) return false;
    return service_ms - queue.slots.front().entry.service_ms > limits.age_ms;
  }
};

RetryWindow::RetryWindow(RetryLimits limits) : impl_(std::make_unique<Impl>(limits)) {}
RetryWindow::~RetryWindow() = default;
RetryWindow::RetryWindow(RetryWindow&&) noexcept = default;
RetryWindow& RetryWindow::operator=(RetryWindow&&) noexcept = default;

const RetryEntry* RetryWindow::find(std::string_view scope, std::string_view key) const {
  const auto* slot = impl_->find(scope, key);
  return slot == nullptr ? nullptr : &slot->entry;
}

void RetryWindow::insert(std::string_view scope, std::string_view key, RetryEntry entry,
                         DirtyMap& dirty) {
  COORD_CHECK(find(scope, key) == nullptr, "a key is inserted once");
  auto slot = make_slot(scope, key, std::move(entry));
  if (!impl_->queue.slots.empty()) {
    const auto& last = impl_->queue.slots.back();
    COORD_CHECK(slot.entry.zxid >= last.entry.zxid, "entries come in the order of zxids");
    if (slot.entry.zxid == last.entry.zxid) slot.ordinal = last.ordinal + 1;
  }
  const auto record_key = key_of(slot);
  auto bytes = encode(slot);
  impl_->digest += record_hash(Table::retry, record_key, bytes);
  dirty.put(Table::retry, record_key, std::move(bytes));
  impl_->push(std::move(slot));
}

void RetryWindow::trim(std::int64_t service_ms, std::size_t most, DirtyMap& dirty) {
  for (std::size_t i = 0; i < most && impl_->may_leave(service_ms); ++i) impl_->pop(dirty);
}

std::size_t RetryWindow::size() const noexcept { return impl_->queue.slots.size(); }
std::uint64_t RetryWindow::digest() const noexcept { return impl_->digest; }

std::string RetryWindow::load(std::string_view key, std::string_view bytes) {
  if (key.size() != kKeyBytes) return "a record of the retry window has a malformed key";
  const Zxid zxid(read_big_endian(key));
  std::uint32_t ordinal = 0;
  for (const char byte : key.substr(8)) ordinal = ordinal << 8 | static_cast<std::uint8_t>(byte);
  Reader in(bytes);
  const auto format = in.u8();
  const auto scope = in.bytes();
  const auto idempotency_key = in.bytes();
  RetryEntry entry;
  entry.zxid = zxid;
  entry.request_hash = in.u64();
  entry.service_ms = in.svarint();
  entry.outcome = in.bytes();
  if (!in.done() || format != kRetryFormat) {
    return fmt::format("the record of the retry window at {} is malformed", zxid);
  }
  if (!impl_->queue.slots.empty()) {
    const auto& last = impl_->queue.slots.back();
    if (std::pair(zxid, ordinal) <= std::pair(last.entry.zxid, last.ordinal)) {
      return fmt::format("the record of the retry window at {} is out of order", zxid);
    }
  }
  if (find(scope, idempotency_key) != nullptr) {
    return fmt::format("the record of the retry window at {} repeats a key", zxid);
  }
  auto slot = make_slot(scope, idempotency_key, std::move(entry));
  slot.ordinal = ordinal;
  impl_->digest += record_hash(Table::retry, key, bytes);
  impl_->push(std::move(slot));
  return {};
}

void RetryWindow::put_all(DirtyMap& dirty) const {
  for (const auto& slot : impl_->queue.slots) dirty.put(Table::retry, key_of(slot), encode(slot));
}

void RetryWindow::check_invariants() const {
  std::uint64_t sum = 0;
  const Slot* before = nullptr;
  for (const auto& slot : impl_->queue.slots) {
    COORD_CHECK(impl_->find(slot.scope(), slot.key()) == &slot, "every entry is found",
                slot.entry.zxid);
    if (before != nullptr) {
      COORD_CHECK(
          std::pair(before->entry.zxid, before->ordinal) < std::pair(slot.entry.zxid, slot.ordinal),
          "entries lie in the order of age", slot.entry.zxid);
    }
    before = &slot;
    sum += record_hash(Table::retry, key_of(slot), encode(slot));
  }
  COORD_CHECK(impl_->places.size() == impl_->queue.slots.size(), "the set is that of the queue");
  COORD_CHECK(sum == impl_->digest, "the digest is the sum over the records");
}

}  // namespace coord::session
