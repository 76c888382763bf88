// Plan: a request understood: what to ask of the member, and in which form to answer.
//
// Made by plan_request() (pure), carried out by Exchange, answered by respond.hpp. Plans are used
// again for the next request of a connection, so that their strings keep their memory.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "api/credentials.hpp"
#include "api/http_options.hpp"
#include "api/negotiate.hpp"
#include "api/request_view.hpp"
#include "api/route_table.hpp"
#include "coord/core/request.hpp"

namespace coord::api {

// What is wrong with a request, before or after it was submitted.
struct Problem {
  Code code = Code::ok;  // ok: nothing is wrong.
  std::string detail;
  std::string allow;                 // method-not-allowed: the methods that are.
  std::optional<std::size_t> limit;  // too-large: the limit.
  std::string_view branch = {};      // Of a transaction: where the operation stands ...
  std::size_t op = 0;                // ... and its index there.
  explicit operator bool() const noexcept { return code != Code::ok; }
};

enum class PatchKind : std::uint8_t { none, merge };

struct Plan {
  const RouteSpec* route = nullptr;
  Method method = Method::get;
  Format format = Format::raw;
  bool gzip = false;
  bool is_write = false;
  bool is_dry_run = false;
  std::string target;     // As it was sent: the `instance` of a problem.
  std::string path;       // The node concerned, or empty.
  std::string origin;     // An allowed CORS origin, or empty.
  core::Request request;  // Its op is moved out when it is submitted.

  // Long poll.
  std::optional<std::int64_t> wait_ms;
  std::optional<Zxid> since;
  std::optional<Zxid> known;    // If-None-Match of a read: the ETag the client has.
  bool known_any = false;       // If-None-Match: * of a read.
  bool children_state = false;  // A listing with stats or values: changes of children count too.

  // Streams, and how changes are shown.
  watch::Filter filter;
  std::optional<Zxid> from;
  bool with_initial = false;
  bool with_values = false;
  bool with_prev = false;

  // Listings.
  bool with_stat = false;
  bool with_acls = false;
  std::size_t limit = 0;

  // What the routes of recipes need beside their operation.
  struct Recipe {
    std::string name;
    std::string item;
    std::optional<std::int64_t> wait_ms;  // Of a step that may wait.
    bool stays = false;     // A broken connection does not take back what it asked for.
    bool is_block = false;  // A counter's block.
    std::optional<core::RecipeRenew> renewal;  // Tried first (see try_renewal).
    // A step that is checked here first (RecipeRoute::check): the query that is asked before it,
    // what the step will be made of, and why it was refused.
    std::string basis;
    std::shared_ptr<void> draft;
    std::string refusal;
    std::string labels;  // Of the client, as a JSON object.
  };
  Recipe recipe;

  PatchKind patch = PatchKind::none;
  std::string patch_body;
  bool has_guard = false;

  // The names of a transaction's operations, as the client wrote them.
  std::vector<std::string_view> then_names;
  std::vector<std::string_view> otherwise_names;

  // Forgets the last request, keeps the memory.
  void reset();
};

// Understands a request. Returns what is wrong with it, or a Problem that is false. Even then
// `plan` holds enough to answer (route, target, format). Sets everything of plan.request but the
// connection and the id.
[[nodiscard]] Problem plan_request(const RequestView& view, const Caller& caller,
                                   const HttpOptions& options, Plan& plan);

// The largest body that a target may have, known before the body is read.
[[nodiscard]] std::size_t body_limit_of(std::string_view target,
                                        const HttpOptions& options) noexcept;

}  // namespace coord::api
