#include "znode/acl_table.hpp"

#include <fmt/format.h>

#include <utility>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"

namespace coord::znode {
namespace {

std::string text_of(const Acl& acl) {
  std::string text;
  Writer out(text);
  encode(acl, out);
  return text;
}

std::string key_of(std::uint64_t id) {
  std::string key;
  append_big_endian(key, id);
  return key;
}

}  // namespace

AclTable::AclTable() : slots_(1) { fill(kOpen, open_acl(), text_of(open_acl())); }

std::uint32_t AclTable::intern(const Acl& acl, NodeId& next_id) {
  auto text = text_of(acl);
  if (const auto at = by_text_.find(text); at != by_text_.end()) return at->second;
  const auto slot = take_slot();
  slots_[slot].id = next_id.value();
  next_id = next_id.next();
  fill(slot, acl, std::move(text));
  touch(slot);
  return slot;
}

void AclTable::add_reference(std::uint32_t slot) {
  COORD_CHECK(slot < slots_.size() && slots_[slot].is_used, "an ACL's slot is used", slot);
  if (slot == kOpen) return;
  ++slots_[slot].references;
}

void AclTable::drop_reference(std::uint32_t slot) {
  if (slot == kOpen) return;
  COORD_CHECK(slots_[slot].references > 0, "an ACL is referred to", slot);
  if (--slots_[slot].references == 0) touch(slot);
}

std::uint64_t AclTable::commit(DirtyMap& dirty) {
  std::uint64_t digest = 0;
  for (const auto index : touched_) {
    auto& slot = slots_[index];
    slot.is_touched = false;
    const bool is_wanted = slot.references > 0;
    if (is_wanted != slot.is_stored) {
      const auto key = key_of(slot.id);
      auto text = text_of(slot.acl);
      const auto hash = record_hash(Table::acls, key, text);
      if (is_wanted) {
        digest += hash;
        dirty.put(Table::acls, key, std::move(text));
      } else {
        digest -= hash;
        dirty.erase(Table::acls, key);
      }
      slot.is_stored = is_wanted;
    }
    if (!is_wanted) free_slot(index);
  }
  touched_.clear();
  return digest;
}

void AclTable::rollback() {
  for (const auto index : touched_) {
    auto& slot = slots_[index];
    slot.is_touched = false;
    COORD_CHECK((slot.references > 0) == slot.is_stored, "references are as they were", index);
    if (!slot.is_stored) free_slot(index);
  }
  touched_.clear();
}

std::uint32_t AclTable::slot_to_load(std::uint64_t id) {
  const auto [at, is_new] = loading_.try_emplace(id, 0);
  if (is_new) {
    at->second = take_slot();
    slots_[at->second].id = id;
  }
  return at->second;
}

std::string AclTable::load(std::uint64_t id, std::string_view bytes) {
  const auto at = loading_.find(id);
  if (at == loading_.end()) return fmt::format("acl {} is used by no node", id);
  Reader in(bytes);
  auto acl = decode_acl(in);
  if (!in.done() || acl.empty() || text_of(acl) != bytes)
    return fmt::format("acl {} does not decode", id);
  if (by_text_.contains(bytes)) return fmt::format("acl {} is there twice", id);
  fill(at->second, std::move(acl), std::string(bytes));
  slots_[at->second].is_stored = true;
  loading_.erase(at);
  return {};
}

std::string AclTable::load_done() {
  if (loading_.empty()) return {};
  // The least, so that every member says the same.
  std::uint64_t least = UINT64_MAX;
  for (std::size_t i = 1; i < slots_.size(); ++i) {
    if (slots_[i].is_used && !slots_[i].is_stored) least = std::min(least, slots_[i].id);
  }
  return fmt::format("acl {} is missing", least);
}

void AclTable::for_each_record(const RecordVisitor& visit) const {
  for (const auto& slot : slots_) {
    if (slot.is_stored) visit(Table::acls, key_of(slot.id), text_of(slot.acl));
  }
}

std::uint32_t AclTable::take_slot() {
  if (free_.empty()) {
    slots_.emplace_back();
    slots_.back().is_used = true;
    return static_cast<std::uint32_t>(slots_.size() - 1);
  }
  const auto slot = free_.back();
  free_.pop_back();
  slots_[slot].is_used = true;
  return slot;
}

void AclTable::free_slot(std::uint32_t slot) {
  by_text_.erase(text_of(slots_[slot].acl));
  slots_[slot] = Slot{};
  free_.push_back(slot);
}

void AclTable::fill(std::uint32_t slot, Acl acl, std::string text) {
  auto& target = slots_[slot];
  target.is_used = true;
  target.is_readable = is_allowed(acl, read, {});
  target.acl = std::move(acl);
  by_text_[std::move(text)] = slot;
}

void AclTable::touch(std::uint32_t slot) {
  if (slots_[slot].is_touched) return;
  slots_[slot].is_touched = true;
  touched_.push_back(slot);
}

}  // namespace coord::znode
