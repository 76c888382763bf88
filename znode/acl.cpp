#include "znode/acl.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace coord::znode {
namespace {

constexpr std::size_t kIdBytesMax = 1024;

// An address as 16 bytes; v4 as the mapped v6 one (::ffff:a.b.c.d), so that a dual-stack socket's
// name of a v4 client equals the plain one.
struct Address {
  std::array<std::uint8_t, 16> bytes{};
  bool is_v4 = false;
};

std::optional<unsigned> decimal(std::string_view text, unsigned most) {
  unsigned value = 0;
  if (text.empty() || text.size() > 3 || (text.size() > 1 && text[0] == '0')) return std::nullopt;
  const auto [end, failure] = std::from_chars(text.data(), text.data() + text.size(), value);
  if (failure != std::errc{} || end != text.data() + text.size() || value > most) {
    return std::nullopt;
  }
  return value;
}

std::optional<std::array<std::uint8_t, 4>> parse_v4(std::string_view text) {
  std::array<std::uint8_t, 4> bytes{};
  for (std::size_t i = 0; i < 4; ++i) {
    const auto dot = i < 3 ? text.find('.') : text.size();
    if (dot == std::string_view::npos) return std::nullopt;
    const auto value = decimal(text.substr(0, dot), 255);
    if (!value) return std::nullopt;
    bytes[i] = static_cast<std::uint8_t>(*value);
    text.remove_prefix(std::min(dot + 1, text.size()));
  }
  return bytes;
}

// Groups of one side of "::" into `out`; the number of bytes, or none if malformed.
std::optional<std::size_t> parse_groups(std::string_view text, std::array<std::uint8_t, 16>& out) {
  std::size_t used = 0;
  while (!text.empty()) {
    const auto colon = text.find(':');
    const auto group = text.substr(0, colon);
    if (colon == std::string_view::npos && group.find('.') != std::string_view::npos) {
      const auto v4 = parse_v4(group);
      if (!v4 || used > 12) return std::nullopt;
      std::copy(v4->begin(), v4->end(), out.begin() + static_cast<std::ptrdiff_t>(used));
      return used + 4;
    }
    unsigned value = 0;
    if (group.empty() || group.size() > 4 || used > 14) return std::nullopt;
    const auto [end, failure] =
        std::from_chars(group.data(), group.data() + group.size(), value, 16);
    if (failure != std::errc{} || end != group.data() + group.size()) return std::nullopt;
    out[used++] = static_cast<std::uint8_t>(value >> 8);
    out[used++] = static_cast<std::uint8_t>(value);
    if (colon == std::string_view::npos) break;
    text.remove_prefix(colon + 1);
    if (text.empty()) return std::nullopt;  // A single ":" at the end.
  }
  return used;
}

std::optional<Address> parse_v6(std::string_view text) {
  Address address;
  const auto gap = text.find("::");
  if (gap == std::string_view::npos) {
    const auto used = parse_groups(text, address.bytes);
    if (used != 16) return std::nullopt;
  } else {
    std::array<std::uint8_t, 16> tail{};
    const auto front = parse_groups(text.substr(0, gap), address.bytes);
    const auto back = parse_groups(text.substr(gap + 2), tail);
    if (!front || !back || *front + *back > 14) return std::nullopt;
    std::copy_n(tail.begin(), *back, address.bytes.end() - static_cast<std::ptrdiff_t>(*back));
  }
  const auto& b = address.bytes;
  address.is_v4 = std::all_of(b.begin(), b.begin() + 10, [](auto v) { return v == 0; }) &&
                  b[10] == 0xff && b[11] == 0xff;
  return address;
}

std::optional<Address> parse_address(std::string_view text) {
  if (text.find(':') != std::string_view::npos) {
    // A scope ("fe80::1%eth0") says through which interface, not who.
    return parse_v6(text.substr(0, text.find('%')));
  }
  const auto v4 = parse_v4(text);
  if (!v4) return std::nullopt;
  Address address;
  address.bytes[10] = address.bytes[11] = 0xff;
  std::copy(v4->begin(), v4->end(), address.bytes.begin() + 12);
  address.is_v4 = true;
  return address;
}

struct Network {
  Address address;
  unsigned bits = 128;  // Of the 16 bytes.
};

std::optional<Network> parse_network(std::string_view text) {
  const auto slash = text.find('/');
  const auto address = parse_address(text.substr(0, slash));
  if (!address) return std::nullopt;
  if (slash == std::string_view::npos) return Network{*address, 128};
  const auto bits = decimal(text.substr(slash + 1), address->is_v4 ? 32 : 128);
  if (!bits) return std::nullopt;
  return Network{*address, address->is_v4 ? *bits + 96 : *bits};
}

bool contains(const Network& network, const Address& address) {
  for (unsigned bit = 0; bit < network.bits; bit += 8) {
    const unsigned rest = std::min(8U, network.bits - bit);
    const unsigned mask = (0xff00U >> rest) & 0xffU;
    if (((network.address.bytes[bit / 8] ^ address.bytes[bit / 8]) & mask) != 0) return false;
  }
  return true;
}

bool matches(const AclEntry& entry, const Identity& identity) {
  if (entry.scheme != identity.scheme) return false;
  if (entry.scheme != "ip") return entry.id == identity.id;
  const auto network = parse_network(entry.id);
  const auto address = parse_address(identity.id);
  return network && address && contains(*network, *address);
}

bool matches(const AclEntry& entry, const Identities& identities) {
  if (entry.scheme == "world") return entry.id == "anyone";
  return std::any_of(identities.begin(), identities.end(),
                     [&](const Identity& identity) { return matches(entry, identity); });
}

// What is wrong with an entry that is not "auth", or empty.
std::string entry_error(const AclEntry& entry) {
  if (entry.permissions > all) {
    return fmt::format("{} is not a set of permissions", entry.permissions);
  }
  if (entry.id.size() > kIdBytesMax) {
    return fmt::format("an ACL's id may take {} bytes", kIdBytesMax);
  }
  if (entry.scheme == "world") {
    return entry.id == "anyone" ? "" : "the id of the scheme world is \"anyone\"";
  }
  if (entry.scheme == "digest") {
    const auto colon = entry.id.find(':');
    const bool is_fine = colon != std::string::npos && colon + 1 < entry.id.size() &&
                         entry.id.find(':', colon + 1) == std::string::npos;
    return is_fine ? "" : "the id of the scheme digest is user:base64(sha1(user:password))";
  }
  if (entry.scheme == "ip") {
    return parse_network(entry.id) ? "" : "the id of the scheme ip is an address or address/bits";
  }
  if (entry.scheme == "x509") {
    return entry.id.empty() ? "the id of the scheme x509 is a subject" : "";
  }
  return fmt::format("there is no ACL scheme \"{}\"", entry.scheme.substr(0, 32));
}

void append_new(Acl& acl, AclEntry entry) {
  if (std::find(acl.begin(), acl.end(), entry) == acl.end()) acl.push_back(std::move(entry));
}

}  // namespace

