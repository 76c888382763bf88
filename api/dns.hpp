// dns: questions from bytes, answers into bytes (RFC 1035, 2782, 3596, 6891). Pure, and bounded by
// what came in: a message that is malformed in any way gives an error answer or none.
//
// It knows one zone, `coord`:
//   NAME.service.coord, TAG.NAME.service.coord   A, AAAA, SRV of the healthy instances of a service
//   _NAME._tcp.service.coord                     the same, as RFC 2782 writes it
//   HEX.addr.coord                               the address that an SRV answer points to
// Who the instances are is the caller's to find out.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace coord::api::dns {

inline constexpr std::size_t kNameBytesMax = 253;     // As text.
inline constexpr std::size_t kUdpBytesDefault = 512;  // Without EDNS.
inline constexpr std::size_t kUdpBytesMax = 1'232;    // With it: what passes without fragments.
inline constexpr std::size_t kTcpBytesMax = 65'535;
inline constexpr std::size_t kRecordsMax = 1'000;  // Of one answer, before it is cut to its size.

enum class Type : std::uint16_t {
  a = 1,
  ns = 2,
  soa = 6,
  aaaa = 28,
  srv = 33,
  opt = 41,
  any = 255
};
enum class Rcode : std::uint8_t {
  ok = 0,
  malformed = 1,
  failed = 2,
  no_name = 3,
  not_implemented = 4,
  refused = 5,
  bad_version = 16,
};

struct Question {
  std::uint16_t id = 0;
  bool wants_recursion = false;
  bool has_question = false;  // Else `raw` is empty: the error answer has none either.
  std::string raw;            // As it came: the name keeps its case.
  std::vector<std::string> labels;
  std::uint16_t type = 0;
  bool has_edns = false;
  std::size_t bytes_max = kUdpBytesDefault;  // Of a UDP answer.
  Rcode rcode = Rcode::ok;                   // Not ok: answer with this.
};

// None: nothing that deserves an answer (too short, or itself an answer).
[[nodiscard]] std::optional<Question> parse(std::string_view message);

// What a question asks about.
struct Wanted {
  enum class Kind : std::uint8_t { elsewhere, zone, nothing, service, address };
  Kind kind = Kind::elsewhere;  // elsewhere: not our zone. nothing: no such name can be.
  std::string service;          // The whole name before ".service.coord" ...
  std::string tagged;           // ... or, if there is no such service, this one ...
  std::string tag;              // ... with this tag.
  std::string address;          // The bytes of an IPv4 or IPv6 address.
};
[[nodiscard]] Wanted wanted_by(const Question& question);

struct Endpoint {
  std::string address;  // IP address or host name.
  std::uint16_t port = 0;
  std::uint16_t weight = 0;
};

// The answer about a service that has these instances, in this order. `ttl_s` of its records.
[[nodiscard]] std::string answer(const Question& question, const std::vector<Endpoint>& endpoints,
                                 std::uint32_t ttl_s, std::size_t bytes_max);
// The one address that the name means.
[[nodiscard]] std::string answer_address(const Question& question, std::string_view address,
                                         std::uint32_t ttl_s);
// An error, or (Rcode::ok) that there are no records of this type. `is_zone`: the name is the
// zone's own.
[[nodiscard]] std::string answer_nothing(const Question& question, Rcode rcode, std::uint32_t ttl_s,
                                         bool is_zone = false);

// The bytes of an IPv4 (4) or IPv6 (16) address in its text form; empty if it is neither.
[[nodiscard]] std::string address_bytes(const std::string& text);

}  // namespace coord::api::dns
