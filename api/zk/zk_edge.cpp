#include "api/zk/zk_edge.hpp"

#include <unistd.h>

#include <algorithm>
#include <utility>

#include "api/zk/client.hpp"
#include "coord/base/check.hpp"

namespace coord::api::zk {
namespace {

constexpr std::size_t kSparesMax = 1'024;
constexpr std::size_t kReplyKeptBytes = 4 * kKiB;

}  // namespace

void Counters::add_latency(std::int64_t ms) noexcept {
  latency_min_ms = latency_count == 0 ? ms : std::min(latency_min_ms, ms);
  latency_max_ms = std::max(latency_max_ms, ms);
  latency_sum_ms += ms;
  ++latency_count;
}

ZkEdge::ZkEdge(Gateway& gateway, ZkOptions options)
    : gateway_(gateway),
      options_(std::move(options)),
      feed_(gateway.connect(*this)),
      sockets_({options_.connections_max, options_.scan_ms, options_.drain_ms},
               {[this](int fd, Caller caller) { return admit(fd, std::move(caller)); }, {}, {}}) {
  gateway_.watch_applied(feed_);
}

ZkEdge::~ZkEdge() {
  sockets_.close_all();
  gateway_.disconnect(feed_);
}

std::unique_ptr<Socket> ZkEdge::admit(int fd, Caller caller) {
  auto& count = addresses_[caller.address];
  const auto most = options_.connections_per_address_max;
  if (most != 0 && count >= most) {
    ::close(fd);
    return nullptr;
  }
  ++count;
  return std::make_unique<Client>(*this, fd, std::move(caller));
}

void ZkEdge::reset_client_counters() {
  for (const auto& [id, client] : clients_) client->reset_counters();
}

ClientId ZkEdge::enter(Client& client) {
  clients_.emplace(++last_client_, &client);
  return last_client_;
}

void ZkEdge::leave(Client& client) {
  watches_.drop(client.id());
  clients_.erase(client.id());
  const auto at = sessions_.find(client.session().id);
  if (at != sessions_.end() && at->second == &client) sessions_.erase(at);
  const auto address = addresses_.find(client.address());
  COORD_CHECK(address != addresses_.end(), "an address is counted");
  if (--address->second == 0) addresses_.erase(address);
}

void ZkEdge::attach(Client& client, SessionId session) {
  auto& place = sessions_[session];
  auto* const other = std::exchange(place, &client);
  if (other != nullptr && other != &client) other->close();
}

Call* ZkEdge::take_call() {
  ++outstanding_;
  if (spares_.empty()) return std::make_unique<Call>().release();
  auto call = std::move(spares_.back());
  spares_.pop_back();
  return call.release();
}

void ZkEdge::give_back(Call* call) {
  --outstanding_;
  std::unique_ptr<Call> owned(call);
  if (spares_.size() >= kSparesMax) return;
  owned->reset();
  if (owned->out.capacity() > kReplyKeptBytes) std::string().swap(owned->out);
  spares_.push_back(std::move(owned));
}

void ZkEdge::for_each(const std::function<void(ClientId, const Client&)>& each) const {
  for (const auto& [id, client] : clients_) each(id, *client);
}

const Client* ZkEdge::find(ClientId id) const {
  const auto at = clients_.find(id);
  return at == clients_.end() ? nullptr : at->second;
}

// ---------------------------------------------------------------- what is applied

void ZkEdge::deliver(core::Delivery delivery) {
  if (const auto* event = std::get_if<core::AppliedEvent>(&delivery)) on_applied(*event);
}

void ZkEdge::deliver_backup(BackupPiece) {}

void ZkEdge::on_applied(const core::AppliedEvent& event) {
  if (event.is_gap) {
    // What happened meanwhile is not known here: the clients come again and say what they watch.
    sockets_.for_each([](Socket& socket) { socket.close(); });
    return;
  }
  told_zxid_ = event.revision;
  if (event.batch) {
    events_.paths.clear();
    events_.fired.clear();
    watches_.publish(*event.batch, events_);
    std::string frame;
    const WatchTable::Fired* last = nullptr;
    for (const auto& fired : events_.fired) {
      if (last == nullptr || last->path != fired.path || last->type != fired.type) {
        frame.clear();
        put_event(frame, fired.type, events_.paths[fired.path]);
      }
      last = &fired;
      const auto at = clients_.find(fired.client);
      COORD_CHECK(at != clients_.end(), "who watches is here", fired.client);
      if (fired.is_guarded && !may_see(fired, at->second->identities())) continue;
      at->second->add_event(frame);
      told_.push_back(fired.client);
    }
  }
  for (const auto& ids : {event.ended, event.moved}) {
    for (const auto id : ids) {
      const auto at = sessions_.find(id);
      if (at != sessions_.end()) at->second->lose_session();
    }
  }
}

bool ZkEdge::may_see(const WatchTable::Fired& fired, const Identities& identities) const {
  if (fired.type == EventType::children) {
    return gateway_.may_read(events_.paths[fired.path], identities);
  }
  const auto& acl = fired.change->acl;
  return acl.empty() || znode::is_allowed(acl, znode::Permission::read, identities);
}

void ZkEdge::flush() {
  std::sort(told_.begin(), told_.end());
  told_.erase(std::unique(told_.begin(), told_.end()), told_.end());
  for (const auto id : told_) {
    const auto at = clients_.find(id);
    if (at != clients_.end()) at->second->flush();
  }
  told_.clear();
}

}  // namespace coord::api::zk
