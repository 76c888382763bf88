// HttpOptions: every bound and time-out of the HTTP edge, with its default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

#include "coord/base/limits.hpp"

namespace coord::api {

struct HttpOptions {
  std::size_t header_bytes_max = 16 * kKiB;  // 431 beyond it.
  std::size_t body_bytes_max = kMiB;         // A value: 413 beyond it. TreeLimits::value_bytes_max.
  std::size_t json_bytes_max = 16 * kMiB;    // The body of a transaction.
  RequestLimits requests;
  SessionLimits sessions;

  std::size_t connections_max = 20'000;     // One more gets 503 and is closed.
  std::size_t pipelined_max = 128;          // Requests of one connection that are not answered yet.
  std::size_t unsent_pause_bytes = kMiB;    // So much unsent output stops the reading of requests.
  std::size_t stream_bytes_max = 4 * kMiB;  // A stream that owes more is cut ...
  std::size_t stream_resume_bytes = 256 * kKiB;  // ... a replay goes on below this.

  std::int64_t header_timeout_ms = 10'000;    // From a request's first byte, or from the accept.
  std::int64_t idle_timeout_ms = 75'000;      // Between requests.
  std::int64_t body_window_ms = 10'000;       // In each such window a body must bring ...
  std::size_t body_window_bytes = 10 * kKiB;  // ... so many bytes, or end.
  std::int64_t write_timeout_ms = 30'000;     // Without one byte of progress.
  std::int64_t linger_ms = 2'000;             // After a refusal: so long the client may read it.
  std::int64_t answer_grace_ms = 5'000;  // Beyond a request's time-out: then the edge answers 504.
  std::int64_t stream_beat_ms = 10'000;  // A comment, and a bookmark, at least so often.
  std::int64_t drain_ms = 5'000;         // stop(): how long replies may take to leave.
  std::int64_t scan_ms = 1'000;          // How often the time-outs above are looked at.
  std::int64_t timeout_ms_default = 10'000;  // ?timeout=
  std::int64_t timeout_ms_max = 600'000;
  std::int64_t wait_ms_max = 600'000;  // ?wait=
  bool has_health_checks = true;       // Else instances with active checks are refused.
  int patch_attempts_max = 16;         // Merge patches that lose a race are tried again.

  // "user:base64(sha1(user:password))" of the operator. While it is empty, any caller from loopback
  // is an operator.
  std::string super_digest;
  std::vector<std::string> cors_origins;  // Allowed origins; "*" allows any. Empty: CORS is off.
  std::string version;                    // What /version says; the build's version if empty.
};

}  // namespace coord::api
