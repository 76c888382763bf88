// ZkOptions: every bound and time-out of ZooKeeper's port, with its default.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/tls.hpp"
#include "coord/base/limits.hpp"

namespace coord::api::zk {

struct ZkOptions {
  std::int64_t timeout_ms_min = 4'000;  // What clients ask for is brought into these bounds.
  std::int64_t timeout_ms_max = 40'000;
  std::size_t frame_bytes_max = 1'048'575;  // jute.maxbuffer.
  std::size_t connections_max = 20'000;
  std::size_t connections_per_address_max = 0;  // 0: no bound.
  // Four-letter words that are answered; "*": all.
  std::vector<std::string> words = {"srvr", "envi", "isro", "ruok"};
  // What the words conf and dirs tell of.
  std::string data_directory;
  std::string log_directory;
  std::uint16_t peer_port = 0;  // 0: no other members.
  std::string super_digest;     // "user:base64(sha1(user:password))"; empty: nobody is super.
  std::string super_x509;       // Subject of a certificate; empty: nobody is super by one.
  std::shared_ptr<const TlsContext> tls;  // Of the secure port; null: there is none.

  std::size_t calls_max = 1'000;              // Of one connection, not answered yet.
  std::size_t unsent_pause_bytes = 4 * kMiB;  // So much unsent output stops the reading.
  std::size_t unsent_bytes_max = 64 * kMiB;   // A connection that owes more is cut.
  std::size_t auths_max = 14;                 // Identities that one connection adds.
  std::size_t dump_sessions_max = 10'000;     // Sessions that the word dump lists.
  std::int64_t connect_timeout_ms = 10'000;   // From the accept to the whole first request.
  // Without a leader for so long, clients are sent away, but one that would read only gets what is
  // here.
  std::int64_t read_only_after_ms = 2'000;
  std::int64_t request_timeout_ms = 30'000;  // Then the connection is closed.
  std::int64_t write_timeout_ms = 30'000;    // Without one byte of progress.
  std::int64_t linger_ms = 2'000;            // After the last answer: the client may read it.
  std::int64_t ask_again_ms = 100;           // While there is no leader to confirm it.
  std::int64_t scan_ms = 1'000;
  std::int64_t drain_ms = 5'000;
};

}  // namespace coord::api::zk
