// watch_stream: changes as SSE or NDJSON text, rendered once for all who want the same.
//
// The SSE id is a promise: everything up to that revision was delivered. So it stands only on the
// last event of a transaction and on bookmarks, never on the present state that `initial` sends.
// Pure text; who sends it, and when, is Connection's part.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "api/negotiate.hpp"
#include "coord/core/request.hpp"

namespace coord::api {

struct StreamForm {
  Format format = Format::event_stream;  // Or ndjson.
  bool is_chunked = true;                // HTTP/1.1: the text comes as chunks.
  bool with_value = false;
  bool with_prev = false;
  friend bool operator==(const StreamForm&, const StreamForm&) = default;
};

using SharedText = std::shared_ptr<const std::string>;

[[nodiscard]] std::string render_event(const core::WatchEvent& event, const StreamForm& form);
// With an id, unless the present state is still to come.
[[nodiscard]] std::string render_bookmark(Zxid revision, bool with_id, const StreamForm& form);
// A recipe's state as an event `name`.
[[nodiscard]] std::string render_state(std::string_view name, Zxid revision, std::string_view json,
                                       const StreamForm& form);
// Something that means nothing. Empty for NDJSON, which has no comments.
[[nodiscard]] std::string render_comment(const StreamForm& form);
// An event named by the code, and the end of the stream.
[[nodiscard]] std::string render_end(const core::WatchState& state, const StreamForm& form);

// The texts of the batch that is being handed out: thousands of watchers of one node cost one
// rendering. Holds the batch, so that its address cannot come to mean another.
class RenderCache {
 public:
  [[nodiscard]] SharedText get(const core::WatchEvent& event, const StreamForm& form);
  void clear();

 private:
  struct Entry {
    StreamForm form;
    bool is_initial;
    std::vector<std::uint32_t> wanted;
    SharedText text;
  };
  static constexpr std::size_t kEntriesMax = 64;
  znode::SharedBatch batch_;
  std::vector<Entry> entries_;
};

}  // namespace coord::api
