#include "coord/server/peer_link.hpp"

#include <algorithm>
#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "coord/server/log.hpp"

namespace coord::server {
namespace {

namespace asio = boost::asio;
using Code = boost::system::error_code;
using Tcp = asio::ip::tcp;

constexpr std::int64_t kPauseMsMin = 50;
constexpr std::int64_t kPauseMsMax = 1'000;
constexpr auto kRefresh = std::chrono::milliseconds(500);
constexpr auto kAcceptAgain = std::chrono::milliseconds(100);
// Connections that were accepted, more than any cluster has members.
constexpr std::size_t kCallersMax = 256;
constexpr std::size_t kStrangersMax = 64;

bool is_vote(const core::Message& message) {
  const auto* raft = std::get_if<election::Body>(&message.body);
  return raft != nullptr && (std::holds_alternative<election::VoteRequest>(*raft) ||
                             std::holds_alternative<election::TimeoutNow>(*raft));
}

}  // namespace

PeerLinks::PeerLinks(asio::io_context& loop, MemberId self, Hooks hooks, core::VoteGate gate,
                     std::uint64_t seed)
    : loop_(loop),
      self_(self),
      hooks_(std::move(hooks)),
      gate_(std::move(gate)),
      prng_(seed),
      acceptor_(loop),
      accept_again_(loop),
      refresh_again_(loop) {}

PeerLinks::~PeerLinks() { stop(); }

PeerLinks::Peer& PeerLinks::peer_of(MemberId id) {
  auto& peer = peers_[id];
  if (!peer.retry) peer.retry = std::make_unique<asio::steady_timer>(loop_);
  return peer;
}

void PeerLinks::stop() {
  is_stopped_ = true;
  Code ignored;
  acceptor_.close(ignored);
  accept_again_.cancel();
  refresh_again_.cancel();
  for (auto& [id, peer] : peers_) {
    peer.retry->cancel();
    if (peer.sender) peer.sender->close();
  }
  for (const auto& [receiver, id] : callers_) receiver->close();
}

std::size_t PeerLinks::links_up() const noexcept {
  return static_cast<std::size_t>(std::count_if(
      peers_.begin(), peers_.end(), [](const auto& entry) { return entry.second.is_up; }));
}

void PeerLinks::refresh() {
  const auto known = hooks_.known();
  for (const auto& member : known) {
    if (member.id == self_) continue;
    if (member.is_removed) {
      forget(member.id);
    } else if (!member.peer.empty()) {
      dial(member.id, member.peer);
    }
  }
  const auto hello = hooks_.hello();
  if (!hello.cluster.empty()) gate_.follows();
  const auto verdict = core::judge_self(hello, known);
  if (verdict.text != std::exchange(self_refusal_, verdict.text) && !verdict.text.empty()) {
    spdlog::error("event=refused by={} code={} why=\"{}\"", self_, core::word_of(verdict.refusal),
                  verdict.text);
  }
  refresh_again_.expires_after(kRefresh);
  refresh_again_.async_wait([this](const Code& code) {
    if (!code && !is_stopped_) refresh();
  });
}

std::string PeerLinks::refusals() const {
  if (!self_refusal_.empty()) return self_refusal_;
  for (const auto& [id, peer] : peers_) {
    if (!peer.refusal.empty())
      return fmt::format("member {} refuses this one: {}", id, peer.refusal);
  }
  return {};
}

void PeerLinks::complain(Peer& peer, MemberId id, const std::string& text) {
  if (peer.complaint == text) return;
  peer.complaint = text;
  spdlog::warn("event=peer-link member={} address={} why=\"{}\"", id, peer.address, text);
}

// ---------------------------------------------------------------- accepting

Result<std::uint16_t> PeerLinks::listen(const Endpoint& endpoint) {
  Code code;
  Tcp::resolver resolver(loop_);
  const auto found =
      resolver.resolve(endpoint.host, std::to_string(endpoint.port), Tcp::resolver::passive, code);
  if (code || found.empty()) {
    return error(Failure::io, "--peer {}: {}", endpoint.host, code.message());
  }
  const auto at = found.begin()->endpoint();
  acceptor_.open(at.protocol(), code);
  if (!code) acceptor_.set_option(asio::socket_base::reuse_address(true), code);
  if (!code) acceptor_.bind(at, code);
  if (!code) acceptor_.listen(asio::socket_base::max_listen_connections, code);
  if (code) {
    return error(Failure::io, "listen for members on {}:{}: {}", endpoint.host, endpoint.port,
                 code.message());
  }
  accept();
  return acceptor_.local_endpoint().port();
}

void PeerLinks::accept() {
  acceptor_.async_accept([this](const Code& code, Tcp::socket socket) {
    if (is_stopped_) return;
    if (code) {
      // Out of descriptors, say: that may pass.
      accept_again_.expires_after(kAcceptAgain);
      return accept_again_.async_wait([this](const Code& failed) {
        if (!failed && !is_stopped_) accept();
      });
    }
    if (callers_.size() < kCallersMax) {
      greet(std::make_shared<PeerReceiver>(std::move(socket), counters_));
    }
    accept();
  });
}

void PeerLinks::greet(const std::shared_ptr<PeerReceiver>& receiver) {
  callers_.emplace(receiver, MemberId());
  std::weak_ptr<PeerReceiver> weak = receiver;
  PeerReceiver::Hooks hooks;
  hooks.greeted = [this, weak](const core::Greeting& theirs, const std::string& from) {
    return judge_caller(weak.lock(), theirs, from);
  };
  hooks.message = [this, weak](std::string_view bytes) {
    const auto caller = callers_.find(weak.lock());
    return caller != callers_.end() && caller->second && on_message(caller->second, bytes);
  };
  hooks.broken = [this, weak](const std::string& why) {
    const auto caller = callers_.find(weak.lock());
    if (caller == callers_.end()) return;
    const auto ended = caller->first;
    const auto id = caller->second;
    callers_.erase(caller);
    const auto peer = peers_.find(id);
    if (peer == peers_.end() || peer->second.receiver != ended) return;
    peer->second.receiver.reset();
    on_broken(id, why);
  };
  receiver->start(std::move(hooks));
}

core::Greeting PeerLinks::judge_caller(const std::shared_ptr<PeerReceiver>& receiver,
                                       const core::Greeting& theirs, const std::string& from) {
  core::Greeting answer;
  answer.hello = hooks_.hello();
  const auto known = hooks_.known();
  const auto id = theirs.hello.id;
  answer.verdict = core::judge(answer.hello, theirs.hello, MemberId(), known);
  const bool is_refused = answer.verdict.refusal != core::Refusal::none;
  if (is_refused) {
    auto& said = stranger_complaints_[from];
    if (said != answer.verdict.text) {
      said = answer.verdict.text;
      spdlog::warn("event=peer-refused from={} member={} code={} why=\"{}\"", from, id,
                   core::word_of(answer.verdict.refusal), answer.verdict.text);
    }
    if (stranger_complaints_.size() > kStrangersMax) stranger_complaints_.clear();
    return answer;
  }
  const auto seen = seen_disks_.find(id);
  answer.knows_you = core::knows_disk(known, id, theirs.hello.disk_id) ||
                     (seen != seen_disks_.end() && seen->second == theirs.hello.disk_id);
  seen_disks_[id] = theirs.hello.disk_id;
  auto& peer = peer_of(id);
  // The later call is the one that counts: the member lost the earlier link, or was restarted.
  if (const auto earlier = std::exchange(peer.receiver, receiver)) {
    callers_.erase(earlier);
    earlier->close();
    on_broken(id, "it called again");
  }
  callers_[receiver] = id;
  peer.hello = theirs.hello;
  if (peer.address.empty()) peer.address = theirs.hello.peer;
  follow(id, peer);
  // It is there: no reason to wait for the next try.
  if (!peer.sender) dial_now(id, peer);
  return answer;
}

// ---------------------------------------------------------------- dialling

void PeerLinks::dial(MemberId id, const std::string& address) {
  auto& peer = peer_of(id);
  if (peer.address == address) return;
  peer.address = address;
  if (!peer.sender) dial_now(id, peer);
}

void PeerLinks::forget(MemberId id) {
  const auto at = peers_.find(id);
  if (at == peers_.end()) return;
  auto& peer = at->second;
  peer.retry->cancel();
  if (peer.sender) peer.sender->close();
  if (peer.receiver) {
    callers_.erase(peer.receiver);
    peer.receiver->close();
  }
  const bool was_up = peer.is_up;
  peers_.erase(at);
  if (was_up) hooks_.deliver(core::PeerDown{id});
}

void PeerLinks::dial_now(MemberId id, Peer& peer) {
  const auto endpoint = parse_endpoint(peer.address);
  if (is_stopped_ || !endpoint) return;
  peer.retry->cancel();
  PeerSender::Hooks hooks;
  hooks.answered = [this, id](const core::Greeting& greeting) { return on_answer(id, greeting); };
  hooks.broken = [this, id](const std::string& why) {
    const auto at = peers_.find(id);
    if (at == peers_.end()) return;
    at->second.sender.reset();
    if (why != "refused" && !at->second.is_up) complain(at->second, id, why);
    on_broken(id, why);
    dial_later(id, at->second);
  };
  peer.sender = std::make_shared<PeerSender>(loop_, counters_, std::move(hooks));
  core::Greeting greeting;
  greeting.hello = hooks_.hello();
  peer.sender->dial(endpoint->host, endpoint->port, greeting);
}

void PeerLinks::dial_later(MemberId id, Peer& peer) {
  peer.pause_ms = std::clamp(peer.pause_ms * 2, kPauseMsMin, kPauseMsMax);
  const auto half = static_cast<std::uint64_t>(peer.pause_ms / 2);
  const auto pause = half + prng_.below(half + 1);
  peer.retry->expires_after(std::chrono::milliseconds(pause));
  peer.retry->async_wait([this, id](const Code& code) {
    const auto at = peers_.find(id);
    if (code || is_stopped_ || at == peers_.end() || at->second.sender) return;
    dial_now(id, at->second);
  });
}

bool PeerLinks::on_answer(MemberId id, const core::Greeting& greeting) {
  auto& peer = peer_of(id);
  if (greeting.verdict.refusal != core::Refusal::none) {
    const auto& text = greeting.verdict.text;
    if (peer.refusal != text) {
      peer.refusal = text;
      hooks_.refused(id, greeting);
    }
    return false;
  }
  const auto verdict = core::judge(hooks_.hello(), greeting.hello, id, hooks_.known());
  if (verdict.refusal != core::Refusal::none) {
    complain(peer, id, fmt::format("{}: {}", core::word_of(verdict.refusal), verdict.text));
    return false;
  }
  peer.refusal.clear();
  peer.complaint.clear();
  peer.pause_ms = 0;
  peer.hello = greeting.hello;
  seen_disks_[id] = greeting.hello.disk_id;
  consented(greeting);
  // The sender stands only when this returns: what follows from it comes after.
  asio::post(loop_, [this, id] {
    const auto at = peers_.find(id);
    if (at != peers_.end()) follow(id, at->second);
  });
  return true;
}

void PeerLinks::consented(const core::Greeting& greeting) {
  if (gate_.is_open()) return;
  gate_.answered(greeting.hello.id, greeting.hello.is_empty, greeting.knows_you);
  if (gate_.is_open()) spdlog::info("event=may-vote why=\"a majority knows of no other disk\"");
}

// Tells the node when both ways have come to stand.
void PeerLinks::follow(MemberId id, Peer& peer) {
  if (peer.is_up || !peer.receiver || !peer.sender || !peer.sender->stands()) return;
  peer.is_up = true;
  spdlog::info("event=peer-up member={} address={} version={}", id, peer.address,
               peer.hello.version);
  hooks_.deliver(core::PeerUp{id, peer.hello.disk_id, peer.hello.http, peer.hello.zookeeper,
                              peer.hello.version});
}

void PeerLinks::on_broken(MemberId id, const std::string& why) {
  auto& peer = peer_of(id);
  if (!std::exchange(peer.is_up, false)) return;
  ++counters_.breaks;
  spdlog::info("event=peer-down member={} why=\"{}\"", id, why);
  hooks_.deliver(core::PeerDown{id});
}

// ---------------------------------------------------------------- messages

void PeerLinks::send(const std::vector<core::Message>& messages) {
  for (const auto& message : messages) {
    const auto at = peers_.find(message.to);
    const bool stands = at != peers_.end() && at->second.sender && at->second.sender->stands();
    if (!stands || (!gate_.is_open() && is_vote(message))) {
      ++counters_.messages_dropped;
      continue;
    }
    const auto sender = at->second.sender;  // One whose outbox is full takes itself away.
    sender->send(core::encode(message));
  }
  for (const auto& message : messages) {
    const auto at = peers_.find(message.to);
    // A flush that fails takes the sender away.
    if (at != peers_.end() && at->second.sender) {
      const auto sender = at->second.sender;
      if (sender->stands()) sender->flush();
    }
  }
}

bool PeerLinks::on_message(MemberId from, std::string_view bytes) {
  core::Message message;
  if (!core::decode(bytes, message)) return false;
  if (message.from != from || message.to != self_) return false;
  if (!gate_.is_open() && is_vote(message)) {
    ++counters_.messages_dropped;
    return true;
  }
  hooks_.deliver(core::PeerMessage{std::move(message)});
  return true;
}

}  // namespace coord::server
