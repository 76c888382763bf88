#include "cli/client.hpp"

#include <fmt/format.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <boost/asio/connect.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/core/tcp_stream.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/parser.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>
#include <cerrno>
#include <random>
#include <variant>

#include "cli/interrupt.hpp"
#include "cli/text.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = beast::http;
using tcp = asio::ip::tcp;
using Clock = std::chrono::steady_clock;
using Milliseconds = std::chrono::milliseconds;

// Why one attempt at one endpoint gave no answer.
struct Failed {
  enum class Kind { connect, connect_timeout, lost, timeout, interrupted };
  Kind kind = Kind::lost;
  std::string why;
};
using Attempt = std::variant<Answer, Failed>;

bool is_no_connection(Failed::Kind kind) {
  return kind == Failed::Kind::connect || kind == Failed::Kind::connect_timeout;
}

// Answers after which another try may succeed, and cannot do harm.
bool is_worth_repeating(const Call& call, const Answer& answer) {
  if (answer.status == 504) return call.is_write();
  if (answer.status != 503) return false;
  return answer.body.find("\"diverged\"") == std::string::npos;
}

Trouble bad_endpoint(std::string_view text, std::string_view why) {
  return {Exit::usage, fmt::format("bad endpoint {:?}: {}", std::string(text), why),
          "an endpoint looks like http://127.0.0.1:7070; several are separated by commas"};
}

}  // namespace

std::string to_string(const Endpoint& endpoint) {
  const bool is_v6 = endpoint.host.find(':') != std::string::npos;
  return fmt::format(fmt::runtime(is_v6 ? "http://[{}]:{}" : "http://{}:{}"), endpoint.host,
                     endpoint.port);
}

Outcome<std::vector<Endpoint>> parse_endpoints(std::string_view list) {
  std::vector<Endpoint> out;
  while (true) {
    const std::size_t comma = list.find(',');
    const std::string_view whole = list.substr(0, comma);
    std::string_view text = whole;
    if (text.starts_with("https://")) return bad_endpoint(whole, "this version speaks only http");
    if (text.starts_with("http://")) text.remove_prefix(7);
    if (text.ends_with('/')) text.remove_suffix(1);
    std::string_view port = "7070";
    std::string_view host = text;
    if (text.starts_with('[')) {
      const std::size_t end = text.find(']');
      if (end == std::string_view::npos) return bad_endpoint(whole, "the [ is never closed");
      host = text.substr(1, end - 1);
      if (const auto rest = text.substr(end + 1); !rest.empty()) {
        if (rest.front() != ':') return bad_endpoint(whole, "a port follows the ]");
        port = rest.substr(1);
      }
    } else if (const std::size_t colon = text.find(':'); colon != std::string_view::npos) {
      host = text.substr(0, colon);
      port = text.substr(colon + 1);
    }
    if (host.empty()) return bad_endpoint(whole, "it has no host");
    if (host.find_first_of("/?#@ ") != std::string_view::npos) {
      return bad_endpoint(whole, "only a host and a port");
    }
    const bool is_number = !port.empty() && port.size() <= 5 &&
                           port.find_first_not_of("0123456789") == std::string_view::npos;
    if (!is_number || std::stoi(std::string(port)) > 65535) {
      return bad_endpoint(whole, "the port is a number up to 65535");
    }
    out.push_back({std::string(host), std::string(port)});
    if (comma == std::string_view::npos) return out;
    list.remove_prefix(comma + 1);
  }
}

Target::Target(std::string_view route, std::string_view path)
    : text_(std::string(route) + percent_encoded(path, true)) {}

Target& Target::add(std::string_view name, std::string_view value) {
  text_ += std::exchange(next_, '&');
  text_.append(name).append("=").append(percent_encoded(value, true));
  return *this;
}

std::string_view Answer::header(std::string_view name) const noexcept {
  for (const auto& [key, value] : headers) {
    if (equals_ignoring_case(key, name)) return value;
  }
  return {};
}

std::string random_key() {
  std::random_device device;
  std::string out;
  for (int i = 0; i < 4; ++i) out += fmt::format("{:08x}", device());
  return out;
}

struct Client::Impl {
  explicit Impl(ClientOptions given)
      : options(std::move(given)), stream(context), timer(context), signals(context) {
    COORD_CHECK(!options.endpoints.empty(), "a client has an endpoint");
    if (Interrupt::fd() >= 0) signals.assign(::dup(Interrupt::fd()));
  }

  // Runs the loop until the operation that `start` begins has called back.
  template <class Start>
  beast::error_code run(Start start) {
    if (Interrupt::is_raised()) return asio::error::operation_aborted;
    watch_signals();
    beast::error_code result;
    bool is_done = false;
    start([&](beast::error_code failure, auto&&...) {
      result = failure;
      is_done = true;
    });
    context.restart();
    while (!is_done) context.run_one();
    return result;
  }

  void watch_signals() {
    if (!signals.is_open() || is_watching_signals) return;
    is_watching_signals = true;
    signals.async_wait(asio::posix::stream_descriptor::wait_read,
                       [this](beast::error_code failure) {
                         is_watching_signals = false;
                         if (failure) return;
                         stream.cancel();
                         timer.cancel();
                       });
  }

