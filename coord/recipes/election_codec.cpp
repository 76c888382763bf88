// How the steps, queries and answers of elections become bytes.
#include "coord/recipes/election_codec.hpp"

#include <algorithm>
#include <utility>

#include "coord/base/codec.hpp"
#include "znode/path.hpp"

namespace coord::recipes::election {
namespace {

// The first byte of each. Stored in the log: append only.
enum class Tag : std::uint8_t {
  join = 1,
  post = 2,
  resign = 3,
  transfer = 4,
  show = 5,
  show_candidate = 6,
  list = 7,
  candidate_answer = 8,
  election_answer = 9,
  list_answer = 10,
};

constexpr std::size_t kStampDigits = 16;
constexpr std::size_t kSequenceDigits = 10;

bool take_tag(Reader& in, Tag tag) { return in.u8() == static_cast<std::uint8_t>(tag); }
void put_tag(Writer& out, Tag tag) { out.u8(static_cast<std::uint8_t>(tag)); }

bool is_value(std::string_view text) {
  return text.size() <= kValueBytesMax && znode::is_valid_utf8(text);
}

bool is_candidate_or_mine(std::string_view id) { return id.empty() || is_candidate(id); }

void put(Writer& out, const Candidate& candidate) {
  out.bytes(candidate.id);
  out.id(candidate.session);
  out.bytes(candidate.value);
  out.varint(candidate.priority);
  out.boolean(candidate.is_leader);
  out.varint(candidate.epoch);
  out.varint(candidate.position);
  out.svarint(candidate.since_ms);
  out.svarint(candidate.led_ms);
}

Candidate take_candidate(Reader& in) {
  Candidate candidate;
  candidate.id = in.bytes();
  candidate.session = in.id<SessionId>();
  candidate.value = in.bytes();
  candidate.priority = in.varint32();
  candidate.is_leader = in.boolean();
  candidate.epoch = in.varint();
  candidate.position = in.varint();
  candidate.since_ms = in.svarint();
  candidate.led_ms = in.svarint();
  return candidate;
}

void put(Writer& out, const ElectionAnswer& answer) {
  out.bytes(answer.name);
  out.varint(answer.epoch);
  put(out, answer.leader);
  out.varint(answer.candidate_count);
  out.varint(answer.candidates.size());
  for (const auto& candidate : answer.candidates) put(out, candidate);
}

ElectionAnswer take_election(Reader& in) {
  ElectionAnswer answer;
  answer.name = in.bytes();
  answer.epoch = in.varint();
  answer.leader = take_candidate(in);
  answer.candidate_count = in.varint();
  for (auto left = in.count(); left > 0 && in.ok(); --left) {
    answer.candidates.push_back(take_candidate(in));
  }
  return answer;
}

}  // namespace

bool is_candidate(std::string_view id) noexcept {
  const auto is_hex = [](char c) { return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f'); };
  const auto is_digit = [](char c) { return c >= '0' && c <= '9'; };
  if (id.size() < kStampDigits + kLatch.size() + kSequenceDigits) return false;
  const auto stamp = id.substr(0, kStampDigits);
  const auto rest = id.substr(kStampDigits);
  if (!std::all_of(stamp.begin(), stamp.end(), is_hex) || !rest.starts_with(kLatch)) return false;
  const auto sequence = rest.substr(kLatch.size());
  return std::all_of(sequence.begin(), sequence.end(), is_digit);
}

// ---- steps

std::string encode(const Join& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::join);
  out.bytes(op.name);
  out.bytes(op.value);
  out.varint(op.priority);
  out.boolean(op.waits);
  return bytes;
}

bool decode(std::string_view bytes, Join& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::join)) return false;
  op.name = in.bytes();
  op.value = in.bytes();
  op.priority = in.varint32();
  op.waits = in.boolean();
  return in.done() && name_error(op.name).empty() && is_value(op.value) &&
         op.priority <= kPriorityMax;
}

std::string encode(const Post& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::post);
  out.bytes(op.name);
  out.bytes(op.candidate);
  out.bytes(op.value);
  return bytes;
}

