// The four-letter words of monitors and of clients: ruok, srvr and their like, as ZooKeeper prints
// them.
#pragma once

#include <string>
#include <string_view>

#include "coord/core/request.hpp"

namespace coord::api::zk {

class ZkEdge;

// Is it one that ZooKeeper knows?
[[nodiscard]] bool is_word(std::string_view word) noexcept;
// Answers it from what the port knows by itself. False: it takes the member's Status, or (dump) the
// list of sessions, and answer_word().
[[nodiscard]] bool answer_word_alone(std::string_view word, ZkEdge& edge, std::string& out);
void answer_word(std::string_view word, ZkEdge& edge, const core::Reply& reply, std::string& out);

}  // namespace coord::api::zk
