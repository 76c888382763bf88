// Edge: the HTTP edge: its sockets, and what its connections share.
//
// Shared are the cached Date header, spare parsers and exchanges, and rendered events. Knows
// neither Asio nor Beast: HttpServer drives the sockets. Thread rule: one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/client_board.hpp"
#include "api/exchange.hpp"
#include "api/gateway.hpp"
#include "api/http_options.hpp"
#include "api/http_parser.hpp"
#include "api/sockets.hpp"
#include "api/watch_stream.hpp"

namespace coord::api {

class Connection;

class Edge {
 public:
  static constexpr std::size_t kReadBufferBytes = Sockets::kReadBufferBytes;

  Edge(Gateway& gateway, HttpOptions options);
  ~Edge();
  Edge(const Edge&) = delete;
  Edge& operator=(const Edge&) = delete;

  [[nodiscard]] Sockets& sockets() noexcept { return sockets_; }
  [[nodiscard]] bool is_draining() const noexcept { return sockets_.is_draining(); }

  // ---- for Connection
  [[nodiscard]] Gateway& gateway() noexcept { return gateway_; }
  [[nodiscard]] const HttpOptions& options() const noexcept { return options_; }
  [[nodiscard]] std::int64_t now_ms() const noexcept { return sockets_.now_ms(); }
  [[nodiscard]] std::string_view date();
  [[nodiscard]] std::string& scratch() noexcept { return scratch_; }
  [[nodiscard]] RenderCache& renders() noexcept { return renders_; }
  [[nodiscard]] StateRenders& state_renders() noexcept { return state_renders_; }
  [[nodiscard]] ClientBoard& clients() noexcept { return clients_; }
  [[nodiscard]] std::unique_ptr<HttpParser> take_parser();
  void give_back(std::unique_ptr<HttpParser> parser);
  [[nodiscard]] Exchange* take_exchange();
  void give_back(Exchange* exchange);

 private:
  Gateway& gateway_;
  const HttpOptions options_;
  std::int64_t date_second_ = -1;
  std::string date_;
  std::string scratch_;
  RenderCache renders_;
  StateRenders state_renders_;
  ClientBoard clients_;
  std::vector<std::unique_ptr<HttpParser>> parsers_;
  std::vector<std::unique_ptr<Exchange>> exchanges_;
  Sockets sockets_;  // Last: the connections use what stands above.
};

}  // namespace coord::api
