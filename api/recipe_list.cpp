#include "api/recipe_list.hpp"

#include "api/text.hpp"

namespace coord::api {

Problem take_list(const PlanInput& in, Plan& plan, recipes::ListQuery& query) {
  if (auto problem = take_limit(in, plan)) return problem;
  query.limit = static_cast<std::uint32_t>(std::min<std::size_t>(plan.limit, recipes::kListMax));
  return take_cursor(in, query.after);
}

void append_list(std::string& out, std::string_view name, const core::Reply& reply,
                 const std::function<void(const recipes::ListEntry&, JsonObject&)>& each) {
  recipes::ListResult list;
  static_cast<void>(decode(recipe_result(reply).answer.bytes, list));
  JsonObject object(out);
  object.name(name) += '[';
  bool is_first = true;
  for (const auto& entry : list.entries) {
    if (!is_first) out += ',';
    is_first = false;
    JsonObject one(out);
    each(entry, one);
    one.close();
  }
  out += ']';
  if (!list.is_last && !list.entries.empty()) {
    object.text("cursor", encode_cursor(list.entries.back().name));
  }
  object.number("revision", reply.revision.value()).close();
}

}  // namespace coord::api
