// openapi: the OpenAPI 3.1 document, made of the route table.
#pragma once

#include <string>
#include <string_view>

namespace coord::api {

[[nodiscard]] std::string openapi_document(std::string_view version);

}  // namespace coord::api
