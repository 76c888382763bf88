#include "api/http_parser.hpp"

#include <boost/beast/http/basic_parser.hpp>
#include <boost/beast/http/error.hpp>
#include <optional>

#include "api/plan.hpp"
#include "api/text.hpp"

namespace coord::api {
namespace {

namespace http = boost::beast::http;
using boost::beast::error_code;
using BeastView = boost::beast::string_view;

constexpr std::size_t kBodyReserveMax = 64 * kKiB;  // A declared length alone earns no more memory.
constexpr std::size_t kBodyKeptMax = 64 * kKiB;     // Kept for the next request.

std::string_view view_of(BeastView text) noexcept { return {text.data(), text.size()}; }

Method method_of(http::verb verb) noexcept {
  switch (verb) {
    case http::verb::get:
      return Method::get;
    case http::verb::head:
      return Method::head;
    case http::verb::put:
      return Method::put;
    case http::verb::post:
      return Method::post;
    case http::verb::patch:
      return Method::patch;
    case http::verb::delete_:
      return Method::erase;
    case http::verb::options:
      return Method::options;
    default:
      return Method::other;
  }
}

// A header that the API knows: where its value is kept, whether it may be a list, and whether an
// empty one would drop a guard that the client meant.
struct Known {
  std::string_view Headers::*member;
  std::string_view name;
  bool is_list;
  bool is_guard = false;
};

constexpr Known kAccept{&Headers::accept, "Accept", true};
constexpr Known kAcceptEncoding{&Headers::accept_encoding, "Accept-Encoding", true};
constexpr Known kAuthorization{&Headers::authorization, "Authorization", false};
constexpr Known kContentType{&Headers::content_type, "Content-Type", false};
constexpr Known kContentEncoding{&Headers::content_encoding, "Content-Encoding", true};
constexpr Known kIfMatch{&Headers::if_match, "If-Match", true, true};
constexpr Known kIfNoneMatch{&Headers::if_none_match, "If-None-Match", true, true};
constexpr Known kHost{&Headers::host, "Host", false};
constexpr Known kOrigin{&Headers::origin, "Origin", false};
constexpr Known kCorsMethod{&Headers::cors_method, "Access-Control-Request-Method", false};
constexpr Known kCorsHeaders{&Headers::cors_headers, "Access-Control-Request-Headers", true};
constexpr Known kByName[] = {
    {&Headers::session, "Coord-Session", false, true},
    {&Headers::fence, "Coord-Fence", true, true},
    {&Headers::idempotency_key, "Idempotency-Key", false, true},
    {&Headers::last_event_id, "Last-Event-ID", false},
};

const Known* known_header(http::field field, std::string_view name) noexcept {
  switch (field) {
    case http::field::accept:
      return &kAccept;
    case http::field::accept_encoding:
      return &kAcceptEncoding;
    case http::field::authorization:
      return &kAuthorization;
    case http::field::content_type:
      return &kContentType;
    case http::field::content_encoding:
      return &kContentEncoding;
    case http::field::if_match:
      return &kIfMatch;
    case http::field::if_none_match:
      return &kIfNoneMatch;
    case http::field::host:
      return &kHost;
    case http::field::origin:
      return &kOrigin;
    case http::field::access_control_request_method:
      return &kCorsMethod;
    case http::field::access_control_request_headers:
      return &kCorsHeaders;
    case http::field::unknown:
      for (const auto& known : kByName) {
        if (iequals(known.name, name)) return &known;
      }
      return nullptr;
    default:
      return nullptr;
  }
}

class Parser final : public http::basic_parser<true> {
 public:
  struct Stored {
    const Known* known;
    std::size_t offset;
    std::size_t size;
  };

  // What outlives one request: the strings' memory.
  struct Memory {
    std::string head;  // Target and values, one behind the other.
    std::vector<Stored> stored;
    std::string body;
  };

  Parser(const HttpOptions& options, Memory& memory) : options_(options), memory_(memory) {
    memory.head.clear();
    memory.stored.clear();
    memory.body.clear();
    this->eager(true);
    this->header_limit(static_cast<std::uint32_t>(options.header_bytes_max));
    this->body_limit(boost::none);  // Checked here, where the route's own limit is known.
  }

  Method method = Method::other;
  std::size_t target_size = 0;
  std::string_view repeated;
  std::string_view empty;
  bool is_http10 = false;
  bool has_header = false;
  bool expects_continue = false;
  bool has_transfer_encoding = false;
  bool is_body_too_large = false;
  std::size_t body_max = 0;

 private:
  void on_request_impl(http::verb verb, BeastView, BeastView target, int version,
                       error_code&) override {
    method = method_of(verb);
    is_http10 = version < 11;
    target_size = target.size();
    memory_.head.assign(target.data(), target.size());
    body_max = body_limit_of(view_of(target), options_);
  }
  void on_response_impl(int, BeastView, int, error_code&) override {}

  void on_field_impl(http::field field, BeastView name, BeastView value, error_code&) override {
    if (has_header) return;  // A trailer of a chunked body.
    if (field == http::field::expect) {
      expects_continue = iequals(trim(view_of(value)), "100-continue");
      return;
    }
    if (field == http::field::transfer_encoding) has_transfer_encoding = true;
    const auto* known = known_header(field, view_of(name));
    if (known == nullptr) return;
    const auto text = trim(view_of(value));
    if (text.empty() && known->is_guard) empty = known->name;
    auto& head = memory_.head;
    for (auto& stored : memory_.stored) {
      if (stored.known != known) continue;
      if (!known->is_list) {
        repeated = known->name;
        return;
      }
      const auto offset = head.size();
      head.append(head, stored.offset, stored.size);
      head += ", ";
      head += text;
      stored = {known, offset, head.size() - offset};
      return;
    }
    memory_.stored.push_back({known, head.size(), text.size()});
    head += text;
  }

