// fuzz_zookeeper: the frames of ZooKeeper's clients. The first byte chooses the operation.
#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "api/zk/ops.hpp"
#include "api/zk/protocol.hpp"

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  namespace zk = coord::api::zk;
  if (size == 0) return 0;
  const std::string_view input(reinterpret_cast<const char*>(data) + 1, size - 1);
  zk::ConnectRequest connect;
  if (zk::decode(input, connect)) {
    std::string out;
    zk::put_connected(out, connect, connect.session, connect.timeout_ms, connect.password);
    if (out.size() < 40) std::abort();
  }
  zk::Call call;
  call.op = static_cast<zk::OpCode>(data[0] == 255 ? -11 : data[0]);
  zk::plan_call(input, {coord::SessionId(1), {}, coord::Zxid(1)}, call);
  // Nothing grows beyond what the frame holds.
  if (call.parts.size() > size || call.rearm.watches.size() > size) std::abort();
  if (call.turn == zk::Call::Turn::at_once) return 0;
  // Whatever the member answers, a reply is whole or the connection closes.
  for (const auto code : {coord::Code::ok, coord::Code::no_node, coord::Code::outcome_unknown}) {
    coord::core::Reply reply;
    reply.code = code;
    std::string out;
    std::size_t begin = 0;
    if (zk::answer_call(call, reply, out, begin) ? out.size() < zk::kReplyHead : !out.empty()) {
      std::abort();
    }
  }
  return 0;
}
