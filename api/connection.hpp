// Connection: one client's socket: bytes in, requests, answers in order, bytes out.
//
// A state machine that Sockets drives (on_events, on_wake, scan) and that the gateway feeds
// (deliver, flush). An idle connection holds this object and nothing else: the parser, the
// exchanges and the read buffer are borrowed from Edge.
//
// Invariants between calls:
//   - answers leave in the order of the requests;
//   - reads run beside reads and writes beside writes; a change from one to the other waits until
//     all earlier requests are answered, so that a pipelined GET sees the PUT before it;
//   - after close() the object does nothing and its gateway connection is gone.
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "api/edge.hpp"
#include "api/respond.hpp"

namespace coord::api {

class Connection final : public Sink, public Socket {
 public:
  Connection(Edge& edge, int fd, Caller caller);
  ~Connection() override;

  void on_events(std::uint32_t events) override;
  void on_wake() override;
  void scan() override;
  void start_draining() override;
  void close() override;

  void deliver(core::Delivery delivery) override;
  void deliver_backup(BackupPiece piece) override;
  void flush() override;

 private:
  // ---- connection.cpp: bytes
  void read_some();
  void on_end_of_input();
  [[nodiscard]] std::size_t consume(std::string_view data);
  void take_leftover();
  void begin_exchange();
  void refuse();  // The parser failed.
  void refuse_with(const Problem& problem);
  void close_when_written();
  void write_some();
  [[nodiscard]] bool write_batch();
  void after_written();
  void update_interest();
  [[nodiscard]] bool may_read() const noexcept;
  [[nodiscard]] bool has_unsent() const noexcept;
  [[nodiscard]] std::size_t unsent_bytes() const noexcept;
  void scan_input();
  void release_memory();

  // ---- connection_exchange.cpp: requests
  void start(Exchange& exchange);
  void start_queued();
  [[nodiscard]] bool may_start(const Exchange& exchange) const noexcept;
  void answer_locally(Exchange& exchange);
  void submit(Exchange& exchange, core::Request request);
  [[nodiscard]] core::Request template_of(const Exchange& exchange) const;
  void on_reply(Exchange& exchange, core::Reply reply);
  void on_patch_read(Exchange& exchange, core::Reply reply);
  void start_patch(Exchange& exchange);
  void on_watch_event(Exchange& exchange, core::WatchEvent event);
  void on_watch_state(Exchange& exchange, core::WatchState state);
  void start_poll(Exchange& exchange);
  void on_poll_read(Exchange& exchange, core::Reply reply);
  void wait_for_change(Exchange& exchange, std::optional<Zxid> from);
  void read_after_change(Exchange& exchange);
  void end_poll(Exchange& exchange);
  [[nodiscard]] core::Reply reply_at(const Exchange& exchange, Zxid revision) const;
  [[nodiscard]] core::Reply reply_of_end(const Exchange& exchange, core::WatchState state) const;
  void on_safety_deadline(Exchange& exchange);
  void finish(Exchange& exchange);
  void pop_answered();
  void drop_watch(Exchange& exchange);
  [[nodiscard]] std::string& target_of(Exchange& exchange);
  [[nodiscard]] AnswerContext context_of(const Exchange& exchange);
  void update_wake();

  // ---- connection_stream.cpp: streams
  void start_stream(Exchange& exchange);
  void subscribe_stream(Exchange& exchange, std::int64_t session_ttl_ms);
  void open_stream(Exchange& exchange, Zxid revision);
  void on_stream_state(Exchange& exchange, const core::WatchState& state);
  void stream_text(SharedText text);
  void on_beat(Exchange& exchange);
  void resume_stream();
  void end_stream(Exchange& exchange, bool is_clean);
  [[nodiscard]] std::uint64_t acknowledged_bytes() const noexcept;

  // ---- connection_recipe.cpp: requests that wait for their turn, streams of states
  [[nodiscard]] static bool has_to_wait(const Exchange& exchange, const core::Reply& reply);
  void note_client(Exchange& exchange, const core::Reply& reply);
  void start_check(Exchange& exchange);
  void on_basis(Exchange& exchange, core::Reply reply);
  [[nodiscard]] bool is_same_state(const Exchange& exchange, const core::Reply& reply) const;
  void wait_for_turn(Exchange& exchange, core::Reply reply);
  void watch_turn(Exchange& exchange);
  void poll_turn(Exchange& exchange, Zxid revision);
  void on_turn_polled(Exchange& exchange, core::Reply reply);
  void on_turn_watch_ended(Exchange& exchange, core::WatchState state);
  void give_up_turn(Exchange& exchange);
  void answer_turn(Exchange& exchange, core::Reply reply);
  void ask_anew(Exchange& exchange);
  void on_turn_wake(Exchange& exchange);
  void abandon_turns();
  void submit_step(Exchange& exchange);
  void want_state(Exchange& exchange, Zxid revision);
  void show_deltas(Exchange& exchange, const core::WatchEvent& event);
  [[nodiscard]] static bool concerns(const Exchange& exchange, const core::WatchEvent& event);
  [[nodiscard]] SharedText state_text(const Exchange& exchange, const core::Reply& reply);
  void on_state(Exchange& exchange, const core::Reply& reply);

  // ---- connection_backup.cpp: backups
  void start_backup(Exchange& exchange);
  void read_backup(Exchange& exchange);
  void end_backup(Exchange& exchange);

  Edge& edge_;
  int fd_;
  std::uint32_t interest_ = 0;
  ConnectionId id_;  // At the gateway; none until the first request needs it.
  Caller caller_;

  std::string in_;  // Bytes that are not understood yet: a part of a header, or paused requests.
  std::unique_ptr<HttpParser> parser_;  // While a request is coming in.
  std::string out_;
  std::size_t out_sent_ = 0;
  std::vector<SharedText> outbox_;  // Of a stream; goes out behind out_.
  std::size_t outbox_first_ = 0;    // The first that is not wholly sent ...
  std::size_t outbox_offset_ = 0;   // ... and how much of it is.
  std::size_t outbox_bytes_ = 0;    // Not sent yet.
  std::uint64_t sent_total_ = 0;

  Exchange* head_ = nullptr;  // The oldest request that is not answered.
  Exchange* tail_ = nullptr;
  std::size_t count_ = 0;
  std::uint64_t next_request_ = 1;
  std::uint64_t next_watch_ = 1;

  std::int64_t since_ms_;  // Of the present kind of waiting for input.
  std::int64_t write_progress_ms_ = 0;
  std::int64_t body_window_ms_ = 0;
  std::size_t body_window_bytes_ = 0;
  std::int64_t linger_until_ms_ = 0;
  std::int64_t wake_ms_ = 0;
  bool has_served_ = false;    // One request at least was understood.
  bool is_closing_ = false;    // No more requests; closes when everything is written.
  bool is_lingering_ = false;  // All is written; reads until the client has seen it.
  bool has_input_ended_ = false;
  bool has_continued_ = false;  // 100 Continue was sent for the request that is coming in.
  bool is_streaming_ = false;
  bool is_paused_ = false;  // Requests wait in in_ until earlier ones are answered.
  bool is_consuming_ = false;
};

}  // namespace coord::api