bool decode(std::string_view bytes, Post& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::post)) return false;
  op.name = in.bytes();
  op.candidate = in.bytes();
  op.value = in.bytes();
  return in.done() && name_error(op.name).empty() && is_candidate_or_mine(op.candidate) &&
         is_value(op.value);
}

std::string encode(const Resign& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::resign);
  out.bytes(op.name);
  out.bytes(op.candidate);
  out.boolean(op.is_break);
  return bytes;
}

bool decode(std::string_view bytes, Resign& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::resign)) return false;
  op.name = in.bytes();
  op.candidate = in.bytes();
  op.is_break = in.boolean();
  return in.done() && name_error(op.name).empty() && is_candidate_or_mine(op.candidate);
}

std::string encode(const Transfer& op) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::transfer);
  out.bytes(op.name);
  out.bytes(op.to);
  return bytes;
}

bool decode(std::string_view bytes, Transfer& op) {
  Reader in(bytes);
  if (!take_tag(in, Tag::transfer)) return false;
  op.name = in.bytes();
  op.to = in.bytes();
  return in.done() && name_error(op.name).empty() && is_candidate(op.to);
}

// ---- queries

std::string encode(const Show& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::show);
  out.bytes(query.name);
  return bytes;
}

bool decode(std::string_view bytes, Show& query) {
  Reader in(bytes);
  if (!take_tag(in, Tag::show)) return false;
  query.name = in.bytes();
  return in.done() && name_error(query.name).empty();
}

std::string encode(const ShowCandidate& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::show_candidate);
  out.bytes(query.name);
  out.bytes(query.candidate);
  out.id(query.session);
  out.boolean(query.waits);
  out.boolean(query.is_joined);
  return bytes;
}

bool decode(std::string_view bytes, ShowCandidate& query) {
  Reader in(bytes);
  if (!take_tag(in, Tag::show_candidate)) return false;
  query.name = in.bytes();
  query.candidate = in.bytes();
  query.session = in.id<SessionId>();
  query.waits = in.boolean();
  query.is_joined = in.boolean();
  return in.done() && name_error(query.name).empty() && is_candidate_or_mine(query.candidate);
}

std::string encode(const List& query) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::list);
  out.bytes(query.after);
  out.varint(query.limit);
  return bytes;
}

bool decode(std::string_view bytes, List& query) {
  Reader in(bytes);
  if (!take_tag(in, Tag::list)) return false;
  query.after = in.bytes();
  query.limit = in.varint32();
  return in.done() && query.after.size() <= kNameBytesMax && query.limit >= 1 &&
         query.limit <= kListMax;
}

// ---- answers

std::string encode(const CandidateAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::candidate_answer);
  out.bytes(answer.name);
  put(out, answer.candidate);
  put(out, answer.leader);
  out.boolean(answer.has_joined);
  return bytes;
}

bool decode(std::string_view bytes, CandidateAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::candidate_answer)) return false;
  answer.name = in.bytes();
  answer.candidate = take_candidate(in);
  answer.leader = take_candidate(in);
  answer.has_joined = in.boolean();
  return in.done();
}

std::string encode(const ElectionAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::election_answer);
  put(out, answer);
  return bytes;
}

bool decode(std::string_view bytes, ElectionAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::election_answer)) return false;
  answer = take_election(in);
  return in.done();
}

std::string encode(const ListAnswer& answer) {
  std::string bytes;
  Writer out(bytes);
  put_tag(out, Tag::list_answer);
  out.boolean(answer.is_last);
  out.varint(answer.elections.size());
  for (const auto& election : answer.elections) put(out, election);
  return bytes;
}

bool decode(std::string_view bytes, ListAnswer& answer) {
  Reader in(bytes);
  if (!take_tag(in, Tag::list_answer)) return false;
  answer.is_last = in.boolean();
  for (auto left = in.count(); left > 0 && in.ok(); --left) {
    answer.elections.push_back(take_election(in));
  }
  return in.done();
}

}  // namespace coord::recipes::election
