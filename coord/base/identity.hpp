// Identity: who a request speaks for, as ZooKeeper's ACLs name it.
//
// The edge turns credentials into identities (a digest's hash, the client's address, a
// certificate's name). They travel with the request and the command; passwords never do.
#pragma once

#include <string>
#include <vector>

namespace coord {

struct Identity {
  std::string scheme;  // "digest", "ip", "x509", "super".
  std::string id;      // "user:base64(sha1(user:password))", "10.0.0.1", "CN=...", "".
  friend auto operator<=>(const Identity&, const Identity&) = default;
};

using Identities = std::vector<Identity>;

// An operator passes every ACL: the edge adds the identity ("super", "").
[[nodiscard]] inline bool is_operator(const Identities& identities) noexcept {
  for (const auto& identity : identities) {
    if (identity.scheme == "super") return true;
  }
  return false;
}

}  // namespace coord
