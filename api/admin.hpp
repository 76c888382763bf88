// admin: what a member answers by itself: probes, metrics, its version, the OpenAPI document.
#pragma once

#include <string>
#include <string_view>

#include "api/gateway.hpp"
#include "api/http_options.hpp"
#include "api/route_table.hpp"

namespace coord::api {

struct LocalAnswer {
  int status = 200;
  std::string_view content_type;
  std::string body;
};

// Requires: a route with trait_local.
[[nodiscard]] LocalAnswer local_answer(Endpoint endpoint, Gateway& gateway,
                                       const HttpOptions& options);

}  // namespace coord::api
