// Gateway: the door from an edge (HTTP, later ZooKeeper's protocol) into the member.
//
// One of the five virtual seams; coord/server implements it over the runner, tests fake it. The
// edge connects once for each client connection, submits requests, and gets deliveries through its
// Sink, in order. A Sink is never called from inside submit(), subscribe() or connect(), and never
// after disconnect() returned. Thread rule: all of it on the thread of the connection's executor.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "coord/base/ids.hpp"
#include "coord/core/request.hpp"

namespace coord::api {

// A part of a backup, in order.
struct BackupPiece {
  std::string error;  // Empty unless it could not be read: nothing follows.
  Zxid revision;      // Of the whole backup.
  std::string bytes;
  bool is_last = false;
};

class Sink {
 public:
  virtual ~Sink() = default;
  virtual void deliver(core::Delivery delivery) = 0;
  // What read_backup() asked for.
  virtual void deliver_backup(BackupPiece piece) = 0;
  // After the last delivery of a turn: the moment to write what has gathered.
  virtual void flush() = 0;
  // False: it is a part of the member itself, not counted among its clients.
  [[nodiscard]] virtual bool is_client() const { return true; }
};

class Gateway {
 public:
  virtual ~Gateway() = default;
  // `sink` must live until disconnect().
  [[nodiscard]] virtual ConnectionId connect(Sink& sink) = 0;
  // Drops the connection's watches and pending requests (writes under way still happen).
  virtual void disconnect(ConnectionId connection) = 0;

  virtual void submit(core::Request request) = 0;
  virtual void subscribe(core::Subscribe subscribe) = 0;
  virtual void unsubscribe(core::Unsubscribe unsubscribe) = 0;
  virtual void resume(core::ResumeWatch resume) = 0;
  // An AppliedEvent of every entry from now on, ahead of every reply that shows it.
  virtual void watch_applied(ConnectionId connection) = 0;
  // Asks for the next bytes of a backup, which the first call of a connection begins: the store as
  // it is then. One piece is under way at a time; disconnect() ends it before its last piece.
  virtual void read_backup(ConnectionId connection, std::size_t bytes_max) = 0;
  // A stream that carries this session had earlier bytes acknowledged: renews it, no answer.
  virtual void touch(const core::SessionCredential& session) = 0;

  // The last applied zxid, for answers that never reach the node (a 404 of a route).
  [[nodiscard]] virtual Zxid applied() const = 0;
  // Whether these identities may read the node as it is now; true if there is none.
  [[nodiscard]] virtual bool may_read(const std::string& path,
                                      const Identities& identities) const = 0;
  // How old what this member has applied may be.
  [[nodiscard]] virtual std::int64_t staleness_ms() const = 0;
  // For how long it has known no leader.
  [[nodiscard]] virtual std::int64_t leaderless_ms() const = 0;
  // Has this member a leader and caught up: what /readyz says; `why` is for people when not.
  [[nodiscard]] virtual bool is_ready(std::string& why) const = 0;
  // Prometheus' text format.
  [[nodiscard]] virtual std::string metrics() = 0;
  // 16 bytes from the system's random source, for secrets.
  [[nodiscard]] virtual session::Secret random_secret() = 0;
};

}  // namespace coord::api
