// Logging: spdlog behind one name, and the trace of the pure world as key=value lines.
//
// Levels: error (the operator must act), warn (degraded), info (role and membership changes, start
// and stop; under one line a second at rest), debug. Values and secrets are never logged.
#pragma once

#include <spdlog/spdlog.h>

#include <cstdlib>
#include <string>
#include <utility>

#include "coord/base/result.hpp"
#include "coord/base/trace.hpp"

namespace coord::server {

// `level`: debug, info, warn, error.
[[nodiscard]] Result<void> set_up_log(const std::string& level);

// For what must end the process: a failed write or sync of the log. Never returns.
template <class... Args>
[[noreturn]] void log_and_die(fmt::format_string<Args...> text, Args&&... args) {
  spdlog::critical(text, std::forward<Args>(args)...);
  spdlog::shutdown();
  std::_Exit(3);
}

class LogTrace : public TraceSink {
 public:
  void trace(const TraceEvent& event) override;
};

}  // namespace coord::server
