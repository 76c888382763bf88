// Client: one connection of a ZooKeeper client: bytes in, calls, replies in order, bytes out.
//
// A state machine that Sockets drives and that the gateway feeds. Requests go to the member as they
// come, but a read waits for the connection's earlier writes; replies leave in the order of the
// requests. An event goes out at once, or behind the last reply that waits for earlier ones: it may
// belong to the watch that this reply tells of.
//
// Invariants between calls: next_ and all behind it are not submitted; a write is never submitted
// before an earlier read; after close() the object does nothing and its gateway connection is gone.
#pragma once

#include <algorithm>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

#include "api/tls.hpp"
#include "api/zk/words.hpp"
#include "api/zk/zk_edge.hpp"

namespace coord::api::zk {

class Client final : public Sink, public Socket {
 public:
  Client(ZkEdge& edge, int fd, Caller caller);
  ~Client() override;

  void on_events(std::uint32_t events) override;
  void on_wake() override;
  void scan() override;
  void start_draining() override;
  void close() override;

  void deliver(core::Delivery delivery) override;
  void deliver_backup(BackupPiece piece) override;
  void flush() override;

  // A whole frame, of something that this client watches.
  void add_event(std::string_view frame);
  // Its session has ended or has another connection.
  void lose_session();

  [[nodiscard]] ClientId id() const noexcept { return id_; }
  [[nodiscard]] const core::SessionCredential& session() const noexcept { return session_; }
  [[nodiscard]] const Identities& identities() const noexcept { return identities_; }
  [[nodiscard]] const std::string& address() const noexcept { return caller_.address; }
  [[nodiscard]] std::size_t call_count() const noexcept { return count_; }
  [[nodiscard]] std::int64_t timeout_ms() const noexcept { return timeout_ms_; }
  [[nodiscard]] const Counters& counters() const noexcept { return counters_; }
  // What the words tell of the last reply; of none yet, or since they began anew, as ZooKeeper.
  struct LastReply {
    std::string_view op = "NA";
    std::int32_t xid = -1;  // Of the last that was not negative.
    std::int64_t at_ms = 0;
    std::int64_t took_ms = 0;
  };
  [[nodiscard]] const LastReply& last_reply() const noexcept { return last_reply_; }
  [[nodiscard]] Zxid last_zxid() const noexcept {
    return std::max(last_zxid_, session_.attachment);
  }
  [[nodiscard]] std::int64_t accepted_wall_ms() const noexcept { return accepted_wall_ms_; }
  // Its connection or its session ends then, unless the client is heard before.
  [[nodiscard]] std::int64_t idle_until_ms() const noexcept;
  void reset_counters() noexcept {
    counters_ = Counters();
    last_reply_ = LastReply();
  }
  [[nodiscard]] std::uint16_t port() const;

 private:
  enum class Phase : std::uint8_t {
    greeting,    // Nothing whole has come.
    connecting,  // A session is opened or taken over.
    open,
    word,  // A four-letter word waits for its answer.
    lingering,
  };

  // ---- client.cpp: bytes, and the order of calls
  void read_some();
  void take_wire(std::string_view bytes);
  void take_input(std::string_view data);
  [[nodiscard]] std::size_t consume(std::string_view data);
  void on_frame(std::string_view frame);
  void advance();
  void submit(Call& call);
  void answer_at_once(Call& call);
  void on_reply(Call& call, const core::Reply& reply);
  void finish(Call& call, std::size_t begin, Zxid zxid);
  void count_reply(std::string_view op, std::int32_t xid, std::int64_t since_ms);
  void pop_answered();
  void write_some();
  void seal();
  void update_interest();
  void linger();
  [[nodiscard]] bool may_read() const noexcept;
  // What leaves by the socket: out_, or what carries it.
  [[nodiscard]] std::string& wire() noexcept { return tls_ ? wire_ : out_; }
  [[nodiscard]] std::size_t unsent() const noexcept {
    return out_.size() + wire_.size() - out_sent_;
  }
  void set_wake(std::int64_t at_ms);
  [[nodiscard]] core::Request request_of() const;
  void restrict(Call& call) const;

  // ---- client_session.cpp: the handshake, words, watches
  void connect(std::string_view frame);
  void ask_for_session();
  void take_certificate();
  void on_connect_reply(const core::Reply& reply);
  void send_away();
  void begin_read_only();
  void take_word(std::string_view word);
  void ask_for_word(core::Operation op);
  void on_word_reply(core::Reply& reply);
  void end_word();
  [[nodiscard]] ErrorCode authenticate(const Call& call);
  // False: there is none such, as was asked for.
  [[nodiscard]] bool settle_watch(const Call& call, const core::Reply& reply);
  void rearm(const Call& call, const core::Reply& reply, std::string& out);

  ZkEdge& edge_;
  int fd_;
  ClientId id_ = 0;
  ConnectionId connection_;  // At the gateway; none until it is needed.
  Phase phase_ = Phase::greeting;
  bool is_ending_ = false;  // Nothing more is read.
  bool is_done_ = false;    // Closes when everything is written.
  bool is_cut_ = false;     // Owes too much: closes at the next flush.
  bool has_input_ended_ = false;
  // There was no leader and the client would read only: it has no session here, and goes when there
  // is a leader again.
  bool is_read_only_ = false;
  std::uint32_t interest_ = 0;
  Caller caller_;
  Identities identities_;
  core::SessionCredential session_;
  ConnectRequest asked_;
  std::int64_t timeout_ms_ = 0;
  std::unique_ptr<Word> word_;  // Null: it has asked none.

  std::string in_;  // Bytes of no whole frame, or frames that wait.
  std::string out_;
  std::unique_ptr<TlsSession> tls_;  // Null: out_ is sent as it is.
  std::string wire_;
  std::size_t out_sent_ = 0;  // Of wire().
  Zxid last_zxid_;            // Of the last reply header; at first of the handshake.

  Call* head_ = nullptr;  // The oldest that is not answered.
  Call* tail_ = nullptr;
  Call* next_ = nullptr;  // The first that is not submitted.
  std::size_t count_ = 0;
  std::size_t writes_ = 0;  // Submitted, not answered.
  std::uint64_t last_request_ = 0;

  const std::int64_t accepted_wall_ms_;
  std::int64_t since_ms_;  // Of the phase; open: when the client was heard last.
  std::int64_t write_progress_ms_ = 0;
  std::int64_t wake_ms_ = 0;
  Counters counters_;
  LastReply last_reply_;
};

}  // namespace coord::api::zk
