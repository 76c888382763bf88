// The JSON of the routes under /v1/cluster.
#include "api/json.hpp"

namespace coord::api {
namespace {

void number_or_null(JsonObject& object, std::string_view name, std::uint64_t value) {
  value != 0 ? object.number(name, value) : object.null(name);
}

void text_or_null(JsonObject& object, std::string_view name, std::string_view value) {
  value.empty() ? object.null(name) : object.text(name, value);
}

void append_texts(std::string& out, const std::vector<std::string>& texts) {
  out += '[';
  for (std::size_t i = 0; i < texts.size(); ++i) {
    if (i > 0) out += ',';
    append_json_string(out, texts[i]);
  }
  out += ']';
}

void append_member(std::string& out, const core::MemberView& member) {
  JsonObject object(out);
  object.number("id", member.id.value()).text("role", member.role).text("state", member.state);
  text_or_null(object, "peer", member.peer);
  text_or_null(object, "http", member.http);
  text_or_null(object, "zookeeper", member.zookeeper);
  object.number("applied", member.applied.value()).number("lag", member.lag);
  if (member.heard_ms < 0) {
    object.null("heard_ms");
  } else {
    object.whole("heard_ms", member.heard_ms);
  }
  number_or_null(object, "replaces", member.replaces.value());
  object.close();
}

}  // namespace

void append_json_cluster(std::string& out, const core::ClusterView& cluster, Zxid revision) {
  JsonObject object(out);
  object.text("cluster", cluster.cluster).number("term", cluster.term.value());
  number_or_null(object, "leader", cluster.leader.value());
  object.name("members") += '[';
  for (std::size_t i = 0; i < cluster.members.size(); ++i) {
    if (i > 0) out += ',';
    append_member(out, cluster.members[i]);
  }
  out += ']';
  object.number("voters", cluster.voters).number("quorum", cluster.quorum);
  object.number("failures_tolerated", cluster.failures_tolerated);
  append_texts(object.name("warnings"), cluster.warnings);
  if (cluster.age_ms < 0) {
    object.null("age_ms");
  } else {
    object.whole("age_ms", cluster.age_ms);
  }
  object.number("revision", revision.value()).close();
}

void append_json_cluster_plan(std::string& out, const core::ClusterPlan& plan, Zxid revision) {
  JsonObject object(out);
  object.number("voters", plan.voters).number("quorum", plan.quorum);
  object.number("failures_tolerated", plan.failures_tolerated);
  append_texts(object.name("warnings"), plan.warnings);
  object.number("revision", revision.value()).close();
}

}  // namespace coord::api
