#include "api/dns_server.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/ip/udp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <functional>
#include <map>
#include <set>
#include <utility>
#include <vector>

#include "api/dns.hpp"
#include "coord/base/prng.hpp"
#include "coord/recipes/service.hpp"

namespace coord::api {
namespace {

namespace asio = boost::asio;
namespace service = recipes::service;
using asio::ip::tcp;
using asio::ip::udp;

using Send = std::function<void(std::string answer)>;

// One question on its way to its answer.
struct Asked {
  dns::Question question;
  std::size_t bytes_max = 0;
  Identities identities;
  Send send;
  // What the name may mean, the likeliest first: a service, and a tag that its instances have.
  std::vector<std::pair<std::string, std::string>> meanings;
};

std::string lower(std::string text) {
  for (char& c : text) {
    if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
  }
  return text;
}

// Resolvers may change the case of a question, names of services have theirs: as it came, then in
// lower case.
void add_meaning(Asked& asked, const std::string& name, const std::string& tag) {
  const std::array forms = {std::pair(name, tag), std::pair(lower(name), lower(tag))};
  for (const auto& form : forms) {
    if (!recipes::name_error(form.first).empty()) continue;
    if (std::find(asked.meanings.begin(), asked.meanings.end(), form) != asked.meanings.end()) {
      continue;
    }
    asked.meanings.push_back(form);
  }
}

}  // namespace

struct DnsServer::Impl final : Sink, std::enable_shared_from_this<Impl> {
  // A client's TCP connection: one question at a time.
  struct Link : std::enable_shared_from_this<Link> {
    Link(std::shared_ptr<Impl> server, tcp::socket socket)
        : impl(std::move(server)), link(std::move(socket)), timer(impl->loop) {}

    void read_size() {
      timer.expires_after(std::chrono::milliseconds(impl->options.idle_timeout_ms));
      timer.async_wait([self = shared_from_this()](const boost::system::error_code& code) {
        if (!code) self->close();
      });
      asio::async_read(
          link, asio::buffer(size),
          [self = shared_from_this()](const boost::system::error_code& code, std::size_t) {
            if (code) return self->close();
            self->read_message();
          });
    }
    void read_message() {
      message.resize(static_cast<std::size_t>(size[0]) << 8 | size[1]);
      asio::async_read(
          link, asio::buffer(message),
          [self = shared_from_this()](const boost::system::error_code& code, std::size_t) {
            if (code) return self->close();
            self->ask();
          });
    }
    void ask() {
      boost::system::error_code code;
      const auto from = link.remote_endpoint(code);
      if (code) return close();
      const bool is_taken = impl->ask(
          message, from.address(), true,
          [self = shared_from_this()](std::string answer) { self->write(std::move(answer)); });
      if (!is_taken) close();
    }
    void write(std::string answer) {
      message.clear();
      message.push_back(static_cast<char>(answer.size() >> 8));
      message.push_back(static_cast<char>(answer.size() & 0xff));
      message += answer;
      asio::async_write(
          link, asio::buffer(message),
          [self = shared_from_this()](const boost::system::error_code& code, std::size_t) {
            if (code) return self->close();
            self->read_size();
          });
    }
    void close() {
      boost::system::error_code ignored;
      timer.cancel();
      link.close(ignored);
      impl->links.erase(shared_from_this());
    }

    std::shared_ptr<Impl> impl;
    tcp::socket link;
    asio::steady_timer timer;
    std::array<std::uint8_t, 2> size{};
    std::string message;
  };

  Impl(asio::io_context& io, Gateway& to, DnsOptions given)
      : loop(io),
        gateway(to),
        options(given),
        prng(given.seed),
        socket(io),
        acceptor(io),
        connection(to.connect(*this)) {}

  Result<std::uint16_t> listen(const std::string& host, std::uint16_t port) {
    boost::system::error_code code;
    const auto address = asio::ip::make_address(host == "localhost" ? "127.0.0.1" : host, code);
    const auto fail = [&](const boost::system::error_code& why) {
      return Error{Failure::io,
                   fmt::format("--dns: cannot listen on {}:{}: {}", host, port, why.message())};
    };
    if (code) return fail(code);
    // The free port of one protocol may be taken in the other: a few are tried.
    for (int attempt = 0;; ++attempt) {
      close_listeners();
      const udp::endpoint at(address, port);
      socket.open(at.protocol(), code);
      if (!code) socket.bind(at, code);
      if (code) return fail(code);
      const tcp::endpoint same(address, socket.local_endpoint().port());
      acceptor.open(same.protocol(), code);
      if (!code) acceptor.set_option(tcp::acceptor::reuse_address(true), code);
      if (!code) acceptor.bind(same, code);
      if (!code) acceptor.listen(asio::socket_base::max_listen_connections, code);
      if (!code) break;
      if (port != 0 || attempt >= 16) return fail(code);
    }
    socket.non_blocking(true, code);
    receive();
    accept();
    return socket.local_endpoint().port();
  }

  void close_listeners() {
    boost::system::error_code ignored;
    socket.close(ignored);
    acceptor.close(ignored);
  }

  void stop() {
    if (std::exchange(is_stopped, true)) return;
    close_listeners();
    for (const auto& link : std::set<std::shared_ptr<Link>>(links)) link->close();
    pending.clear();
    gateway.disconnect(connection);
  }

