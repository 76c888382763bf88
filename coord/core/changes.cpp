#include "coord/core/changes.hpp"

#include <algorithm>
#include <iterator>
#include <memory>
#include <utility>

#include "coord/base/checksum.hpp"
#include "coord/base/codec.hpp"
#include "coord/base/overloaded.hpp"

namespace coord::core {
namespace {

constexpr std::size_t kFirstStep = 16;
constexpr unsigned kEpochBits = 16;
constexpr std::size_t kEpochBytes = 6;

std::uint64_t epoch_of(Zxid zxid) noexcept { return zxid.value() >> kEpochBits; }
Zxid last_of(std::uint64_t epoch) noexcept {
  return Zxid((epoch << kEpochBits) | ((1U << kEpochBits) - 1));
}

// Below every key of the path in this epoch.
std::string path_prefix(std::uint64_t epoch, std::uint64_t hash) {
  std::string key;
  key.reserve(kPathKeyBytes);
  append_big_endian(key, epoch << kEpochBits);
  key.resize(kEpochBytes);
  append_big_endian(key, hash);
  return key;
}

// The key in `changes` of a key in `change_paths`.
std::string change_key_of(std::string_view path_key) {
  std::string key(path_key.substr(0, kEpochBytes));
  key += path_key.substr(kEpochBytes + kPathHashBytes);
  return key;
}

// Of the oldest change that is retained, or none.
std::string read_oldest(const StoreReader& reader, std::optional<Zxid>& oldest) {
  return reader.scan(Table::changes, {}, {}, [&](std::string_view key, std::string_view) {
    if (key.size() == kChangeKeyBytes) oldest = Zxid(read_big_endian(key));
    return !oldest;
  });
}

void append_ordinal(std::string& out, std::uint32_t ordinal) {
  for (int shift = 24; shift >= 0; shift -= 8) out.push_back(static_cast<char>(ordinal >> shift));
}

StoreAnswer read_changes(const ReadChanges& ask, const StoreReader& reader) {
  StoreAnswer answer;
  answer.through = ask.from;
  std::shared_ptr<znode::ChangeBatch> open;
  std::size_t bytes = 0;
  bool is_full = false;
  std::string damage;
  answer.error = reader.scan(
      Table::changes, change_key(ask.from, UINT32_MAX), change_key(ask.through, UINT32_MAX),
      [&](std::string_view key, std::string_view record) {
        if (key.size() != kChangeKeyBytes) {
          damage = "a change record has a malformed key";
          return false;
        }
        const Zxid zxid(read_big_endian(key));
        if (open && open->zxid != zxid) {
          answer.through = open->zxid;
          bytes += znode::bytes_of(*open);
          answer.batches.push_back(std::move(open));
          open = nullptr;
          is_full = bytes >= ask.bytes_max || answer.batches.size() >= ask.batches_max;
          if (is_full) return false;
        }
        if (!open) {
          open = std::make_shared<znode::ChangeBatch>();
          open->zxid = zxid;
        }
        if (!decode_stored(record, open->wall_ms, open->changes.emplace_back())) {
          damage = fmt::format("the change record at revision {} is malformed", zxid);
          return false;
        }
        return true;
      });
  if (!damage.empty()) answer.error = damage;
  if (!answer.error.empty()) return answer;
  if (is_full) return answer;
  if (open) answer.batches.push_back(std::move(open));
  answer.through = ask.through;
  return answer;
}

// The changes of one path whose zxids are given, in that order, read from the table of changes.
std::string read_entries(const std::vector<std::string>& keys, const std::string& path,
                         const StoreReader& reader, std::vector<HistoryEntry>& out) {
  for (const auto& key : keys) {
    std::optional<std::string> record;
    if (auto error = reader.get(Table::changes, key, record); !error.empty()) return error;
    if (!record) continue;  // Trimmed between the two reads.
    HistoryEntry entry;
    entry.zxid = Zxid(read_big_endian(key));
    if (!decode_stored(*record, entry.wall_ms, entry.change)) {
      return fmt::format("the change record at revision {} is malformed", entry.zxid);
    }
    if (entry.change.path == path) out.push_back(std::move(entry));
  }
  return {};
}

StoreAnswer read_history(const ReadHistory& ask, const StoreReader& reader) {
  StoreAnswer answer;
  answer.through = ask.through;
  const auto hash = path_hash(ask.path);
  const auto last =
      ask.before && ask.before.previous() < ask.through ? ask.before.previous() : ask.through;
  std::optional<Zxid> oldest;
  answer.error = read_oldest(reader, oldest);
  if (!answer.error.empty() || !oldest || *oldest > last) return answer;
  // An epoch is in ascending order and the newest are wanted: gather its keys, turn them round.
  std::vector<std::string> keys;
  auto end_epoch = epoch_of(last) + 1;  // Those below it are not looked into yet.
  for (; end_epoch > epoch_of(*oldest) && keys.size() <= ask.limit; --end_epoch) {
    const auto epoch = end_epoch - 1;
    std::vector<std::string> found;
    answer.error = reader.scan(Table::change_paths, path_prefix(epoch, hash),
                               change_path_key(hash, std::min(last, last_of(epoch)), UINT32_MAX),
                               [&](std::string_view key, std::string_view) {
                                 if (key.size() == kPathKeyBytes)
                                   found.push_back(change_key_of(key));
                                 return true;
                               });
    if (!answer.error.empty()) return answer;
    keys.insert(keys.end(), std::make_move_iterator(found.rbegin()),
                std::make_move_iterator(found.rend()));
  }
  if (keys.size() > ask.limit) {
    // Never cut one revision in half: the next page starts below the last whole one.
    auto end = ask.limit;
    while (end < keys.size() && keys[end].compare(0, 8, keys[ask.limit - 1], 0, 8) == 0) ++end;
    answer.is_last = end == keys.size() && end_epoch == epoch_of(*oldest);
    keys.resize(end);
  }
  answer.error = read_entries(keys, ask.path, reader, answer.entries);
  return answer;
}

StoreAnswer read_first_after(const ReadFirstAfter& ask, const StoreReader& reader) {
  StoreAnswer answer;
  answer.through = ask.through;
  const auto hash = path_hash(ask.path);
  std::optional<Zxid> oldest;
  answer.error = read_oldest(reader, oldest);
  if (!answer.error.empty() || !oldest) return answer;
  auto epoch = epoch_of(std::max(*oldest, ask.after));
  auto from = epoch == epoch_of(ask.after) ? change_path_key(hash, ask.after, UINT32_MAX)
                                           : path_prefix(epoch, hash);
  // A few keys at a time: changes of the ACL carry no value, and another path may have this hash.
  while (epoch <= epoch_of(ask.through)) {
    std::vector<std::string> keys;
    const auto last = change_path_key(hash, std::min(ask.through, last_of(epoch)), UINT32_MAX);
    std::string next;
    bool is_over = true;
    answer.error =
        reader.scan(Table::change_paths, from, last, [&](std::string_view key, std::string_view) {
          if (key.size() != kPathKeyBytes) return true;
          keys.push_back(change_key_of(key));
          is_over = keys.size() < kFirstStep;
          if (!is_over) next = key;
          return is_over;
        });
    if (!answer.error.empty()) return answer;
    from = is_over ? path_prefix(++epoch, hash) : std::move(next);
    std::vector<HistoryEntry> found;
    answer.error = read_entries(keys, ask.path, reader, found);
    if (!answer.error.empty()) return answer;
    for (auto& entry : found) {
      if (entry.change.kind == znode::ChangeKind::acl) continue;
      answer.entries.push_back(std::move(entry));
      return answer;
    }
  }
  return answer;
}

}  // namespace

std::uint64_t path_hash(std::string_view path) noexcept { return checksum(path, 0x70617468); }

std::string change_key(Zxid zxid, std::uint32_t ordinal) {
  std::string key;
  append_big_endian(key, zxid.value());
  append_ordinal(key, ordinal);
  return key;
}

std::string change_path_key(std::uint64_t hash, Zxid zxid, std::uint32_t ordinal) {
  auto key = path_prefix(epoch_of(zxid), hash);
  key.push_back(static_cast<char>(zxid.value() >> 8U));
  key.push_back(static_cast<char>(zxid.value()));
  append_ordinal(key, ordinal);
  return key;
}

std::string change_path_key_of(std::string_view key, std::string_view bytes) {
  std::string path_key;
  path_key.reserve(kPathKeyBytes);
  path_key += key.substr(0, kEpochBytes);
  path_key += bytes.substr(0, kPathHashBytes);
  path_key += key.substr(kEpochBytes);
  return path_key;
}

void append_stored(std::string& bytes, const znode::ChangeBatch& batch, std::size_t ordinal) {
  const auto& change = batch.changes[ordinal];
  bytes.reserve(bytes.size() + 128 + change.path.size() + change.value.size() +
                change.prev_value.size());
  append_big_endian(bytes, path_hash(change.path));
  Writer out(bytes);
  out.svarint(batch.wall_ms);
  znode::encode(change, out);
}

std::string encode_stored(const znode::ChangeBatch& batch, std::size_t ordinal) {
  std::string bytes;
  append_stored(bytes, batch, ordinal);
  return bytes;
}

bool decode_stored(std::string_view bytes, std::int64_t& wall_ms, znode::Change& change) {
  if (bytes.size() < 8) return false;
  Reader in(bytes.substr(8));
  wall_ms = in.svarint();
  change = znode::decode_change(in);
  return in.done() && read_big_endian(bytes) == path_hash(change.path);
}

StoreAnswer answer(const StoreRead& read, const StoreReader& reader) {
  auto found = std::visit(
      Overloaded{[&](const ReadChanges& ask) { return read_changes(ask, reader); },
                 [&](const ReadHistory& ask) { return read_history(ask, reader); },
                 [&](const ReadFirstAfter& ask) { return read_first_after(ask, reader); }},
      read.question);
  found.token = read.token;
  return found;
}

}  // namespace coord::core
