// fuzz_json: every body that is JSON, and the escaping of what comes out.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

#include "api/bodies.hpp"
#include "api/json.hpp"
#include "api/text.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  using nlohmann::json;

  std::string text;
  coord::api::append_json_string(text, input);
  if (!json::parse(text, nullptr, false).is_string()) std::abort();
  text.clear();
  coord::api::JsonObject object(text);
  object.value("value", "encoding", coord::Blob(input)).close();
  const auto value = json::parse(text, nullptr, false);
  if (value.is_discarded()) std::abort();
  const auto shown = value["value"].get<std::string>();
  const auto back = value["encoding"] == "base64" ? coord::api::base64_decode(shown) : shown;
  if (!back || *back != input) std::abort();

  const coord::api::HttpOptions options;
  coord::api::Plan plan;
  if (!parse_txn(input, options, plan) &&
      !std::holds_alternative<coord::core::Txn>(plan.request.op)) {
    std::abort();
  }
  coord::core::OpenSession open;
  (void)coord::api::parse_session(input, open);
  coord::znode::Acl acl;
  if (!coord::api::parse_acl(input, acl)) {
    text.clear();
    coord::api::append_json_acl(text, acl);
    if (json::parse(text, nullptr, false).is_discarded()) std::abort();
  }
  coord::core::SetQuota quota;
  (void)coord::api::parse_quota(input, quota);
  coord::core::ImportNodes import;
  (void)coord::api::parse_import(input, options, import);

  const auto half = input.substr(0, size / 2);
  const auto rest = input.substr(size / 2);
  std::string merged;
  if (!coord::api::merge_patch(half, rest, merged) && coord::api::check_json(merged)) {
    std::abort();
  }
  (void)coord::api::decode_cursor(input);
  return 0;
}
