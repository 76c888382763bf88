// The inside of plan_request(): the query, and one builder for each endpoint.
#pragma once

#include <array>
#include <optional>
#include <string_view>
#include <vector>

#include "api/plan.hpp"
#include "api/text.hpp"

namespace coord::api {

// The parameters of one request. Names are known to the route and stand once (but `path`).
class Query {
 public:
  explicit Query(const std::vector<QueryParameter>& parameters) : parameters_(parameters) {}

  [[nodiscard]] const std::string* find(std::string_view name) const noexcept;
  [[nodiscard]] const std::vector<QueryParameter>& all() const noexcept { return parameters_; }
  // Each gives the parameter's value, or none if it is not there; a malformed one sets `problem`.
  std::optional<bool> boolean(std::string_view name, Problem& problem) const;
  std::optional<std::uint64_t> count(std::string_view name, Problem& problem) const;
  std::optional<std::int64_t> whole(std::string_view name, Problem& problem) const;
  std::optional<std::int64_t> duration(std::string_view name, Problem& problem) const;

 private:
  const std::vector<QueryParameter>& parameters_;
};

// What a builder works on.
struct PlanInput {
  const RequestView& view;
  const Caller& caller;
  const HttpOptions& options;
  const Query& query;
  std::string_view argument;  // What stands for "{path}" or "{id}", decoded.
  std::array<std::string_view, kRouteArgumentsMax> arguments;  // All of them.
};

[[nodiscard]] Problem bad_request(std::string detail);
// limit= into plan.limit, and the name that cursor= stands for (empty without one).
[[nodiscard]] Problem take_limit(const PlanInput& in, Plan& plan);
[[nodiscard]] Problem take_cursor(const PlanInput& in, std::string& after);

// Sets plan.request.op and what else the endpoint needs.
[[nodiscard]] Problem plan_endpoint(const PlanInput& in, Plan& plan);

// The routes under /v1/cluster.
[[nodiscard]] Problem plan_cluster(const PlanInput& in, Plan& plan);

}  // namespace coord::api