  void on_header_impl(error_code& ec) override {
    has_header = true;
    if (has_transfer_encoding && !this->chunked()) {
      ec = http::error::bad_transfer_encoding;
      return;
    }
    const auto length = this->content_length();
    if (length && *length > body_max) {
      is_body_too_large = true;
      ec = http::error::body_limit;
    }
  }
  void on_body_init_impl(boost::optional<std::uint64_t> const& length, error_code&) override {
    if (length) {
      memory_.body.reserve(
          std::min<std::size_t>(static_cast<std::size_t>(*length), kBodyReserveMax));
    }
  }
  std::size_t on_body_impl(BeastView body, error_code& ec) override {
    if (memory_.body.size() + body.size() > body_max) {
      is_body_too_large = true;
      ec = http::error::body_limit;
      return 0;
    }
    memory_.body.append(body.data(), body.size());
    return body.size();
  }
  void on_chunk_header_impl(std::uint64_t size, BeastView, error_code& ec) override {
    if (size > body_max || memory_.body.size() + size > body_max) {
      is_body_too_large = true;
      ec = http::error::body_limit;
    }
  }
  std::size_t on_chunk_body_impl(std::uint64_t, BeastView body, error_code& ec) override {
    return on_body_impl(body, ec);
  }
  void on_finish_impl(error_code&) override {}

  const HttpOptions& options_;
  Memory& memory_;
};

}  // namespace

struct HttpParser::Impl {
  explicit Impl(const HttpOptions& given) : options(given) {}
  const HttpOptions& options;
  Parser::Memory memory;
  std::optional<Parser> parser;
  std::size_t header_bytes = 0;
  RequestView view;
  bool has_view = false;
  Failure failure = Failure::none;
  std::string detail;
  std::size_t limit = 0;

  Status fail(Failure kind, std::string text, std::size_t bound) {
    failure = kind;
    detail = std::move(text);
    limit = bound;
    return Status::failed;
  }
  Status fail_by(const error_code& ec);
};

HttpParser::Status HttpParser::Impl::fail_by(const error_code& ec) {
  if (ec == http::error::header_limit) {
    return fail(Failure::header_too_large,
                "the header has more than " + std::to_string(options.header_bytes_max) + " bytes",
                options.header_bytes_max);
  }
  if (parser->is_body_too_large) {
    return fail(Failure::body_too_large,
                "the body has more than " + std::to_string(parser->body_max) + " bytes",
                parser->body_max);
  }
  return fail(Failure::malformed, "this is not HTTP/1.1: " + ec.message(), 0);
}

HttpParser::HttpParser(const HttpOptions& options) : impl_(std::make_unique<Impl>(options)) {
  reset();
}
HttpParser::~HttpParser() = default;

void HttpParser::reset() {
  auto& impl = *impl_;
  if (impl.memory.body.capacity() > kBodyKeptMax) std::string().swap(impl.memory.body);
  impl.parser.emplace(impl.options, impl.memory);
  impl.header_bytes = 0;
  impl.has_view = false;
  impl.failure = Failure::none;
  impl.limit = 0;
}

HttpParser::Status HttpParser::put(std::string_view bytes, std::size_t& used) {
  auto& impl = *impl_;
  error_code ec;
  used = impl.parser->put({bytes.data(), bytes.size()}, ec);
  const bool wants_more = ec == http::error::need_more;
  if (ec && !wants_more) return impl.fail_by(ec);
  if (!impl.parser->has_header) {
    // Beast bounds each line; a header of endless lines is bounded here.
    impl.header_bytes += used;
    if (impl.header_bytes + bytes.size() - used > impl.options.header_bytes_max) {
      return impl.fail_by(http::error::header_limit);
    }
    return Status::need_more;
  }
  if (impl.parser->is_done()) return Status::done;
  if (bytes.size() - used > impl.options.header_bytes_max) {
    return impl.fail(Failure::malformed, "a chunk's header is too long", 0);
  }
  return Status::need_more;
}

bool HttpParser::has_header() const noexcept { return impl_->parser->has_header; }
bool HttpParser::keep_alive() const noexcept { return impl_->parser->keep_alive(); }
bool HttpParser::is_http10() const noexcept { return impl_->parser->is_http10; }
bool HttpParser::expects_continue() const noexcept { return impl_->parser->expects_continue; }
std::size_t HttpParser::body_bytes() const noexcept { return impl_->memory.body.size(); }

const RequestView& HttpParser::view() {
  auto& impl = *impl_;
  if (impl.has_view) return impl.view;
  impl.view = RequestView{};
  impl.view.method = impl.parser->method;
  const std::string_view head = impl.memory.head;
  impl.view.target = head.substr(0, impl.parser->target_size);
  for (const auto& stored : impl.memory.stored) {
    impl.view.headers.*stored.known->member = head.substr(stored.offset, stored.size);
  }
  impl.view.headers.repeated = impl.parser->repeated;
  impl.view.headers.empty = impl.parser->empty;
  impl.view.body = impl.memory.body;
  impl.has_view = true;
  return impl.view;
}

HttpParser::Failure HttpParser::failure() const noexcept { return impl_->failure; }
const std::string& HttpParser::detail() const noexcept { return impl_->detail; }
std::size_t HttpParser::limit() const noexcept { return impl_->limit; }

}  // namespace coord::api
