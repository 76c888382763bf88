// The inside of service: its requests from bytes, its answers into bytes.
#pragma once

#include <string>
#include <string_view>

#include "coord/recipes/service.hpp"

namespace coord::recipes::service {

// The first byte of each request. Steps are stored in the log: append only.
enum class Op : std::uint8_t {
  enlist = 1,
  leave = 2,
  maintain = 3,
  report = 4,
  volunteer = 5,
  heartbeat = 6,
  list = 7,
  list_services = 8,
};

// False for anything that encode() does not make of a valid request.
[[nodiscard]] bool decode(std::string_view bytes, Register& op);
[[nodiscard]] bool decode(std::string_view bytes, Deregister& op);
[[nodiscard]] bool decode(std::string_view bytes, Maintain& op);
[[nodiscard]] bool decode(std::string_view bytes, Report& op);
[[nodiscard]] bool decode(std::string_view bytes, Volunteer& op);
[[nodiscard]] bool decode(std::string_view bytes, Heartbeat& op);
[[nodiscard]] bool decode(std::string_view bytes, List& query);
[[nodiscard]] bool decode(std::string_view bytes, ListServices& query);

[[nodiscard]] std::string encode(const Registered& answer);
[[nodiscard]] std::string encode(const Instances& answer);
[[nodiscard]] std::string encode(const Services& answer);

}  // namespace coord::recipes::service
