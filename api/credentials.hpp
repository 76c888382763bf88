// Credentials: from what a caller shows to the identities that travel with its requests.
#pragma once

#include <string>
#include <string_view>

#include "coord/base/identity.hpp"

namespace coord::api {

// ZooKeeper's digest identity of "user:password": "user:base64(sha1(user:password))". What has no
// colon is a user whose digest is over the name alone, as there.
[[nodiscard]] std::string digest_identity(std::string_view credential);

// Where a connection comes from.
struct Caller {
  std::string address;  // "10.0.0.1" or "::1"; a v4 address in v6 clothes is written as v4.
  bool is_loopback = false;
  bool is_secure = false;  // Came to a port of TLS.
};

// ("ip", address), then the digest of an Authorization header, then ("super", "") for an operator:
// one whose digest is `super_digest`, or, while that is empty, any caller from loopback. False when
// the header is there and is not well-formed Basic.
[[nodiscard]] bool identities_of(const Caller& caller, std::string_view authorization,
                                 std::string_view super_digest, Identities& out);

}  // namespace coord::api
