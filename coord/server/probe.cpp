#include "coord/server/probe.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/write.hpp>
#include <chrono>
#include <utility>

namespace coord::server {
namespace {

namespace asio = boost::asio;
namespace service = recipes::service;
using asio::ip::tcp;

bool is_link_local(const asio::ip::address& address) {
  if (address.is_v6()) return address.to_v6().is_link_local();
  const auto bytes = address.to_v4().to_bytes();
  return bytes[0] == 169 && bytes[1] == 254;
}

std::string host_header(const service::Target& target) {
  const bool is_v6 = target.host.find(':') != std::string::npos;
  return is_v6 ? fmt::format("[{}]:{}", target.host, target.port)
               : fmt::format("{}:{}", target.host, target.port);
}

}  // namespace

std::optional<ProbePolicy> parse_probe_policy(std::string_view text) noexcept {
  if (text == "any") return ProbePolicy::any;
  if (text == "loopback") return ProbePolicy::loopback;
  if (text == "off") return ProbePolicy::off;
  return std::nullopt;
}

bool may_probe(const asio::ip::address& given, ProbePolicy policy) {
  auto address = given;
  if (address.is_v6() && address.to_v6().is_v4_mapped()) {
    address = asio::ip::make_address_v4(asio::ip::v4_mapped, address.to_v6());
  }
  if (policy == ProbePolicy::off) return false;
  if (policy == ProbePolicy::loopback) return address.is_loopback();
  if (address.is_unspecified() || address.is_multicast() || is_link_local(address)) return false;
  return !address.is_v4() || address.to_v4() != asio::ip::address_v4::broadcast();
}

std::shared_ptr<Probe> Probe::start(asio::io_context& loop, const service::Check& check,
                                    ProbePolicy policy, Done done) {
  auto probe = std::make_shared<Probe>(loop, check, policy, std::move(done));
  probe->begin();
  return probe;
}

Probe::Probe(asio::io_context& loop, const service::Check& check, ProbePolicy policy, Done done)
    : check_(check),
      target_(service::target_of(check)),
      policy_(policy),
      done_(std::move(done)),
      timer_(loop),
      resolver_(loop),
      socket_(loop) {}

void Probe::cancel() {
  done_ = nullptr;
  finish({});
}

void Probe::begin() {
  timer_.expires_after(std::chrono::milliseconds(check_.timeout_ms));
  timer_.async_wait([self = shared_from_this()](const boost::system::error_code& code) {
    if (!code) self->finish(fmt::format("no answer within {} ms", self->check_.timeout_ms));
  });
  if (!target_) return finish("the check's target is malformed");
  boost::system::error_code code;
  const auto address = asio::ip::make_address(target_->host, code);
  if (!code) return connect({tcp::endpoint(address, target_->port)});
  resolver_.async_resolve(
      target_->host, std::to_string(target_->port),
      [self = shared_from_this()](const boost::system::error_code& error,
                                  const tcp::resolver::results_type& found) {
        if (!self->done_) return;
        if (error) return self->finish(fmt::format("{}: {}", self->target_->host, error.message()));
        Endpoints endpoints;
        for (const auto& one : found) endpoints.push_back(one.endpoint());
        self->connect(std::move(endpoints));
      });
}

void Probe::connect(Endpoints endpoints) {
  std::erase_if(endpoints, [this](const auto& one) { return !may_probe(one.address(), policy_); });
  if (endpoints.empty()) return finish("its address is none that this member may check");
  endpoints_ = std::move(endpoints);
  asio::async_connect(
      socket_, endpoints_,
      [self = shared_from_this()](const boost::system::error_code& code, const tcp::endpoint&) {
        if (!self->done_) return;
        if (code) return self->finish(code.message());
        if (self->check_.kind == service::CheckKind::tcp) return self->finish({});
        self->ask();
      });
}

void Probe::ask() {
  request_ = fmt::format(
      "GET {} HTTP/1.1\r\nHost: {}\r\nUser-Agent: coord-check\r\nAccept: */*\r\n"
      "Connection: close\r\n\r\n",
      target_->path, host_header(*target_));
  asio::async_write(
      socket_, asio::buffer(request_),
      [self = shared_from_this()](const boost::system::error_code& code, std::size_t) {
        if (!self->done_) return;
        if (code) return self->finish(code.message());
        self->read();
      });
}

void Probe::read() {
  socket_.async_read_some(
      asio::buffer(answer_.data() + answer_size_, answer_.size() - answer_size_),
      [self = shared_from_this()](const boost::system::error_code& code, std::size_t size) {
        if (!self->done_) return;
        self->answer_size_ += size;
        const std::string_view text(self->answer_.data(), self->answer_size_);
        const bool has_line = text.find('\n') != std::string_view::npos;
        if (has_line || self->answer_size_ == self->answer_.size()) return self->judge();
        if (code) return self->finish(code.message());
        self->read();
      });
}

// "HTTP/1.1 204 No Content": passes with any 2xx.
void Probe::judge() {
  const std::string_view text(answer_.data(), answer_size_);
  const auto blank = text.find(' ');
  const auto status = text.substr(std::min(blank, text.size() - 1) + 1, 3);
  const bool is_number =
      status.size() == 3 &&
      std::all_of(status.begin(), status.end(), [](char c) { return c >= '0' && c <= '9'; });
  if (!text.starts_with("HTTP/") || blank == std::string_view::npos || !is_number) {
    return finish("the answer is not HTTP");
  }
  if (status.starts_with('2')) return finish({});
  finish(fmt::format("status {}", status));
}

void Probe::finish(std::optional<std::string> why) {
  boost::system::error_code ignored;
  timer_.cancel();
  resolver_.cancel();
  socket_.close(ignored);
  if (auto done = std::exchange(done_, nullptr)) done(std::move(why));
}

}  // namespace coord::server
