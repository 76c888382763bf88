// ServerGateway: api::Gateway over the Runner.
#pragma once

#include <string>

#include "api/gateway.hpp"
#include "coord/server/metrics.hpp"
#include "coord/server/runner.hpp"

namespace coord::server {

class ServerGateway final : public api::Gateway {
 public:
  ServerGateway(Runner& runner, Metrics& metrics) : runner_(runner), metrics_(metrics) {}

  [[nodiscard]] ConnectionId connect(api::Sink& sink) override { return runner_.connect(sink); }
  void disconnect(ConnectionId connection) override { runner_.disconnect(connection); }
  void submit(core::Request request) override {
    runner_.enqueue(core::ClientRequest{std::move(request)});
  }
  void subscribe(core::Subscribe subscribe) override { runner_.enqueue(std::move(subscribe)); }
  void unsubscribe(core::Unsubscribe unsubscribe) override { runner_.enqueue(unsubscribe); }
  void resume(core::ResumeWatch resume) override { runner_.enqueue(resume); }
  void watch_applied(ConnectionId connection) override {
    runner_.enqueue(core::WatchApplied{connection});
  }
  void read_backup(ConnectionId connection, std::size_t bytes_max) override {
    runner_.read_backup(connection, bytes_max);
  }
  void touch(const core::SessionCredential& session) override {
    runner_.enqueue(core::Touched{session});
  }
  [[nodiscard]] Zxid applied() const override { return runner_.node().state().applied(); }
  [[nodiscard]] bool may_read(const std::string& path,
                              const Identities& identities) const override {
    return runner_.node().state().tree().check_access(path, znode::Permission::read, identities) !=
           Code::forbidden;
  }
  [[nodiscard]] std::int64_t staleness_ms() const override { return runner_.node().staleness_ms(); }
  [[nodiscard]] std::int64_t leaderless_ms() const override {
    return runner_.node().leaderless_ms();
  }
  [[nodiscard]] bool is_ready(std::string& why) const override {
    if (runner_.node().is_ready(why)) return true;
    if (runner_.links() != nullptr) {
      if (auto refusals = runner_.links()->refusals(); !refusals.empty()) why = refusals;
    }
    return false;
  }
  [[nodiscard]] std::string metrics() override {
    return metrics_.text(runner_.node(), runner_.wal(), runner_.store(), runner_.connection_count(),
                         runner_.links());
  }
  [[nodiscard]] session::Secret random_secret() override;

 private:
  Runner& runner_;
  Metrics& metrics_;
};

}  // namespace coord::server
