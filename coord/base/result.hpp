// Result<T>: operational failures (disk, peer, parse) as values.
//
// Outcomes that a client must see are a coord::Code in a Reply instead; broken invariants are
// COORD_CHECK. Reading the value of an error aborts, in every build. This header is the one place
// that names Boost.Outcome, so that std::expected can replace it. Thread rule: values.
#pragma once

#include <fmt/format.h>

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>
#include <string>
#include <utility>

namespace coord {

// What kind of failure it is, for code that must decide; the message is for people.
enum class Failure : std::uint8_t {
  io,          // A system call failed.
  disk_full,   // ENOSPC or EDQUOT: may succeed once there is room.
  corrupt,     // Stored bytes are damaged. The message names file and offset.
  invalid,     // Bytes or text that do not parse, or a wrong configuration.
  not_found,   // A file or key is not there.
  unavailable  // A peer or server cannot be reached, or does not answer in time.
};

struct Error {
  Failure failure = Failure::io;
  std::string message;
};

template <class T>
using Result = boost::outcome_v2::basic_result<T, Error, boost::outcome_v2::policy::terminate>;

// Makes an Error with a formatted message: `return error(Failure::io, "open {}: {}", path, text)`.
template <class... Args>
[[nodiscard]] Error error(Failure failure, fmt::format_string<Args...> text, Args&&... args) {
  return Error{failure, fmt::format(text, std::forward<Args>(args)...)};
}

[[nodiscard]] inline auto success() { return boost::outcome_v2::success(); }

}  // namespace coord

// COORD_TRY(auto value, expression) or COORD_TRY(expression): returns the error to the caller.
#define COORD_TRY(...) BOOST_OUTCOME_TRY(__VA_ARGS__)
