// fuzz_dns: questions from bytes, and the answers to them: never larger than asked for, never read
// past their end.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "api/dns.hpp"

namespace dns = coord::api::dns;

namespace {

void check(const std::string& message, std::size_t bytes_max) {
  if (message.size() < 12 || message.size() > bytes_max) std::abort();
  if ((static_cast<unsigned char>(message[2]) & 0x80U) == 0) std::abort();  // It is an answer.
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const auto question = dns::parse(input);
  if (!question) return 0;
  if (question->rcode != dns::Rcode::ok) {
    check(dns::answer_nothing(*question, question->rcode, 1), dns::kUdpBytesDefault);
    return 0;
  }
  const auto wanted = dns::wanted_by(*question);
  if (wanted.kind == dns::Wanted::Kind::address) {
    check(dns::answer_address(*question, wanted.address, 1), dns::kUdpBytesDefault);
  }
  check(dns::answer_nothing(*question, dns::Rcode::no_name, 1, true), dns::kUdpBytesDefault);
  std::vector<dns::Endpoint> endpoints;
  for (std::uint16_t i = 0; i < 60; ++i) {
    endpoints.push_back({i % 3 == 0 ? "host.example" : i % 3 == 1 ? "10.0.0.1" : "fd00::1", i, i});
    endpoints.back().address += i % 3 == 1 && i < 50 ? std::to_string(i) : "";
  }
  check(dns::answer(*question, endpoints, 1, question->bytes_max), question->bytes_max);
  check(dns::answer(*question, endpoints, 1, dns::kTcpBytesMax), dns::kTcpBytesMax);
  return 0;
}
