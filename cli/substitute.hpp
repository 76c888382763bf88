// substitute: a template with the values of a JSON document put in. Pure.
//
// {{db.host}} and {{hosts.0}} stand for a value by the names on the way to it, {{.}} for the whole
// text. Strings stand as they are, everything else as JSON. What is not there is an error: a
// half-written file is worse than the old one.
#pragma once

#include <string>
#include <string_view>

#include "cli/outcome.hpp"

namespace coord::cli {

[[nodiscard]] Outcome<std::string> substitute(std::string_view text, std::string_view value);

}  // namespace coord::cli
