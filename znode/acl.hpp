// ACLs: ZooKeeper's schemes and permissions.
//
// Schemes: "world" (id "anyone"), "auth" (becomes the caller's identities when it is set), "digest"
// ("user:base64(sha1(user:password))"), "ip" (an address or address/bits, v4 and v6), "x509" (a
// subject).
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "coord/base/codec.hpp"
#include "coord/base/identity.hpp"

namespace coord::znode {

enum Permission : std::uint8_t {
  read = 1,
  write = 2,
  create = 4,
  erase = 8,  // ZooKeeper's DELETE: of the children.
  admin = 16,
  all = 31,
};

struct AclEntry {
  std::uint8_t permissions = 0;
  std::string scheme;
  std::string id;
  friend auto operator<=>(const AclEntry&, const AclEntry&) = default;
};

using Acl = std::vector<AclEntry>;

// {all, "world", "anyone"}: what a node gets when nothing is said.
[[nodiscard]] const Acl& open_acl();
// May a caller with these identities do all of `wanted`? An operator may do everything.
[[nodiscard]] bool is_allowed(const Acl& acl, std::uint8_t wanted, const Identities& identities);
// Resolves "auth" to the caller's identities and checks every entry. An empty list, an unknown
// scheme or a malformed id gives a message for people and leaves `acl` alone; empty: it is fine.
[[nodiscard]] std::string resolve_acl(Acl& acl, const Identities& identities,
                                      std::size_t entries_max);

void encode(const Acl& acl, Writer& out);
// A malformed ACL fails the reader.
[[nodiscard]] Acl decode_acl(Reader& in);

}  // namespace coord::znode
