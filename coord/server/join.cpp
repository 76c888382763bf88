#include "coord/server/join.hpp"

#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/core/detail/base64.hpp>
#include <boost/beast/http.hpp>
#include <chrono>
#include <nlohmann/json.hpp>

#include "coord/server/log.hpp"

namespace coord::server {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using Code = boost::system::error_code;

constexpr auto kAnswerLimit = std::chrono::seconds(10);
constexpr auto kPause = std::chrono::milliseconds(500);

std::string base64(const std::string& text) {
  std::string encoded(beast::detail::base64::encoded_size(text.size()), '\0');
  encoded.resize(beast::detail::base64::encode(encoded.data(), text.data(), text.size()));
  return encoded;
}

http::request<http::string_body> request_of(const Config& config, const JoinUrl& url) {
  http::request<http::string_body> request(http::verb::post, url.prefix + "/v1/cluster/members",
                                           11);
  request.set(http::field::host, url.host + ":" + url.port);
  request.set(http::field::content_type, "application/json");
  if (!url.credentials.empty()) {
    request.set(http::field::authorization, "Basic " + base64(url.credentials));
  }
  // A voter starts as a standby, and is promoted by itself once it has caught up.
  request.body() = nlohmann::json{{"id", config.id.value()},
                                  {"peer", config.peer_address},
                                  {"role", config.role == "observer" ? "observer" : "standby"}}
                       .dump();
  request.prepare_payload();
  return request;
}

// One try. The loop runs here until the answer or the time-out: nothing else has begun yet.
Result<http::response<http::string_body>> exchange_once(
    const JoinUrl& url, const http::request<http::string_body>& request) {
  asio::io_context loop(1);
  beast::tcp_stream stream(loop);
  asio::ip::tcp::resolver resolver(loop);
  beast::flat_buffer buffer;
  http::response<http::string_body> response;
  Code failed = asio::error::timed_out;
  const auto on_read = [&](const Code& code, std::size_t) { failed = code; };
  const auto on_written = [&](const Code& code, std::size_t) {
    if (code) {
      failed = code;
    } else {
      http::async_read(stream, buffer, response, on_read);
    }
  };
  const auto on_connected = [&](const Code& code, const auto&) {
    if (code) {
      failed = code;
    } else {
      http::async_write(stream, request, on_written);
    }
  };
  Code code;
  const auto found = resolver.resolve(url.host, url.port, code);
  if (code) return error(Failure::unavailable, "{}: {}", url.host, code.message());
  stream.expires_after(kAnswerLimit);
  stream.async_connect(found, on_connected);
  loop.run();
  if (failed) return error(Failure::unavailable, "{}:{}: {}", url.host, url.port, failed.message());
  return response;
}

void pause() {
  asio::io_context loop(1);
  asio::steady_timer timer(loop, kPause);
  timer.wait();
}

}  // namespace

std::optional<JoinUrl> parse_join_url(const std::string& url) {
  constexpr std::string_view kScheme = "http://";
  if (!url.starts_with(kScheme)) return std::nullopt;
  auto rest = url.substr(kScheme.size());
  JoinUrl parsed;
  const auto slash = std::min(rest.find('/'), rest.size());
  parsed.prefix = rest.substr(slash);
  while (parsed.prefix.ends_with('/')) parsed.prefix.pop_back();
  rest.resize(slash);
  if (const auto at = rest.rfind('@'); at != std::string::npos) {
    parsed.credentials = rest.substr(0, at);
    rest.erase(0, at + 1);
  }
  const auto endpoint = parse_endpoint(rest);
  if (!endpoint || endpoint->port == 0 || rest.find(':') == std::string::npos) return std::nullopt;
  parsed.host = endpoint->host;
  parsed.port = std::to_string(endpoint->port);
  return parsed;
}

Result<void> ask_to_join(const Config& config) {
  const auto url = parse_join_url(config.join);
  if (!url) return error(Failure::invalid, "--join: not http://HOST:PORT");
  const auto request = request_of(config, *url);
  for (std::string said;; pause()) {
    const auto answer = exchange_once(*url, request);
    std::string problem;
    if (answer) {
      const auto status = answer.value().result_int();
      if (status < 300) return success();
      problem = fmt::format("{} answers {}: {}", config.join, status, answer.value().body());
      // Added by an earlier start, or somebody's id: the links tell which.
      if (status == 409) {
        spdlog::info("event=join why=\"{}\"", problem);
        return success();
      }
      if (status < 500 && status != 429) return error(Failure::invalid, "{}", problem);
    } else {
      problem = answer.error().message;
    }
    if (said != problem) spdlog::warn("event=join-waits why=\"{}\"", problem);
    said = problem;
  }
}

}  // namespace coord::server