  void receive() {
    socket.async_receive_from(
        asio::buffer(datagram), peer,
        [self = shared_from_this()](const boost::system::error_code& code, std::size_t size) {
          if (self->is_stopped || code == asio::error::operation_aborted) return;
          if (!code) {
            const auto to = self->peer;
            static_cast<void>(self->ask({self->datagram.data(), size}, to.address(), false,
                                        [self, to](const std::string& answer) {
                                          // Full buffers lose it, as the net may.
                                          boost::system::error_code ignored;
                                          self->socket.send_to(asio::buffer(answer), to, 0,
                                                               ignored);
                                        }));
          }
          self->receive();
        });
  }

  void accept() {
    acceptor.async_accept(
        [self = shared_from_this()](const boost::system::error_code& code, tcp::socket link) {
          if (self->is_stopped || code == asio::error::operation_aborted) return;
          if (!code && self->links.size() < self->options.connections_max) {
            const auto one = std::make_shared<Link>(self, std::move(link));
            self->links.insert(one);
            one->read_size();
          }
          self->accept();
        });
  }

  // False: it deserves no answer, or there is no room for it.
  bool ask(std::string_view message, const asio::ip::address& from, bool is_tcp, Send send) {
    auto question = dns::parse(message);
    if (!question || pending.size() >= options.pending_max) return false;
    if (question->rcode != dns::Rcode::ok) {
      send(dns::answer_nothing(*question, question->rcode, options.ttl_s));
      return true;
    }
    auto wanted = dns::wanted_by(*question);
    switch (wanted.kind) {
      case dns::Wanted::Kind::elsewhere:
        send(dns::answer_nothing(*question, dns::Rcode::refused, options.ttl_s));
        return true;
      case dns::Wanted::Kind::zone:
        send(dns::answer_nothing(*question, dns::Rcode::ok, options.ttl_s, true));
        return true;
      case dns::Wanted::Kind::nothing:
        send(dns::answer_nothing(*question, dns::Rcode::no_name, options.ttl_s));
        return true;
      case dns::Wanted::Kind::address:
        send(dns::answer_address(*question, wanted.address, options.ttl_s));
        return true;
      case dns::Wanted::Kind::service:
        break;
    }
    Asked asked;
    asked.bytes_max = is_tcp ? dns::kTcpBytesMax : question->bytes_max;
    asked.question = std::move(*question);
    asked.identities = {{"ip", from.to_string()}};
    asked.send = std::move(send);
    add_meaning(asked, wanted.service, {});
    if (!wanted.tag.empty()) add_meaning(asked, wanted.tagged, wanted.tag);
    look(std::move(asked));
    return true;
  }

  // Looks for the next thing that the name may mean.
  void look(Asked asked) {
    if (asked.meanings.empty()) {
      asked.send(dns::answer_nothing(asked.question, dns::Rcode::no_name, options.ttl_s));
      return;
    }
    const auto meaning = std::move(asked.meanings.front());
    asked.meanings.erase(asked.meanings.begin());
    service::List query;
    query.service = meaning.first;
    query.filter.only_healthy = true;
    if (!meaning.second.empty()) query.filter.tags.push_back(meaning.second);
    core::Request request;
    request.connection = connection;
    request.id = RequestId(++last_request);
    request.identities = asked.identities;
    request.consistency = core::Consistency::local;
    request.op = core::RecipeQuery{recipes::Kind::service, encode(query)};
    pending.emplace(request.id, std::move(asked));
    gateway.submit(std::move(request));
  }

  void deliver(core::Delivery delivery) override {
    const auto* reply = std::get_if<core::Reply>(&delivery);
    if (reply == nullptr) return;
    const auto at = pending.find(reply->id);
    if (at == pending.end()) return;
    auto asked = std::move(at->second);
    pending.erase(at);
    if (reply->code == Code::not_found) return look(std::move(asked));
    service::Instances found;
    const auto* result = std::get_if<core::RecipeResult>(&reply->result);
    if (reply->code != Code::ok || result == nullptr || !decode(result->answer.bytes, found)) {
      const auto rcode = reply->code == Code::forbidden ? dns::Rcode::refused : dns::Rcode::failed;
      return asked.send(dns::answer_nothing(asked.question, rcode, options.ttl_s));
    }
    std::vector<dns::Endpoint> endpoints;
    endpoints.reserve(found.instances.size());
    for (const auto& one : found.instances) {
      endpoints.push_back({one.record.address, static_cast<std::uint16_t>(one.record.port),
                           static_cast<std::uint16_t>(one.record.weight)});
    }
    for (auto i = endpoints.size(); i > 1; --i) {
      std::swap(endpoints[i - 1], endpoints[prng.below(i)]);
    }
    asked.send(dns::answer(asked.question, endpoints, options.ttl_s, asked.bytes_max));
  }
  void deliver_backup(BackupPiece) override {}
  void flush() override {}
  [[nodiscard]] bool is_client() const override { return false; }

  asio::io_context& loop;
  Gateway& gateway;
  DnsOptions options;
  Prng prng;
  udp::socket socket;
  tcp::acceptor acceptor;
  ConnectionId connection;
  udp::endpoint peer;
  std::array<char, 4'096> datagram{};
  std::set<std::shared_ptr<Link>> links;
  std::map<RequestId, Asked> pending;
  std::uint64_t last_request = 0;
  bool is_stopped = false;
};

DnsServer::DnsServer(asio::io_context& loop, Gateway& gateway, DnsOptions options)
    : impl_(std::make_shared<Impl>(loop, gateway, options)) {}

DnsServer::~DnsServer() { impl_->stop(); }

Result<std::uint16_t> DnsServer::listen(const std::string& host, std::uint16_t port) {
  return impl_->listen(host, port);
}

void DnsServer::stop() { impl_->stop(); }

}  // namespace coord::api
