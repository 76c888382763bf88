// Client: asks, waits, gives up, retries, reconnects, watches and resumes, and believes nothing.
//
// Every value that it writes is unique. Every answer goes to the Checker; what it saw of the
// registers is kept for the search at the end of the run. Invocation is when a request leaves the
// client, response when the answer arrives.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "tests/sim/client_recipes.hpp"
#include "tests/sim/linear.hpp"
#include "tests/sim/member.hpp"

namespace coord::sim {

using Histories = std::map<std::string, std::vector<RegisterOp>>;

class Client final : public Listener {
 public:
  Client(World& world, std::uint64_t number);

  void start();
  void on_delivery(ConnectionId connection, const core::Delivery& delivery) override;
  void on_lost(ConnectionId connection) override;
  // False: it is not connected.
  bool ask_transfer(MemberId to);
  bool ask_as_operator(core::Operation op);

  // At the end: what is still waiting is unknown; a live watch has seen everything up to `told`.
  void finish(Histories& histories);
  void check_watches(Zxid told);

 private:
  struct Asked {
    core::Request request;
    std::uint64_t token = 0;
    Zxid floor;  // Said to anybody before this was asked.
    std::int64_t first_asked_us = 0;
    std::int64_t asked_us = 0;
    std::uint64_t attempts = 0;
  };
  struct Stream {
    watch::Filter filter;
    bool has_cursor = false;
    Zxid cursor;
    Zxid floor;
    bool is_open = false;  // Subscribed on the present connection.
    bool is_live = false;
    bool is_local = false;
    bool with_initial = false;
    bool with_session = false;
  };

  // client.cpp: the connection, questions and answers.
  void connect();
  void act();
  void drop_connection();
  void to_member(core::Event event);
  void ask(core::Request request);
  void ask_again(Asked asked);
  void on_reply(const core::Reply& reply);
  void on_unknown(Asked asked);
  void on_recipe_reply(const Asked& asked, const core::Reply& reply);
  void on_session_reply(const Asked& asked, const core::Reply& reply);
  void check_floor(const Asked& asked, const core::Reply& reply);
  void record(const Asked& asked, const core::Reply* reply);
  void check_waiting();
  void check_served(const Asked& asked, const core::Reply& reply);

  // client_requests.cpp: what to ask.
  void ask_something();
  bool ask_of_cluster();
  bool ask_of_recipes();
  core::Operation draw_change(MemberId id);
  void keep_alive();
  core::Request draw_request();
  core::Operation draw_register();
  core::Operation draw_tree_write();
  core::Operation draw_txn();
  core::Operation draw_read();
  [[nodiscard]] std::string register_path();
  [[nodiscard]] std::string tree_path();
  [[nodiscard]] Blob unique_value();
  core::WriteGuard draw_guard();

  // client_watches.cpp
  void tend_watches();
  void subscribe(WatchId id, Stream& stream);
  void on_state(const core::WatchState& state);
  void on_event(const core::WatchEvent& event);
  void check_initial(const Stream& stream, const core::WatchEvent& event);
  void check_gap(const Stream& stream, Zxid from, Zxid to);

  World& world_;
  std::uint64_t number_;
  Member* member_ = nullptr;
  MemberId preferred_;  // Whom a refusal named as the leader.
  ConnectionId connection_;
  std::int64_t last_sent_us_ = 0;
  std::uint64_t last_request_ = 0;
  std::uint64_t last_token_ = 0;
  std::uint64_t last_watch_ = 0;
  std::map<RequestId, Asked> waiting_;
  std::set<RequestId> abandoned_;
  std::vector<Asked> to_retry_;
  std::map<WatchId, Stream> streams_;
  std::optional<core::SessionCredential> session_;
  std::int64_t session_ttl_ms_ = 0;
  bool is_opening_ = false;
  bool keeps_alive_ = true;
  std::int64_t next_keepalive_us_ = 0;
  Zxid last_revision_;
  Zxid last_mzxid_;
  Histories histories_;
  RecipeUser recipes_;
};

}  // namespace coord::sim