  [[nodiscard]] Failed failed(Failed::Kind kind, beast::error_code why) {
    disconnect();
    if (Interrupt::is_raised()) return {Failed::Kind::interrupted, "interrupted"};
    if (why == beast::error::timeout) {
      kind = kind == Failed::Kind::connect ? Failed::Kind::connect_timeout : Failed::Kind::timeout;
    }
    if (why == http::error::end_of_stream || why == http::error::partial_message) {
      return {kind, "the connection was closed"};
    }
    return {kind, why.message()};
  }

  void disconnect() {
    beast::error_code ignored;
    stream.socket().close(ignored);
    buffer.clear();
    is_connected = false;
  }

  // Has the server closed the idle connection, or sent what nobody asked for? Seen before a request
  // goes out on it, so that its fate does not become unknown for nothing.
  bool is_stale() {
    char byte = 0;
    const auto got = ::recv(stream.socket().native_handle(), &byte, 1, MSG_PEEK | MSG_DONTWAIT);
    return got >= 0 || (errno != EAGAIN && errno != EWOULDBLOCK);
  }

  std::optional<Failed> connect(Clock::time_point limit) {
    if (is_connected && is_stale()) disconnect();
    if (is_connected) {
      return std::nullopt;
    }
    beast::error_code failure;
    tcp::resolver resolver(context);
    const Endpoint& to = options.endpoints[current];
    const auto addresses = resolver.resolve(to.host, to.port, failure);
    if (failure) return failed(Failed::Kind::connect, failure);
    stream.expires_at(limit);
    failure = run([&](auto done) { stream.async_connect(addresses, std::move(done)); });
    if (failure) return failed(Failed::Kind::connect, failure);
    stream.socket().set_option(tcp::no_delay(true), failure);
    is_connected = true;
    return std::nullopt;
  }

  [[nodiscard]] http::request<http::string_body> message_of(const Call& call,
                                                            const std::string& key) const {
    http::request<http::string_body> message;
    message.version(11);
    message.method_string(call.method);
    message.target(call.target);
    const Endpoint& to = options.endpoints[current];
    message.set(http::field::host, to_string(to).substr(7));
    message.set(http::field::user_agent, "coordctl/" COORD_VERSION);
    if (!options.session.empty()) message.set("Coord-Session", options.session);
    if (!options.user.empty()) {
      message.set(http::field::authorization, "Basic " + base64_encoded(options.user));
    }
    if (!key.empty()) message.set("Idempotency-Key", key);
    for (const auto& [name, value] : call.headers) message.set(name, value);
    message.body() = call.body;
    if (call.is_write()) message.prepare_payload();
    return message;
  }

  // One exchange with the present endpoint: the head until `limit`, the rest until `deadline`.
  Attempt exchange(const Call& call, const std::string& key, Clock::time_point limit,
                   Clock::time_point deadline, const Sink* sink, Milliseconds idle) {
    if (auto failure = connect(limit)) return *std::move(failure);
    auto message = message_of(call, key);
    stream.expires_at(limit);
    auto failure = run([&](auto done) { http::async_write(stream, message, std::move(done)); });
    // A server that refuses a large body answers and closes while it is still being sent.
    const bool may_be_answered =
        !failure || (failure != beast::error::timeout && failure != asio::error::operation_aborted);
    if (!may_be_answered) return failed(Failed::Kind::lost, failure);
    http::response_parser<http::string_body> parser;
    parser.body_limit(boost::none);
    parser.eager(true);
    failure =
        run([&](auto done) { http::async_read_header(stream, buffer, parser, std::move(done)); });
    if (failure) return failed(Failed::Kind::lost, failure);
    return read_rest(parser, deadline, sink, idle);
  }

  Attempt read_rest(http::response_parser<http::string_body>& parser, Clock::time_point deadline,
                    const Sink* sink, Milliseconds idle) {
    Answer answer;
    answer.status = static_cast<int>(parser.get().result_int());
    for (const auto& field : parser.get()) {
      answer.headers.emplace_back(field.name_string(), field.value());
    }
    const bool is_streamed = sink != nullptr && answer.status == 200;
    while (true) {
      if (is_streamed) {
        const std::string piece = std::exchange(parser.get().body(), {});
        if (!piece.empty() && !(*sink)(piece)) {
          disconnect();
          return answer;
        }
      }
      if (parser.is_done()) break;
      stream.expires_at(is_streamed ? Clock::now() + idle : deadline);
      const auto failure =
          run([&](auto done) { http::async_read_some(stream, buffer, parser, std::move(done)); });
      if (!failure) continue;
      const Failed why = failed(Failed::Kind::lost, failure);
      if (why.kind == Failed::Kind::interrupted || !is_streamed) return why;
      answer.is_cut = true;
      return answer;
    }
    answer.body = std::move(parser.get().body());
    const bool is_kept = parser.get().keep_alive();
    if (!is_kept) disconnect();
    return answer;
  }

