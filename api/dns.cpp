#include "api/dns.hpp"

#include <arpa/inet.h>

#include <algorithm>

namespace coord::api::dns {
namespace {

constexpr std::size_t kHeaderBytes = 12;
constexpr std::uint16_t kClassIn = 1;
constexpr std::uint16_t kClassAny = 255;
constexpr std::uint16_t kIsAnswer = 0x8000;
constexpr std::uint16_t kIsAuthoritative = 0x0400;
constexpr std::uint16_t kIsTruncated = 0x0200;
constexpr std::uint16_t kRecursionDesired = 0x0100;
constexpr std::size_t kOptBytes = 11;
constexpr std::string_view kZone = "coord";

void put16(std::string& out, std::uint16_t v) {
  out.push_back(static_cast<char>(v >> 8));
  out.push_back(static_cast<char>(v & 0xff));
}

void put32(std::string& out, std::uint32_t v) {
  put16(out, static_cast<std::uint16_t>(v >> 16));
  put16(out, static_cast<std::uint16_t>(v & 0xffff));
}

void set16(std::string& out, std::size_t at, std::uint16_t v) {
  out[at] = static_cast<char>(v >> 8);
  out[at + 1] = static_cast<char>(v & 0xff);
}

// A cursor that never reads past the end.
struct Cursor {
  std::string_view in;
  std::size_t at = 0;
  bool is_ok = true;

