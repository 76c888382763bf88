// What the verbs of recipes share.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/verbs.hpp"

namespace coord::cli {

// "/v1/queues/" and "a b" -> "/v1/queues/a%20b".
[[nodiscard]] std::string route_of(std::string_view directory, std::string_view name);
// A call whose answer is JSON; `body` is JSON unless it is empty.
[[nodiscard]] Call json_call(std::string_view method, const Target& target, std::string body = {});
[[nodiscard]] Outcome<Json> call_json(const Context& context, const Call& call);
// All entries of a listing, page after page.
[[nodiscard]] Outcome<Json> list_all(const Context& context, std::string_view route,
                                     std::string_view name, std::string_view query = {});
// The entries as a table with these fields as columns, titles in capitals.
void print_entries(const Context& context, std::string_view name, const Json& entries,
                   const std::vector<std::string_view>& fields);

}  // namespace coord::cli
