#include "api/admin.hpp"

#include "api/json.hpp"
#include "api/openapi.hpp"

namespace coord::api {
namespace {

constexpr std::string_view kText = "text/plain; charset=utf-8";
constexpr std::string_view kJson = "application/json";

}  // namespace

LocalAnswer local_answer(Endpoint endpoint, Gateway& gateway, const HttpOptions& options) {
  LocalAnswer answer{200, kText, {}};
  if (endpoint == Endpoint::readyz) {
    std::string why;
    if (gateway.is_ready(why)) {
      answer.body = "ready\n";
    } else {
      answer.status = 503;
      answer.body = "not ready: " + why + "\n";
    }
  } else if (endpoint == Endpoint::metrics) {
    answer.content_type = "text/plain; version=0.0.4; charset=utf-8";
    answer.body = gateway.metrics();
  } else if (endpoint == Endpoint::version) {
    answer.content_type = kJson;
    JsonObject object(answer.body);
    object.text("version", options.version).text("api", "v1").close();
  } else if (endpoint == Endpoint::openapi) {
    answer.content_type = kJson;
    answer.body = openapi_document(options.version);
  } else {
    answer.body = "alive\n";
  }
  return answer;
}

}  // namespace coord::api
