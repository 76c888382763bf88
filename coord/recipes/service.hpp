// Service: instances that come and go, with their addresses, and who checks them.
//
// /.coord/services/NAME/INSTANCE is one registered instance: an ephemeral of the session that it
// was bound to, or of one that the registration brought (then the instance has a ttl, and a
// heartbeat is a sign of life of that session: no log entry). That session ends with its instance.
// /.coord/checkers/ID is an ephemeral that each member has while it runs active checks; who checks
// what follows from these names and the instance's own (checker_of), so that the loss of a member
// moves its checks without a write.
//
// A service without instances is remembered for kForgetMs: its node says since when it has none.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "coord/recipes/recipe.hpp"
#include "coord/recipes/service_record.hpp"

namespace coord::recipes::service {

inline constexpr std::int64_t kForgetMs = 3'600'000;
inline constexpr std::string_view kCheckersPath = "/.coord/checkers";

// ---- steps

struct Register {
  std::string service;
  std::string instance;
  Instance record;  // Without what the service knows of it.
  bool takes_over = false;
};
struct Deregister {
  std::string service;
  std::string instance;
  bool takes_over = false;
};
// In maintenance, or (without a reason) out of it.
struct Maintain {
  std::string service;
  std::string instance;
  std::optional<std::string> reason;
};
// The health of one check has changed. `why`: it fails.
struct Report {
  std::string service;
  std::string instance;
  Check check;
  std::optional<std::string> why;
};
// The member runs checks as long as the acting session lives.
struct Volunteer {
  MemberId member;
};

// ---- renewals: a Register whose instance is there unchanged, and

struct Heartbeat {
  std::string service;
  std::string instance;
};

// ---- queries

struct Filter {
  bool only_healthy = false;
  std::vector<std::string> tags;                          // It has all of them ...
  std::vector<std::pair<std::string, std::string>> meta;  // ... and all of these.
  [[nodiscard]] bool fits(const Instance& instance) const;
};
struct List {
  std::string service;
  Filter filter;
  bool may_be_unknown = false;  // An unknown service has no instances; else it is not_found.
};
struct ListServices {
  Filter filter;  // A service that has no instance that fits is left out.
  std::string after;
  std::uint32_t limit = 1000;
};

[[nodiscard]] std::string encode(const Register& op);
[[nodiscard]] std::string encode(const Deregister& op);
[[nodiscard]] std::string encode(const Maintain& op);
[[nodiscard]] std::string encode(const Report& op);
[[nodiscard]] std::string encode(const Volunteer& op);
[[nodiscard]] std::string encode(const Heartbeat& op);
[[nodiscard]] std::string encode(const List& query);
[[nodiscard]] std::string encode(const ListServices& query);

// ---- answers

struct Found {
  std::string id;
  SessionId session;  // That it hangs on.
  Zxid changed;       // The revision that changed it last.
  Instance record;
};
// Of a Register: `record` as it stands now. Of a refusal with instance_held: whose it is.
struct Registered {
  bool is_new = false;
  Found now;
};
struct Instances {
  std::vector<Found> instances;    // In byte order of their ids.
  std::vector<MemberId> checkers;  // Only when one of them has checks.
};
struct Summary {
  std::string service;
  std::uint64_t instances = 0;
  std::uint64_t healthy = 0;
  std::vector<std::string> tags;  // Of any instance, sorted.
};
struct Services {
  std::vector<Summary> services;
  bool is_last = true;
};

[[nodiscard]] bool decode(std::string_view bytes, Registered& answer);
[[nodiscard]] bool decode(std::string_view bytes, Instances& answer);
[[nodiscard]] bool decode(std::string_view bytes, Services& answer);

// ---- the recipe's parts (recipe.cpp)

[[nodiscard]] bool is_step(std::string_view bytes);
[[nodiscard]] bool is_query(std::string_view bytes);
[[nodiscard]] bool is_renewal(std::string_view bytes);
[[nodiscard]] Answer run(std::string_view bytes, Step& step);
[[nodiscard]] Answer view(std::string_view bytes, const Look& look);
[[nodiscard]] Renewal renewal(std::string_view bytes, const Look& look, SessionId session);
// Of a registration of what is there already, changed or not.
[[nodiscard]] SessionId renewed_by(std::string_view bytes, const Look& look, SessionId session);
void settle(Step& step, std::string_view name);
[[nodiscard]] std::optional<std::int64_t> deadline(const Look& look, const Place& place);
void due(Step& step, const Place& place);

}  // namespace coord::recipes::service
