#include "coord/server/gateway.hpp"

#include "coord/server/data.hpp"

namespace coord::server {

session::Secret ServerGateway::random_secret() {
  session::Secret secret{};
  fill_random(secret.data(), secret.size());
  return secret;
}

}  // namespace coord::server