  bool pause(Milliseconds duration) {
    timer.expires_after(duration);
    const auto failure = run([&](auto done) { timer.async_wait(std::move(done)); });
    return !failure && !Interrupt::is_raised();
  }

  Outcome<Answer> perform(const Call& call, const Sink* sink, Milliseconds idle);
  [[nodiscard]] Trouble give_up(const Call& call, const Failed& last, bool was_sent) const;

  ClientOptions options;
  asio::io_context context{1};
  beast::tcp_stream stream;
  asio::steady_timer timer;
  asio::posix::stream_descriptor signals;
  beast::flat_buffer buffer;
  std::size_t current = 0;  // The endpoint in use.
  bool is_connected = false;
  bool is_watching_signals = false;
};

Trouble Client::Impl::give_up(const Call& call, const Failed& last, bool was_sent) const {
  const auto seconds = format_duration_ms(options.timeout.count());
  std::string where = to_string(options.endpoints[current]);
  if (options.endpoints.size() > 1) {
    where += fmt::format(" and {} more", options.endpoints.size() - 1);
  }
  if (was_sent && call.is_write()) {
    return {
        Exit::unknown_outcome,
        fmt::format("no answer from {} ({}): the outcome of the write is unknown", where, last.why),
        "read before repeating it"};
  }
  if (last.kind == Failed::Kind::timeout) {
    return {Exit::timed_out, fmt::format("no answer from {} within {}", where, seconds), {}};
  }
  const bool is_connect = is_no_connection(last.kind);
  return {
      Exit::unavailable,
      fmt::format(fmt::runtime(is_connect ? "cannot connect to {}: {}" : "lost {}: {}"), where,
                  last.why),
      is_connect ? "is coordd running there? name others with --endpoint or COORD_ENDPOINT" : ""};
}

Outcome<Answer> Client::Impl::perform(const Call& call, const Sink* sink, Milliseconds idle) {
  const std::string key = call.is_write() ? random_key() : std::string();
  const auto start = Clock::now();
  const auto deadline = start + call.wait + options.timeout;
  const auto refused_deadline = options.is_timeout_given
                                    ? start + options.timeout
                                    : std::min(deadline, start + options.refused_patience);
  // A member that accepts and then hangs must leave time for the others.
  const auto share = call.wait + options.timeout / static_cast<int>(options.endpoints.size());
  Milliseconds backoff = options.backoff_min;
  bool was_sent = false;          // Some attempt may have been applied without an answer.
  std::optional<Answer> refusal;  // The last one: it says more than that time ran out after it.
  for (std::size_t tried = 1;; ++tried) {
    const bool was_reused = is_connected;
    Attempt attempt =
        exchange(call, key, std::min(deadline, Clock::now() + share), deadline, sink, idle);
    auto give_up_at = deadline;
    if (auto* answer = std::get_if<Answer>(&attempt)) {
      if (!is_worth_repeating(call, *answer)) return std::move(*answer);
      refusal = std::move(*answer);
    } else {
      const Failed& failure = std::get<Failed>(attempt);
      if (failure.kind == Failed::Kind::interrupted) return Trouble{Exit::interrupted, {}, {}};
      const bool is_connect = is_no_connection(failure.kind);
      was_sent = was_sent || !is_connect;
      // A kept connection that the server has closed meanwhile: its member is not at fault.
      if (failure.kind == Failed::Kind::lost && was_reused) continue;
      if (is_connect && !was_sent) give_up_at = refused_deadline;
    }
    const bool is_round_over = tried % options.endpoints.size() == 0;
    const auto wait = is_round_over ? backoff : Milliseconds(0);
    if (Clock::now() + wait >= give_up_at) {
      const auto* failure = std::get_if<Failed>(&attempt);
      if (failure == nullptr ||
          (refusal && !call.is_write() && failure->kind == Failed::Kind::timeout)) {
        return *std::move(refusal);
      }
      return give_up(call, *failure, was_sent);
    }
    disconnect();
    current = (current + 1) % options.endpoints.size();
    if (!is_round_over) continue;
    if (!pause(wait)) return Trouble{Exit::interrupted, {}, {}};
    backoff = std::min(backoff * 2, options.backoff_max);
  }
}

Client::Client(ClientOptions options) : impl_(std::make_unique<Impl>(std::move(options))) {}
Client::~Client() = default;

Outcome<Answer> Client::call(const Call& call) {
  return impl_->perform(call, nullptr, Milliseconds(0));
}

Outcome<Answer> Client::call_ok(const Call& call) {
  COORD_TRY(Answer answer, this->call(call));
  if (answer.status >= 400) return trouble_of(answer.status, answer.body);
  return answer;
}

Outcome<Answer> Client::stream(const Call& call, const Sink& sink, Milliseconds idle) {
  return impl_->perform(call, &sink, idle);
}

bool Client::pause(Milliseconds duration) { return impl_->pause(duration); }

const ClientOptions& Client::options() const noexcept { return impl_->options; }

void Client::set_session(std::string session) { impl_->options.session = std::move(session); }

Endpoint Client::endpoint() const { return impl_->options.endpoints[impl_->current]; }

}  // namespace coord::cli
