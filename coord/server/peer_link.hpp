// PeerLinks: this member's links to all others. It listens, dials everybody whom it knows, dials
// again with growing pauses, judges who may talk (coord/core/identity.hpp) and carries messages.
//
// To each member there are two links, one dialled here and one accepted (peer_socket.hpp). Both
// stand: PeerUp. One breaks: PeerDown, at once. What is sent while none stands is dropped: Raft and
// the streams above it send again what matters.
//
// An empty member takes no part in elections before its gate opens (core::VoteGate): until then
// requests for votes are dropped here, in both directions. Nothing else is judged by its content.
//
// Thread rule: the loop's thread.
#pragma once

#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/steady_timer.hpp>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <string>
#include <vector>

#include "coord/base/prng.hpp"
#include "coord/base/result.hpp"
#include "coord/core/effects.hpp"
#include "coord/core/identity.hpp"
#include "coord/server/config.hpp"
#include "coord/server/peer_socket.hpp"

namespace coord::server {

class PeerLinks {
 public:
  // What the links ask of the member.
  struct Hooks {
    std::function<core::Hello()> hello;  // As of now.
    std::function<std::vector<core::KnownMember>()> known;
    std::function<void(core::Event)> deliver;
    // A member refuses this one: told when it changes, not at each try.
    std::function<void(MemberId by, const core::Greeting&)> refused;
  };
  PeerLinks(boost::asio::io_context& loop, MemberId self, Hooks hooks, core::VoteGate gate,
            std::uint64_t seed);
  ~PeerLinks();

  [[nodiscard]] Result<std::uint16_t> listen(const Endpoint& endpoint);
  // Dials that member from now on, at this HOST:PORT; a changed address counts at the next dial.
  void dial(MemberId id, const std::string& address);
  // Ends the links to it, and dials it no more.
  void forget(MemberId id);
  void send(const std::vector<core::Message>& messages);
  // Follows what the replicated state records: dials whom it adds, at the addresses that it names,
  // forgets whom it removed. From now on by itself, twice a second.
  void refresh();
  void stop();

  [[nodiscard]] const PeerCounters& counters() const noexcept { return counters_; }
  [[nodiscard]] std::size_t links_up() const noexcept;
  // Why others refuse this member, for /readyz; empty when nobody does.
  [[nodiscard]] std::string refusals() const;

 private:
  struct Peer {
    std::string address;
    std::shared_ptr<PeerSender> sender;      // Dialling, or it stands.
    std::shared_ptr<PeerReceiver> receiver;  // Greeted.
    std::unique_ptr<boost::asio::steady_timer> retry;
    std::int64_t pause_ms = 0;
    core::Hello hello;
    bool is_up = false;
    std::string complaint;  // The last that was logged of it.
    std::string refusal;    // Of this member by that one.
  };
  void accept();
  void greet(const std::shared_ptr<PeerReceiver>& receiver);
  core::Greeting judge_caller(const std::shared_ptr<PeerReceiver>& receiver,
                              const core::Greeting& theirs, const std::string& from);
  void dial_now(MemberId id, Peer& peer);
  void dial_later(MemberId id, Peer& peer);
  bool on_answer(MemberId id, const core::Greeting& greeting);
  bool on_message(MemberId from, std::string_view bytes);
  void on_broken(MemberId id, const std::string& why);
  void follow(MemberId id, Peer& peer);
  void consented(const core::Greeting& greeting);
  void complain(Peer& peer, MemberId id, const std::string& text);
  [[nodiscard]] Peer& peer_of(MemberId id);

  boost::asio::io_context& loop_;
  MemberId self_;
  Hooks hooks_;
  core::VoteGate gate_;
  Prng prng_;
  boost::asio::ip::tcp::acceptor acceptor_;
  boost::asio::steady_timer accept_again_;
  PeerCounters counters_;
  std::map<MemberId, Peer> peers_;
  std::map<MemberId, std::uint64_t> seen_disks_;               // Since this process began.
  std::map<std::shared_ptr<PeerReceiver>, MemberId> callers_;  // None until greeted.
  std::map<std::string, std::string> stranger_complaints_;     // By address.
  boost::asio::steady_timer refresh_again_;
  std::string self_refusal_;  // The state knows this member on another disk.
  bool is_stopped_ = false;
};

}  // namespace coord::server
