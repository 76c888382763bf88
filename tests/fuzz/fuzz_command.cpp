// Fuzzes what core decodes from the log, the retry window and the table of changes: whatever
// decodes must encode to something that decodes alike, and nothing may crash.
#include <cstddef>
#include <cstdint>
#include <string_view>

#include "coord/base/check.hpp"
#include "coord/base/codec.hpp"
#include "coord/core/changes.hpp"
#include "coord/core/command.hpp"
#include "coord/core/outcome.hpp"
#include "coord/core/retention.hpp"

namespace coord::core {
namespace {

void try_command(std::string_view bytes) {
  Command command;
  if (decode(bytes, command) != DecodeError::none) return;
  Command again;
  COORD_CHECK(decode(encode(command), again) == DecodeError::none, "what was encoded decodes");
  COORD_CHECK(again == command, "a command comes back alike");
}

void try_outcome(std::string_view bytes) {
  Outcome outcome;
  if (!decode(bytes, outcome)) return;
  const auto encoded = encode(outcome);
  Outcome again;
  COORD_CHECK(decode(encoded, again), "what was encoded decodes");
  COORD_CHECK(encode(again) == encoded, "an outcome comes back alike");
}

// The record opens with the hash of the path that it holds, which no fuzzer guesses: the path of
// the change that follows gives it.
void try_stored(std::string_view bytes) {
  Reader in(bytes);
  (void)in.svarint();
  const auto inside = znode::decode_change(in);
  if (!in.done()) return;
  std::string record;
  append_big_endian(record, path_hash(inside.path));
  record += bytes;
  std::int64_t wall_ms = 0;
  znode::ChangeBatch batch;
  COORD_CHECK(decode_stored(record, wall_ms, batch.changes.emplace_back()), "its change decodes");
  batch.wall_ms = wall_ms;
  znode::Change again;
  COORD_CHECK(decode_stored(encode_stored(batch, 0), wall_ms, again), "what was stored decodes");
  COORD_CHECK(again == batch.changes[0], "a change comes back alike");
}

void try_retention(std::string_view bytes) {
  Retention retention;
  if (!retention.decode(bytes)) return;
  Retention again;
  COORD_CHECK(again.decode(retention.encode()), "what was encoded decodes");
  COORD_CHECK(again.floor() == retention.floor(), "the floor comes back alike");
}

}  // namespace
}  // namespace coord::core

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  if (size == 0) return 0;
  // The first byte chooses the decoder.
  const std::string_view bytes(reinterpret_cast<const char*>(data) + 1, size - 1);
  switch (data[0] % 4) {
    case 0:
      coord::core::try_command(bytes);
      break;
    case 1:
      coord::core::try_outcome(bytes);
      break;
    case 2:
      coord::core::try_stored(bytes);
      break;
    default:
      coord::core::try_retention(bytes);
      break;
  }
  return 0;
}