  std::uint8_t u8() {
    if (at >= in.size()) {
      is_ok = false;
      return 0;
    }
    return static_cast<std::uint8_t>(in[at++]);
  }
  std::uint16_t u16() {
    const auto high = u8();
    return static_cast<std::uint16_t>(high << 8 | u8());
  }
  std::string_view take(std::size_t n) {
    if (n > in.size() - at) {
      is_ok = false;
      return {};
    }
    at += n;
    return in.substr(at - n, n);
  }
};

// The labels of a name that is not compressed: a question has nothing to point back to.
bool take_labels(Cursor& cursor, std::vector<std::string>& labels) {
  std::size_t size = 0;
  while (cursor.is_ok) {
    const auto n = cursor.u8();
    if (n == 0) return cursor.is_ok;
    if (n > 63) return false;
    size += n + 1U;
    if (size > kNameBytesMax + 1) return false;
    labels.emplace_back(cursor.take(n));
  }
  return false;
}

// The owner of an additional record: skipped, compressed or not.
bool skip_name(Cursor& cursor) {
  while (cursor.is_ok) {
    const auto n = cursor.u8();
    if (n == 0) return cursor.is_ok;
    if ((n & 0xc0) == 0xc0) {
      cursor.u8();
      return cursor.is_ok;
    }
    if (n > 63) return false;
    cursor.take(n);
  }
  return false;
}

// Looks for the OPT record among `count` records. False when they are malformed.
bool take_edns(Cursor& cursor, std::size_t count, Question& question) {
  for (std::size_t i = 0; i < count; ++i) {
    const auto start = cursor.at;
    if (!skip_name(cursor)) return false;
    const bool is_root = cursor.at == start + 1;
    const auto type = cursor.u16();
    const auto size = cursor.u16();
    cursor.u8();  // The extended code.
    const auto version = cursor.u8();
    cursor.u16();
    cursor.take(cursor.u16());
    if (!cursor.is_ok) return false;
    if (type != static_cast<std::uint16_t>(Type::opt)) continue;
    if (question.has_edns || !is_root) return false;
    question.has_edns = true;
    question.bytes_max = std::clamp<std::size_t>(size, kUdpBytesDefault, kUdpBytesMax);
    if (version != 0) question.rcode = Rcode::bad_version;
  }
  return true;
}

char lower(char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c; }

bool is_word(std::string_view label, std::string_view word) {
  return std::equal(label.begin(), label.end(), word.begin(), word.end(),
                    [](char a, char b) { return lower(a) == b; });
}

int nibble(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (lower(c) >= 'a' && lower(c) <= 'f') return lower(c) - 'a' + 10;
  return -1;
}

// "7f000001" (IPv4) or 32 digits (IPv6); empty if it is neither.
std::string hex_address(std::string_view text) {
  if (text.size() != 8 && text.size() != 32) return {};
  std::string bytes;
  for (std::size_t i = 0; i < text.size(); i += 2) {
    const int high = nibble(text[i]);
    const int low = nibble(text[i + 1]);
    if (high < 0 || low < 0) return {};
    bytes.push_back(static_cast<char>(high * 16 + low));
  }
  return bytes;
}

std::string to_hex(std::string_view bytes) {
  constexpr std::string_view kDigits = "0123456789abcdef";
  std::string text;
  for (const char c : bytes) {
    const auto byte = static_cast<unsigned char>(c);
    text += kDigits[byte >> 4];
    text += kDigits[byte & 15];
  }
  return text;
}

std::string joined(const std::vector<std::string>& labels, std::size_t first, std::size_t last) {
  std::string text;
  for (auto i = first; i < last; ++i) {
    if (i > first) text += '.';
    text += labels[i];
  }
  return text;
}

// "a.b" as labels; empty when it cannot be a name.
std::string wire_name(std::string_view text) {
  std::string out;
  if (text.ends_with('.')) text.remove_suffix(1);
  if (text.size() > kNameBytesMax) return {};
  while (!text.empty()) {
    const auto dot = std::min(text.find('.'), text.size());
    if (dot == 0 || dot > 63) return {};
    out.push_back(static_cast<char>(dot));
    out.append(text.substr(0, dot));
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  out.push_back('\0');
  return out;
}

// Builds one answer: whole records, as long as they fit.
class Message {
 public:
  Message(const Question& question, Rcode rcode, std::size_t bytes_max)
      : question_(question), rcode_(rcode) {
    const auto wire = static_cast<std::uint16_t>(rcode) & 15U;
    auto flags = static_cast<std::uint16_t>(kIsAnswer | wire);
    if (rcode == Rcode::ok || rcode == Rcode::no_name) {
      flags = static_cast<std::uint16_t>(flags | kIsAuthoritative);
    }
    if (question.wants_recursion) flags = static_cast<std::uint16_t>(flags | kRecursionDesired);
    put16(out_, question.id);
    put16(out_, flags);
    put16(out_, question.has_question ? 1 : 0);
    for (int i = 0; i < 3; ++i) put16(out_, 0);
    out_ += question.raw;
    room_ = bytes_max - (question.has_edns ? kOptBytes : 0);
  }

  // False: it did not fit, and the answer says that it is cut.
  bool answer(std::string_view owner, Type type, std::uint32_t ttl_s, std::string_view data) {
    if (is_cut_) return false;
    if (!add(owner, type, ttl_s, data)) {
      is_cut_ = true;
      return false;
    }
    ++answers_;
    return true;
  }
  void authority(std::string_view owner, Type type, std::uint32_t ttl_s, std::string_view data) {
    if (add(owner, type, ttl_s, data)) ++authorities_;
  }
  // Left out when it does not fit: nothing is missing without it.
  void additional(std::string_view owner, Type type, std::uint32_t ttl_s, std::string_view data) {
    if (!is_cut_ && add(owner, type, ttl_s, data)) ++additionals_;
  }
  std::string finish() {
    if (question_.has_edns) {
      out_.push_back('\0');
      put16(out_, static_cast<std::uint16_t>(Type::opt));
      put16(out_, static_cast<std::uint16_t>(kUdpBytesMax));
      out_.push_back(static_cast<char>(static_cast<std::uint8_t>(rcode_) >> 4));
      out_.push_back('\0');  // Version 0.
      put16(out_, 0);
      put16(out_, 0);
      ++additionals_;
    }
    if (is_cut_)
      out_[2] = static_cast<char>(static_cast<std::uint8_t>(out_[2]) | kIsTruncated >> 8);
    set16(out_, 6, answers_);
    set16(out_, 8, authorities_);
    set16(out_, 10, additionals_);
    return std::move(out_);
  }

 private:
  bool add(std::string_view owner, Type type, std::uint32_t ttl_s, std::string_view data) {
    if (out_.size() + owner.size() + 10 + data.size() > room_) return false;
    out_ += owner;
    put16(out_, static_cast<std::uint16_t>(type));
    put16(out_, kClassIn);
    put32(out_, ttl_s);
    put16(out_, static_cast<std::uint16_t>(data.size()));
    out_ += data;
    return true;
  }

  const Question& question_;
  Rcode rcode_;
  std::string out_;
  std::size_t room_ = 0;
  std::uint16_t answers_ = 0;
  std::uint16_t authorities_ = 0;
  std::uint16_t additionals_ = 0;
  bool is_cut_ = false;
};

// The name of the question, by a pointer to it.
constexpr std::string_view kSameName("\xc0\x0c", 2);

std::string soa_data(std::uint32_t ttl_s) {
  std::string data = wire_name("ns.coord") + wire_name("hostmaster.coord");
  put32(data, 1);      // Serial: nobody transfers this zone.
  put32(data, 3'600);  // Refresh, retry, expire.
  put32(data, 600);
  put32(data, 86'400);
  put32(data, ttl_s);  // How long "there is none" may be believed.
  return data;
}

Type type_of(std::string_view address) { return address.size() == 4 ? Type::a : Type::aaaa; }

bool asks_for(const Question& question, Type type) {
  return question.type == static_cast<std::uint16_t>(type) ||
         question.type == static_cast<std::uint16_t>(Type::any);
}

// Where an SRV record points to: a name that means the address, or the host name. Empty: nowhere.
std::string target_of(const Endpoint& endpoint, const std::string& address) {
  const auto target =
      address.empty() ? wire_name(endpoint.address) : wire_name(to_hex(address) + ".addr.coord");
  return target.size() < 2 ? std::string() : target;
}

// The services first, then (a section of its own) the addresses that their targets mean.
std::string answer_services(const Question& question, const std::vector<Endpoint>& endpoints,
                            std::uint32_t ttl_s, std::size_t bytes_max) {
  Message message(question, Rcode::ok, bytes_max);
  std::vector<std::pair<std::string, std::string>> addresses;  // By target.
  bool has_any = false;
  const auto count = std::min(endpoints.size(), kRecordsMax);
  for (std::size_t i = 0; i < count; ++i) {
    const auto& endpoint = endpoints[i];
    auto address = address_bytes(endpoint.address);
    auto target = target_of(endpoint, address);
    if (target.empty()) continue;
    std::string data;
    put16(data, 1);  // One priority for all.
    put16(data, endpoint.weight);
    put16(data, endpoint.port);
    data += target;
    has_any = true;
    if (!message.answer(kSameName, Type::srv, ttl_s, data)) break;
    if (address.empty()) continue;
    std::pair one(std::move(target), std::move(address));
    if (std::find(addresses.begin(), addresses.end(), one) == addresses.end()) {
      addresses.push_back(std::move(one));
    }
  }
  if (!has_any) return answer_nothing(question, Rcode::ok, ttl_s);
  for (const auto& [target, address] : addresses) {
    message.additional(target, type_of(address), ttl_s, address);
  }
  return message.finish();
}

}  // namespace

std::string address_bytes(const std::string& text) {
  std::array<char, 16> bytes{};
  if (::inet_pton(AF_INET, text.c_str(), bytes.data()) == 1) return {bytes.data(), 4};
  if (::inet_pton(AF_INET6, text.c_str(), bytes.data()) == 1) return {bytes.data(), 16};
  return {};
}

std::optional<Question> parse(std::string_view message) {
  if (message.size() < kHeaderBytes || message.size() > kTcpBytesMax) return std::nullopt;
  Cursor cursor{message};
  Question question;
  question.id = cursor.u16();
  const auto flags = cursor.u16();
  if ((flags & kIsAnswer) != 0) return std::nullopt;
  question.wants_recursion = (flags & kRecursionDesired) != 0;
  const auto questions = cursor.u16();
  const std::size_t others = cursor.u16() + std::size_t{cursor.u16()};
  const auto additionals = cursor.u16();
  if ((flags >> 11 & 15) != 0) {  // Not a query.
    question.rcode = Rcode::not_implemented;
    return question;
  }
  question.rcode = Rcode::malformed;
  if (questions != 1 || !take_labels(cursor, question.labels)) return question;
  question.type = cursor.u16();
  const auto asked_class = cursor.u16();
  if (!cursor.is_ok) return question;
  question.has_question = true;
  question.raw = message.substr(kHeaderBytes, cursor.at - kHeaderBytes);
  if (others != 0) return question;  // A query has no answers.
  question.rcode = Rcode::ok;
  if (asked_class != kClassIn && asked_class != kClassAny) question.rcode = Rcode::refused;
  if (!take_edns(cursor, additionals, question)) {
    question.rcode = Rcode::malformed;
    question.has_edns = false;
    question.bytes_max = kUdpBytesDefault;
  }
  return question;
}

Wanted wanted_by(const Question& question) {
  Wanted wanted;
  const auto& labels = question.labels;
  const auto count = labels.size();
  if (count == 0 || !is_word(labels[count - 1], kZone)) return wanted;
  wanted.kind = count == 1 ? Wanted::Kind::zone : Wanted::Kind::nothing;
  if (count < 3) return wanted;
  if (is_word(labels[count - 2], "addr") && count == 3) {
    wanted.address = hex_address(labels[0]);
    if (!wanted.address.empty()) wanted.kind = Wanted::Kind::address;
    return wanted;
  }
  if (!is_word(labels[count - 2], "service")) return wanted;
  wanted.kind = Wanted::Kind::service;
  const auto last = count - 2;
  const bool is_rfc2782 = last == 2 && labels[0].starts_with('_') && labels[0].size() > 1 &&
                          (is_word(labels[1], "_tcp") || is_word(labels[1], "_udp"));
  if (is_rfc2782) {
    wanted.service = labels[0].substr(1);
    return wanted;
  }
  wanted.service = joined(labels, 0, last);
  if (last > 1) {
    wanted.tag = labels[0];
    wanted.tagged = joined(labels, 1, last);
  }
  return wanted;
}

std::string answer(const Question& question, const std::vector<Endpoint>& endpoints,
                   std::uint32_t ttl_s, std::size_t bytes_max) {
  if (question.type == static_cast<std::uint16_t>(Type::srv)) {
    return answer_services(question, endpoints, ttl_s, bytes_max);
  }
  Message message(question, Rcode::ok, bytes_max);
  bool has_any = false;
  const auto count = std::min(endpoints.size(), kRecordsMax);
  std::vector<std::string> seen;  // One address may be that of several instances.
  for (std::size_t i = 0; i < count; ++i) {
    const auto& endpoint = endpoints[i];
    auto address = address_bytes(endpoint.address);
    if (address.empty() || !asks_for(question, type_of(address))) continue;
    if (std::find(seen.begin(), seen.end(), address) != seen.end()) continue;
    message.answer(kSameName, type_of(address), ttl_s, address);
    seen.push_back(std::move(address));
    has_any = true;
  }
  if (!has_any) return answer_nothing(question, Rcode::ok, ttl_s);
  return message.finish();
}

std::string answer_address(const Question& question, std::string_view address,
                           std::uint32_t ttl_s) {
  if (!asks_for(question, type_of(address))) return answer_nothing(question, Rcode::ok, ttl_s);
  Message message(question, Rcode::ok, kUdpBytesDefault);
  message.answer(kSameName, type_of(address), ttl_s, address);
  return message.finish();
}

std::string answer_nothing(const Question& question, Rcode rcode, std::uint32_t ttl_s,
                           bool is_zone) {
  Message message(question, rcode, kUdpBytesDefault);
  if (is_zone && rcode == Rcode::ok && asks_for(question, Type::soa)) {
    message.answer(kSameName, Type::soa, ttl_s, soa_data(ttl_s));
  } else if (rcode == Rcode::ok || rcode == Rcode::no_name) {
    message.authority(wire_name(kZone), Type::soa, ttl_s, soa_data(ttl_s));
  }
  return message.finish();
}

}  // namespace coord::api::dns
