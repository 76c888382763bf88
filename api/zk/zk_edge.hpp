// ZkEdge: ZooKeeper's port: its sockets, and what its clients share.
//
// Shared are the table of watches, who has which session, and what the four-letter words count. It
// follows every applied entry (Gateway::watch_applied) and tells its clients of what they watch,
// and closes who lost its session. Knows no Asio. Thread rule: one thread.
#pragma once

#include <absl/container/flat_hash_map.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/gateway.hpp"
#include "api/sockets.hpp"
#include "api/zk/ops.hpp"
#include "api/zk/options.hpp"
#include "api/zk/watches.hpp"

namespace coord::api::zk {

class Client;

// What the words tell of this port.
struct Counters {
  std::uint64_t received = 0;
  std::uint64_t sent = 0;
  std::uint64_t latency_count = 0;
  std::int64_t latency_sum_ms = 0;
  std::int64_t latency_min_ms = 0;
  std::int64_t latency_max_ms = 0;
  void add_latency(std::int64_t ms) noexcept;
};

class ZkEdge final : public Sink {
 public:
  ZkEdge(Gateway& gateway, ZkOptions options);
  ~ZkEdge() override;
  ZkEdge(const ZkEdge&) = delete;
  ZkEdge& operator=(const ZkEdge&) = delete;

  [[nodiscard]] Sockets& sockets() noexcept { return sockets_; }
  // For one read at a time, by whoever holds the loop.
  [[nodiscard]] std::string& plain_buffer() noexcept { return plain_; }

  // ---- what is applied
  void deliver(core::Delivery delivery) override;
  void deliver_backup(BackupPiece piece) override;
  void flush() override;

  // ---- for Client
  [[nodiscard]] Gateway& gateway() noexcept { return gateway_; }
  [[nodiscard]] const ZkOptions& options() const noexcept { return options_; }
  [[nodiscard]] WatchTable& watches() noexcept { return watches_; }
  [[nodiscard]] Counters& counters() noexcept { return counters_; }
  // There has been no leader for so long that clients had better look for one elsewhere.
  [[nodiscard]] bool is_leaderless() const {
    return gateway_.leaderless_ms() >= options_.read_only_after_ms;
  }
  // What changed up to here, those who watch were told.
  [[nodiscard]] Zxid told() const noexcept { return told_zxid_; }
  void set_port(std::uint16_t port) noexcept { port_ = port; }
  void set_secure_port(std::uint16_t port) noexcept { secure_port_ = port; }
  [[nodiscard]] int port() const noexcept { return port_; }
  [[nodiscard]] int secure_port() const noexcept { return secure_port_; }
  void reset_client_counters();
  [[nodiscard]] ClientId enter(Client& client);
  void leave(Client& client);
  // The client has this session now; another one of this member that had it is closed.
  void attach(Client& client, SessionId session);
  [[nodiscard]] std::size_t outstanding() const noexcept { return outstanding_; }
  [[nodiscard]] Call* take_call();
  void give_back(Call* call);
  // In no order.
  void for_each(const std::function<void(ClientId, const Client&)>& each) const;
  [[nodiscard]] const Client* find(ClientId id) const;

 private:
  [[nodiscard]] std::unique_ptr<Socket> admit(int fd, Caller caller);
  void on_applied(const core::AppliedEvent& event);
  [[nodiscard]] bool may_see(const WatchTable::Fired& fired, const Identities& identities) const;

  Gateway& gateway_;
  const ZkOptions options_;
  ConnectionId feed_;
  int port_ = -1;  // -1: there is none.
  int secure_port_ = -1;
  WatchTable watches_;
  WatchTable::Events events_;  // Kept for its memory.
  std::string plain_;          // The same: what a read of TLS said.
  absl::flat_hash_map<ClientId, Client*> clients_;
  absl::flat_hash_map<SessionId, Client*> sessions_;
  absl::flat_hash_map<std::string, std::size_t> addresses_;
  std::vector<ClientId> told_;  // To be flushed.
  Zxid told_zxid_;
  ClientId last_client_ = 0;
  Counters counters_;
  std::size_t outstanding_ = 0;
  std::vector<std::unique_ptr<Call>> spares_;
  Sockets sockets_;  // Last: the connections use what stands above.
};

}  // namespace coord::api::zk
