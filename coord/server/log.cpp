#include "coord/server/log.hpp"

#include <spdlog/sinks/stdout_color_sinks.h>

#include "coord/base/overloaded.hpp"

namespace coord::server {

Result<void> set_up_log(const std::string& level) {
  const auto wanted = spdlog::level::from_str(level);
  if (wanted == spdlog::level::off && level != "off") {
    return error(Failure::invalid, "unknown log level {}: debug, info, warn, error or off", level);
  }
  auto logger = spdlog::stderr_color_mt("coordd");
  logger->set_pattern("%Y-%m-%dT%H:%M:%S.%e%z %^%l%$ %v");
  logger->set_level(wanted);
  spdlog::set_default_logger(std::move(logger));
  return success();
}

void LogTrace::trace(const TraceEvent& event) {
  std::visit(
      Overloaded{[](const BecameLeader& e) {
                   spdlog::info("event=became-leader member={} term={}", e.member, e.term);
                 },
                 [](const BecameFollower& e) {
                   spdlog::info("event=became-follower member={} term={} leader={} why=\"{}\"",
                                e.member, e.term, e.leader, e.why);
                 },
                 [](const BecameCandidate& e) {
                   spdlog::debug("event=became-candidate member={} term={} pre_vote={}", e.member,
                                 e.term, e.pre_vote);
                 },
                 [](const SessionOpened& e) {
                   spdlog::debug("event=session-opened session={} ttl_ms={}", e.session, e.ttl_ms);
                 },
                 [](const SessionEnded& e) {
                   spdlog::debug("event=session-ended session={} reason={}", e.session, e.reason);
                 },
                 [](const CheckpointWritten& e) {
                   spdlog::debug("event=checkpoint index={} records={}", e.index, e.records);
                 },
                 [](const Note& e) {
                   switch (e.level) {
                     case Note::Level::debug:
                       spdlog::debug("{}", e.text);
                       break;
                     case Note::Level::info:
                       spdlog::info("{}", e.text);
                       break;
                     case Note::Level::warn:
                       spdlog::warn("{}", e.text);
                       break;
                     case Note::Level::error:
                       spdlog::error("{}", e.text);
                       break;
                   }
                 }},
      event);
}

}  // namespace coord::server
