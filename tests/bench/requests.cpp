#include "tests/bench/requests.hpp"

#include <fmt/format.h>

namespace coord::bench {
namespace {

std::string base64(std::string_view bytes) {
  static constexpr std::string_view kAlphabet =
      "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
  std::string text;
  text.reserve((bytes.size() + 2) / 3 * 4);
  for (std::size_t i = 0; i < bytes.size(); i += 3) {
    std::uint32_t group = 0;
    const std::size_t have = std::min<std::size_t>(3, bytes.size() - i);
    for (std::size_t j = 0; j < 3; ++j) {
      group = group << 8 | (j < have ? static_cast<unsigned char>(bytes[i + j]) : 0U);
    }
    for (std::size_t j = 0; j < 4; ++j) {
      text += j <= have ? kAlphabet[group >> (18 - 6 * j) & 63U] : '=';
    }
  }
  return text;
}

std::string key_path(const Shape& shape, std::uint64_t key) {
  return fmt::format("/bench/p{}/k{:07}", key % shape.parents, key);
}

std::string value_of(const Shape& shape, std::uint64_t sequence) {
  std::string value = fmt::format("{:016}", sequence);
  value.resize(shape.value_bytes, 'v');
  return value;
}

std::string with_body(std::string_view method, std::string_view target, std::string_view body) {
  return fmt::format("{} {} HTTP/1.1\r\nHost: bench\r\nContent-Length: {}\r\n\r\n{}", method,
                     target, body.size(), body);
}

std::string without_body(std::string_view target, std::string_view headers = "") {
  return fmt::format("GET {} HTTP/1.1\r\nHost: bench\r\n{}\r\n", target, headers);
}

std::string escape_query(std::string_view text) {
  std::string escaped;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    const bool is_plain = (byte >= '0' && byte <= '9') || (byte >= 'a' && byte <= 'z') ||
                          (byte >= 'A' && byte <= 'Z') || byte == '-' || byte == '_';
    escaped += is_plain ? std::string(1, c) : fmt::format("%{:02X}", byte);
  }
  return escaped;
}

}  // namespace

std::string put_request(const Shape& shape, std::uint64_t key, std::uint64_t sequence) {
  const std::string path = key_path(shape, key);
  const std::string value = value_of(shape, sequence);
  if (!shape.is_etcd) return with_body("PUT", "/v1/tree" + path, value);
  return with_body("POST", "/v3/kv/put",
                   fmt::format(R"({{"key":"{}","value":"{}"}})", base64(path), base64(value)));
}

std::string get_request(const Shape& shape, std::uint64_t key) {
  const std::string path = key_path(shape, key);
  if (!shape.is_etcd) return without_body("/v1/tree" + path);
  return with_body("POST", "/v3/kv/range", fmt::format(R"({{"key":"{}"}})", base64(path)));
}

std::string fill_request(const Shape& shape, std::uint64_t first, std::uint64_t count) {
  std::string body = shape.is_etcd ? R"({"success":[)" : R"({"then":[)";
  for (std::uint64_t key = first; key < first + count; ++key) {
    if (key != first) body += ',';
    const std::string path = key_path(shape, key);
    const std::string value = value_of(shape, key);
    body += shape.is_etcd
                ? fmt::format(R"({{"requestPut":{{"key":"{}","value":"{}"}}}})", base64(path),
                              base64(value))
                : fmt::format(R"({{"op":"create","path":"{}","value":"{}"}})", path, value);
  }
  body += "]}";
  return with_body("POST", shape.is_etcd ? "/v3/kv/txn" : "/v1/txn", body);
}

std::string parents_request(const Shape&, std::uint64_t first, std::uint64_t count) {
  std::string body = R"({"then":[)";
  if (first == 0) body += R"({"op":"create","path":"/bench","value":""})";
  for (std::uint64_t parent = first; parent < first + count; ++parent) {
    if (body.back() == '}') body += ',';
    body += fmt::format(R"({{"op":"create","path":"/bench/p{}","value":""}})", parent);
  }
  return with_body("POST", "/v1/txn", body + "]}");
}

std::string list_request(std::string_view cursor, std::uint64_t limit) {
  std::string target = fmt::format("/v1/children/bench/p0?limit={}", limit);
  if (!cursor.empty()) target += "&cursor=" + escape_query(cursor);
  return without_body(target);
}

std::string watch_request(const Shape& shape, std::uint64_t key) {
  const std::string path = key_path(shape, key);
  if (!shape.is_etcd) {
    return without_body("/v1/watch?path=" + path, "Accept: text/event-stream\r\n");
  }
  return with_body("POST", "/v3/watch",
                   fmt::format(R"({{"create_request":{{"key":"{}"}}}})", base64(path)));
}

}  // namespace coord::bench
