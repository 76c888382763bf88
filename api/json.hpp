// json: the JSON shapes of the API, appended as text.
//
// Large answers are lists of small things, so nothing here builds a document in memory first. Every
// string is escaped; bytes that are not UTF-8 stand as base64 with an `encoding` that says so.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "coord/core/request.hpp"

namespace coord::api {

// With the quotes. What is not UTF-8 becomes U+FFFD: for texts that should be, not for values.
void append_json_string(std::string& out, std::string_view text);

// An object that is written field by field; close() ends it.
class JsonObject {
 public:
  explicit JsonObject(std::string& out) : out_(out) { out_ += '{'; }
  // Writes the name; the caller appends the value to out().
  std::string& name(std::string_view name);
  JsonObject& text(std::string_view name, std::string_view value);
  JsonObject& number(std::string_view name, std::uint64_t value);
  JsonObject& whole(std::string_view name, std::int64_t value);
  JsonObject& boolean(std::string_view name, bool value);
  JsonObject& null(std::string_view name);
  JsonObject& time(std::string_view name, std::int64_t wall_ms);
  // An id as a string ("51"), or null when there is none.
  JsonObject& id(std::string_view name, std::uint64_t value);
  // `name` and `encoding_name`: text, or base64.
  JsonObject& value(std::string_view name, std::string_view encoding_name, const Blob& value);
  JsonObject& stat(std::string_view name, const znode::Stat& stat);
  void close() { out_ += '}'; }

 private:
  std::string& out_;
  bool is_first_ = true;
};

[[nodiscard]] std::string_view word_of(znode::Mode mode) noexcept;
[[nodiscard]] std::string_view word_of(znode::ChangeKind kind) noexcept;
[[nodiscard]] std::string_view word_of(core::Consistency consistency) noexcept;

// One flat object with ZooKeeper's names.
void append_json_stat(std::string& out, const znode::Stat& stat);
// "czxid=40, mzxid=42, ...": the header Coord-Stat.
void append_stat_header(std::string& out, const znode::Stat& stat);

// One change as watches and /v1/changes show it.
struct ChangeForm {
  bool with_value = false;
  bool with_prev = false;
  bool is_initial = false;
};
void append_json_change(std::string& out, const znode::Change& change, Zxid revision,
                        const ChangeForm& form);
void append_json_history(std::string& out, const core::HistoryEntry& entry);
void append_json_child(std::string& out, const core::ChildEntry& child, bool with_values);
void append_json_walk_entry(std::string& out, const core::WalkEntry& entry, bool with_values,
                            bool with_acl);
void append_json_acl(std::string& out, const znode::Acl& acl);
void append_json_session(std::string& out, const core::SessionView& session);
void append_json_txn_results(std::string& out, const core::TxnResult& result,
                             std::span<const std::string_view> names);
void append_json_status(std::string& out, const core::Status& status, std::string_view version);
void append_json_cluster(std::string& out, const core::ClusterView& cluster, Zxid revision);
void append_json_cluster_plan(std::string& out, const core::ClusterPlan& plan, Zxid revision);

}  // namespace coord::api
