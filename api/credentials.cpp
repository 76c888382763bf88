#include "api/credentials.hpp"

#include <openssl/sha.h>

#include <array>

#include "api/text.hpp"

namespace coord::api {

std::string digest_identity(std::string_view credential) {
  std::array<unsigned char, SHA_DIGEST_LENGTH> hash{};
  SHA1(reinterpret_cast<const unsigned char*>(credential.data()), credential.size(), hash.data());
  std::string out(credential.substr(0, credential.find(':')));
  out += ':';
  append_base64(out, {reinterpret_cast<const char*>(hash.data()), hash.size()});
  return out;
}

bool identities_of(const Caller& caller, std::string_view authorization,
                   std::string_view super_digest, Identities& out) {
  out.clear();
  out.reserve(authorization.empty() ? 2 : 3);
  out.push_back({"ip", caller.address});
  bool is_super = super_digest.empty() && caller.is_loopback;
  if (!authorization.empty()) {
    const auto space = authorization.find(' ');
    if (space == std::string_view::npos || !iequals(authorization.substr(0, space), "Basic")) {
      return false;
    }
    const auto plain = base64_decode(trim(authorization.substr(space + 1)));
    if (!plain) return false;
    const auto colon = plain->find(':');
    if (colon == std::string::npos || colon == 0) return false;
    auto digest = digest_identity(*plain);
    if (!super_digest.empty() && digest == super_digest) is_super = true;
    out.push_back({"digest", std::move(digest)});
  }
  if (is_super) out.push_back({"super", ""});
  return true;
}

}  // namespace coord::api
