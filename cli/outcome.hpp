// Outcome<T>: what a verb gives, or the Trouble that ends it: exit code, one line, one hint.
//
// Exit codes are a contract with scripts outside this repository. Thread rule: values.
#pragma once

#include <boost/outcome/basic_result.hpp>
#include <boost/outcome/policy/terminate.hpp>
#include <boost/outcome/try.hpp>
#include <string>
#include <string_view>

#include "coord/base/result.hpp"

namespace coord::cli {

enum class Exit : int {
  ok = 0,
  other = 1,
  usage = 2,
  not_found = 3,
  conflict = 4,
  unavailable = 5,
  unknown_outcome = 6,
  forbidden = 7,
  timed_out = 124,
  session_lost = 125,
  interrupted = 130,
};

struct Trouble {
  Exit exit = Exit::other;
  std::string message;  // For "error: ...", one line; empty: everything was said already.
  std::string hint;     // What the reader can do about it; empty if there is nothing.
};

template <class T>
using Outcome = boost::outcome_v2::basic_result<T, Trouble, boost::outcome_v2::policy::terminate>;

// The exit code of an answer of the server: its status, and the stable word of its problem.
[[nodiscard]] Exit exit_of(int status, std::string_view code) noexcept;
// Makes a Trouble of an answer with a status of 400 or more. `body` is problem+json or anything:
// what does not parse gives a plain line with the status.
[[nodiscard]] Trouble trouble_of(int status, std::string_view body);
// "error: message" and, if there is one, "hint: ..." on a line of its own; each ends in a newline.
[[nodiscard]] std::string describe(const Trouble& trouble);

}  // namespace coord::cli
