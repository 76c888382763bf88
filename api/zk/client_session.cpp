// Client's handshake, identities, watches and four-letter words.
#include <algorithm>
#include <utility>

#include "api/zk/client.hpp"
#include "api/zk/jute.hpp"

namespace coord::api::zk {

void Client::connect(std::string_view frame) {
  if (!decode(frame, asked_)) return close();
  // Signed, as ZooKeeper's: a client that says less than nothing has seen nothing.
  const auto seen = static_cast<std::int64_t>(asked_.last_seen.value());
  const auto applied = static_cast<std::int64_t>(edge_.gateway().applied().value());
  if (seen > applied) {
    // Who has seen more than this member has must find another one.
    close();
    return;
  }
  phase_ = Phase::connecting;
  since_ms_ = edge_.sockets().now_ms();
  connection_ = edge_.gateway().connect(*this);
  if (edge_.is_leaderless()) return send_away();
  ask_for_session();
}

void Client::ask_for_session() {
  core::Request request;
  request.connection = connection_;
  request.id = RequestId(++last_request_);
  request.identities = identities_;
  request.timeout_ms = edge_.options().connect_timeout_ms;
  const auto ttl_ms = std::clamp<std::int64_t>(asked_.timeout_ms, edge_.options().timeout_ms_min,
                                               edge_.options().timeout_ms_max);
  if (!asked_.session) {
    core::OpenSession open;
    open.ttl_ms = ttl_ms;
    open.address = caller_.address;
    open.secret = edge_.gateway().random_secret();
    request.op = std::move(open);
  } else {
    request.session = core::SessionCredential{asked_.session, asked_.password, Zxid()};
    request.op = core::AttachSession{asked_.session, caller_.address, ttl_ms};
  }
  edge_.gateway().submit(std::move(request));
}

void Client::on_connect_reply(const core::Reply& reply) {
  if (reply.code == Code::ok) {
    const auto& opened = std::get<core::SessionOpened>(reply.result);
    session_ = {opened.id, opened.secret, reply.revision};
    timeout_ms_ = opened.ttl_ms;
    last_zxid_ = reply.revision;
    phase_ = Phase::open;
    put_connected(out_, asked_, opened.id, opened.ttl_ms, opened.secret);
    count_reply("SESS", 0, since_ms_);
    edge_.attach(*this, opened.id);
    return;
  }
  const bool is_gone = reply.code == Code::session_expired || reply.code == Code::not_found ||
                       reply.code == Code::bad_session_secret;
  if (!is_gone) {
    // A change of the leader is waited for, if it is short enough. What was asked of the last one
    // may be done all the same: a session that nobody knows runs out.
    std::string why;
    const bool may_pass = reply.code == Code::no_leader || !edge_.gateway().is_ready(why);
    if (!may_pass) return close();  // Another member, or a later try, may do better.
    const auto now = edge_.sockets().now_ms();
    const auto waited = now - since_ms_;
    if (edge_.is_leaderless() || waited >= edge_.options().read_only_after_ms) return send_away();
    return set_wake(now + edge_.options().ask_again_ms);
  }
  put_refused(out_, asked_);
  is_ending_ = is_done_ = true;
}

// This member has not served for too long. Another one may: who stays here would lose the time in
// which the session can be taken there.
void Client::send_away() {
  if (phase_ == Phase::connecting && asked_.is_read_only) return begin_read_only();
  close();
}

// As ZooKeeper's read-only servers: a session that the client has stays its own, and is not looked
// at; who has none gets an id that no session ever has, and a session of its own from a leader.
void Client::begin_read_only() {
  constexpr std::uint64_t kNoSession = 0x7e00'0000'0000'0000;
  constexpr int kIdBytes = 6;
  is_read_only_ = true;
  last_zxid_ = edge_.gateway().applied();
  phase_ = Phase::open;
  since_ms_ = edge_.sockets().now_ms();
  timeout_ms_ = std::clamp<std::int64_t>(asked_.timeout_ms, edge_.options().timeout_ms_min,
                                         edge_.options().timeout_ms_max);
  auto id = asked_.session;
  auto password = asked_.password;
  if (!id) {
    password = edge_.gateway().random_secret();
    std::uint64_t number = 0;
    for (int i = 0; i < kIdBytes; ++i) number = number << 8U | password[i];
    id = SessionId(kNoSession | number);
  }
  put_connected(out_, asked_, id, timeout_ms_, password, true);
}

// ---------------------------------------------------------------- identities

// The handshake of TLS is done: who has shown a certificate is its subject, as in ZooKeeper.
void Client::take_certificate() {
  auto subject = tls_->peer_subject();
  if (subject.empty()) return;
  if (subject == edge_.options().super_x509) identities_.push_back({"super", ""});
  identities_.push_back({"x509", std::move(subject)});
}

ErrorCode Client::authenticate(const Call& call) {
  const std::string_view scheme = call.text[0];
  const std::string_view credential = call.text[1];
  if (scheme == "ip") return ErrorCode::ok;  // It is there already.
  if (scheme == "x509") {
    const auto is_x509 = [](const Identity& one) { return one.scheme == "x509"; };
    return std::any_of(identities_.begin(), identities_.end(), is_x509) ? ErrorCode::ok
                                                                        : ErrorCode::auth_failed;
  }
  if (scheme != "digest") return ErrorCode::auth_failed;
  Identity identity{"digest", digest_identity(credential)};
  const auto add = [this](Identity one) {
    const bool is_new = std::find(identities_.begin(), identities_.end(), one) == identities_.end();
    if (is_new) identities_.push_back(std::move(one));
  };
  if (identities_.size() > edge_.options().auths_max) return ErrorCode::auth_failed;
  if (!edge_.options().super_digest.empty() && identity.id == edge_.options().super_digest) {
    add({"super", ""});
  }
  add(std::move(identity));
  return ErrorCode::ok;
}

// ---------------------------------------------------------------- watches

bool Client::settle_watch(const Call& call, const core::Reply& reply) {
  auto& watches = edge_.watches();
  const auto& [kinds, path] = call.watch;
  switch (call.op) {
    case OpCode::exists:
      if (reply.code == Code::ok || reply.code == Code::no_node) watches.add(id_, path, kinds);
      return true;
    case OpCode::check_watches:
      return (watches.kinds_of(id_, path) & kinds) != 0;
    case OpCode::remove_watches:
      return watches.remove(id_, path, kinds) != 0;
    default:
      if (reply.code == Code::ok) watches.add(id_, path, kinds);
      return true;
  }
}

// Tells of what changed after the client's last zxid, and watches the rest.
void Client::rearm(const Call& call, const core::Reply& reply, std::string& out) {
  using Kind = Call::Rearm::Kind;
  const auto* many = std::get_if<core::ManyRead>(&reply.result);
  if (many == nullptr) return;
  const auto since = call.rearm.since;
  for (std::size_t i = 0; i < call.rearm.watches.size(); ++i) {
    const auto& [kind, path] = call.rearm.watches[i];
    const auto& one = many->results[i];
    const auto* node = one.code == Code::ok ? std::get_if<core::NodeValue>(&one.result) : nullptr;
    std::optional<EventType> event;
    auto watch = data_watch;
    switch (kind) {
      case Kind::data:
        if (node == nullptr) event = EventType::deleted;
        if (node != nullptr && node->stat.mzxid > since) event = EventType::changed;
        break;
      case Kind::exist:
        if (node != nullptr) event = EventType::created;
        break;
      case Kind::child:
        watch = child_watch;
        if (node == nullptr) event = EventType::deleted;
        if (node != nullptr && node->stat.pzxid > since) event = EventType::children;
        break;
      case Kind::persistent:
        watch = persistent_watch;
        break;
      case Kind::recursive:
        watch = recursive_watch;
        break;
    }
    if (event) {
      put_event(out, *event, path);
    } else {
      edge_.watches().add(id_, path, watch);
    }
  }
}

// ---------------------------------------------------------------- four-letter words

void Client::take_word(std::string_view word) {
  is_ending_ = true;
  if (!is_word(word)) return close();
  ++edge_.counters().received;
  ++counters_.received;
  const auto& words = edge_.options().words;
  const bool is_listed = std::find(words.begin(), words.end(), "*") != words.end() ||
                         std::find(words.begin(), words.end(), word) != words.end();
  if (!is_listed) {
    out_ += word;
    out_ += " is not executed because it is not in the whitelist.\n";
    return end_word();
  }
  if (answer_word_alone(word, out_)) return end_word();
  phase_ = Phase::word;
  word_ = std::make_unique<Word>(Word{std::string(word), {}});
  connection_ = edge_.gateway().connect(*this);
  ask_for_word(core::GetStatus{});
}

void Client::ask_for_word(core::Operation op) {
  core::Request request;
  request.connection = connection_;
  request.id = RequestId(++last_request_);
  request.identities = {{"super", ""}};
  request.timeout_ms = edge_.options().connect_timeout_ms;
  request.consistency = core::Consistency::local;
  request.op = std::move(op);
  edge_.gateway().submit(std::move(request));
}

void Client::on_word_reply(core::Reply& reply) {
  auto next = answer_word(*word_, edge_, reply, out_);
  if (next) return ask_for_word(std::move(*next));
  end_word();
}

void Client::end_word() {
  ++edge_.counters().sent;
  ++counters_.sent;
  is_done_ = true;
}

}  // namespace coord::api::zk
