// The four-letter words of monitors and of clients: ruok, srvr and their like, as ZooKeeper prints
// them.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "coord/core/request.hpp"

namespace coord::api::zk {

class ZkEdge;

// One that was asked.
struct Word {
  std::string name;
  core::Status status;  // The member's, once it has told it.
};

// Since 1970.
[[nodiscard]] std::int64_t wall_ms();
// Is it one that ZooKeeper knows?
[[nodiscard]] bool is_word(std::string_view word) noexcept;
// Answers it whatever the member does. False: it takes the member's Status and answer_word().
[[nodiscard]] bool answer_word_alone(std::string_view word, std::string& out);
// Takes the reply to GetStatus, and answers the word; or gives what else must be asked, and takes
// the reply to that.
[[nodiscard]] std::optional<core::Operation> answer_word(Word& word, ZkEdge& edge,
                                                         core::Reply& reply, std::string& out);

}  // namespace coord::api::zk
