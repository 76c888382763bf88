#include "coord/disk/snapshot_stream.hpp"

#include <utility>

#include "coord/base/codec.hpp"

namespace coord::disk {
namespace {

constexpr std::string_view kMagic = "coordSN2";
constexpr std::size_t kHeadBytes = 8 + 3 * 8 + 8;
constexpr std::size_t kEndBytes = 1 + 8 + 8;
constexpr std::uint8_t kEnd = 0xff;
constexpr std::size_t kKeyBytesMax = 511;
// More than any record has: beyond it a length is damage, and nothing is gathered for it.
constexpr std::size_t kValueBytesMax = 256U << 20;

std::uint64_t chain_on(std::uint64_t chain, std::uint64_t hash) {
  std::string bytes;
  Writer(bytes).u64(hash);
  return checksum(bytes, chain);
}

std::uint64_t read_u64(std::string_view in, std::size_t at) {
  Reader reader(in.substr(at, 8));
  return reader.u64();
}

// A varint at the front of `in`, moved over. False: it is not whole yet, or none at all.
enum class Length : std::uint8_t { whole, partial, malformed };
Length take_length(std::string_view& in, std::size_t max, std::size_t& value) {
  std::uint64_t v = 0;
  for (std::size_t i = 0; i < 10; ++i) {
    if (i == in.size()) return Length::partial;
    const auto byte = static_cast<std::uint8_t>(in[i]);
    v |= static_cast<std::uint64_t>(byte & 0x7f) << (7 * i);
    if (v > max) return Length::malformed;
    if ((byte & 0x80) != 0) continue;
    in.remove_prefix(i + 1);
    value = static_cast<std::size_t>(v);
    return Length::whole;
  }
  return Length::malformed;
}

}  // namespace

void SnapshotEncoder::begin(const core::CheckpointMark& mark, std::string& out) {
  const auto start = out.size();
  out.append(kMagic);
  Writer writer(out);
  writer.u64(mark.applied.value());
  writer.u64(mark.applied_term.value());
  writer.u64(mark.digest);
  const auto sum = checksum(std::string_view(out).substr(start));
  writer.u64(sum);
  count_ = 0;
  chain_ = sum;
}

void SnapshotEncoder::record(Table table, std::string_view key, std::string_view bytes,
                             std::string& out) {
  const auto hash = record_hash(table, key, bytes);
  Writer writer(out);
  writer.u8(static_cast<std::uint8_t>(table));
  writer.bytes(key);
  writer.bytes(bytes);
  writer.u64(hash);
  ++count_;
  chain_ = chain_on(chain_, hash);
}

void SnapshotEncoder::end(std::string& out) {
  Writer writer(out);
  writer.u8(kEnd);
  writer.u64(count_);
  writer.u64(chain_on(chain_, count_));
}

Error SnapshotDecoder::damaged(std::string_view what) const {
  return error(Failure::corrupt, "the snapshot is damaged at offset {}: {}", offset_, what);
}

Result<void> SnapshotDecoder::append(std::string_view bytes, const core::RecordSink& sink) {
  if (has_failed_) return damaged("it failed before");
  const bool was_whole = rest_.empty();
  if (!was_whole) rest_.append(bytes);
  auto in = was_whole ? bytes : std::string_view(rest_);
  while (!in.empty()) {
    auto taken = take_part(in, sink);
    if (!taken) {
      has_failed_ = true;
      return std::move(taken).error();
    }
    if (taken.value() == 0) break;
    in.remove_prefix(taken.value());
    offset_ += taken.value();
  }
  if (was_whole) {
    rest_.assign(in);
  } else {
    rest_.erase(0, rest_.size() - in.size());
  }
  return success();
}

Result<std::size_t> SnapshotDecoder::take_part(std::string_view in, const core::RecordSink& sink) {
  if (has_ended_) return damaged("there are bytes after its end");
  if (!mark_) return take_head(in);
  if (static_cast<std::uint8_t>(in.front()) == kEnd) return take_end(in);
  return take_record(in, sink);
}

Result<std::size_t> SnapshotDecoder::take_head(std::string_view in) {
  if (in.size() < kHeadBytes) return std::size_t{0};
  if (!in.starts_with(kMagic)) return damaged("it does not begin as a snapshot does");
  if (checksum(in.substr(0, kHeadBytes - 8)) != read_u64(in, kHeadBytes - 8)) {
    return damaged("the checksum of its head is wrong");
  }
  mark_ = core::CheckpointMark{Index(read_u64(in, 8)), Term(read_u64(in, 16)), read_u64(in, 24)};
  chain_ = read_u64(in, kHeadBytes - 8);
  return kHeadBytes;
}

Result<std::size_t> SnapshotDecoder::take_record(std::string_view in,
                                                 const core::RecordSink& sink) {
  const auto all = in;
  const auto number = static_cast<std::uint8_t>(in.front());
  if (number >= kTables) return damaged("there is no such table");
  const auto table = static_cast<Table>(number);
  in.remove_prefix(1);
  std::string_view key;
  std::string_view value;
  for (auto* part : {&key, &value}) {
    std::size_t size = 0;
    const auto length = take_length(in, part == &key ? kKeyBytesMax : kValueBytesMax, size);
    if (length == Length::malformed) return damaged("a length is out of range");
    if (length == Length::partial || in.size() < size) return std::size_t{0};
    *part = in.substr(0, size);
    in.remove_prefix(size);
  }
  if (in.size() < 8) return std::size_t{0};
  const auto hash = record_hash(table, key, value);
  if (hash != read_u64(in, 0)) return damaged("the checksum of a record is wrong");
  if (count_ > 0 && (table < last_table_ || (table == last_table_ && key <= last_key_))) {
    return damaged("its records are not in order");
  }
  if (auto wrong = sink(table, key, value); !wrong.empty()) return damaged(wrong);
  last_table_ = table;
  last_key_.assign(key);
  ++count_;
  chain_ = chain_on(chain_, hash);
  if (is_in_digest(table)) digest_ += hash;
  return all.size() - in.size() + 8;
}

Result<std::size_t> SnapshotDecoder::take_end(std::string_view in) {
  if (in.size() < kEndBytes) return std::size_t{0};
  if (read_u64(in, 1) != count_ || read_u64(in, 9) != chain_on(chain_, count_)) {
    return damaged("records are missing");
  }
  if (digest_ != mark_->digest) return damaged("its digest is not that of its records");
  has_ended_ = true;
  return kEndBytes;
}

Result<void> SnapshotDecoder::finish() const {
  if (has_failed_ || !has_ended_) return damaged("its end is missing");
  return success();
}

}  // namespace coord::disk
