// Joining: an empty member asks a member of the cluster to be added. What follows comes by itself:
// the others dial it, and the leader sends it what it lacks.
#pragma once

#include "coord/base/result.hpp"
#include "coord/server/config.hpp"

namespace coord::server {

// Asks POST /v1/cluster/members at config.join, again and again while nobody can answer. An error
// is the cluster's refusal.
[[nodiscard]] Result<void> ask_to_join(const Config& config);

struct JoinUrl {
  std::string host;
  std::string port;
  std::string prefix;       // Of the path, without a slash at its end.
  std::string credentials;  // "user:password", from http://user:password@host.
};
[[nodiscard]] std::optional<JoinUrl> parse_join_url(const std::string& url);

}  // namespace coord::server