const Acl& open_acl() {
  static const Acl acl{{all, "world", "anyone"}};
  return acl;
}

bool is_allowed(const Acl& acl, std::uint8_t wanted, const Identities& identities) {
  if (is_operator(identities)) return true;
  std::uint8_t missing = wanted;
  for (const auto& entry : acl) {
    if ((entry.permissions & missing) == 0 || !matches(entry, identities)) continue;
    missing = static_cast<std::uint8_t>(missing & ~entry.permissions);
    if (missing == 0) return true;
  }
  return missing == 0;
}

std::string resolve_acl(Acl& acl, const Identities& identities, std::size_t entries_max) {
  if (acl.empty()) return "an ACL has at least one entry";
  if (acl.size() > entries_max) {
    return fmt::format("an ACL has at most acl_entries_max = {} entries", entries_max);
  }
  Acl resolved;
  for (const auto& entry : acl) {
    if (entry.scheme != "auth") {
      if (auto problem = entry_error(entry); !problem.empty()) return problem;
      append_new(resolved, entry);
      continue;
    }
    if (entry.permissions > all) {
      return fmt::format("{} is not a set of permissions", entry.permissions);
    }
    // As in ZooKeeper, an address is not something that a caller has proved.
    bool is_known = false;
    for (const auto& identity : identities) {
      if (identity.scheme != "digest" && identity.scheme != "x509") continue;
      is_known = true;
      append_new(resolved, {entry.permissions, identity.scheme, identity.id});
    }
    if (!is_known) return "the scheme auth takes a caller with an identity of its own";
  }
  if (resolved.size() > entries_max) {
    return fmt::format("an ACL has at most acl_entries_max = {} entries", entries_max);
  }
  acl = std::move(resolved);
  return {};
}

void encode(const Acl& acl, Writer& out) {
  out.varint(acl.size());
  for (const auto& entry : acl) {
    out.u8(entry.permissions);
    out.bytes(entry.scheme);
    out.bytes(entry.id);
  }
}

Acl decode_acl(Reader& in) {
  Acl acl;
  for (auto left = in.count(); left > 0 && in.ok(); --left) {
    auto& entry = acl.emplace_back();
    entry.permissions = in.u8();
    entry.scheme = in.bytes();
    entry.id = in.bytes();
    if (entry.permissions > all) in.fail();
  }
  if (!in.ok()) acl.clear();
  return acl;
}

}  // namespace coord::znode
