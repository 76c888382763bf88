// fuzz_http: bytes of a connection, cut at any place, through the parser and the planner.
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/http_parser.hpp"
#include "api/plan.hpp"
#include "api/respond.hpp"

namespace {

using coord::api::HttpParser;

// Parses the whole input in pieces of `step` bytes; what was understood goes into `seen`.
void run(std::string_view input, std::size_t step, std::string& seen) {
  coord::api::HttpOptions options;
  options.header_bytes_max = 2048;
  options.body_bytes_max = 1024;
  options.json_bytes_max = 4096;
  const coord::api::Caller caller{"127.0.0.1", true};
  HttpParser parser(options);
  coord::api::Plan plan;
  std::string pending;
  std::string scratch;
  for (std::size_t at = 0; at < input.size(); at += step) {
    pending += input.substr(at, step);
    while (!pending.empty()) {
      std::size_t used = 0;
      const auto status = parser.put(pending, used);
      pending.erase(0, used);
      if (status == HttpParser::Status::need_more) break;
      if (status == HttpParser::Status::failed) {
        if (parser.failure() == HttpParser::Failure::none) std::abort();
        return;
      }
      const auto problem = plan_request(parser.view(), caller, options, plan);
      if (!problem && plan.route == nullptr) std::abort();
      const coord::api::AnswerContext context{"", true, false, {}, "", scratch};
      if (problem) answer_problem(plan, problem, context, seen);
      seen += '\n';
      parser.reset();
    }
  }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  std::string whole;
  std::string bytes;
  run(input, input.empty() ? 1 : input.size(), whole);
  run(input, 1, bytes);
  // How the bytes arrive must not change what they mean. A header that is too large may be noticed
  // at another request, so only the requests that both saw are compared.
  const auto common = std::min(whole.size(), bytes.size());
  if (whole.compare(0, common, bytes, 0, common) != 0) std::abort();
  return 0;
}
