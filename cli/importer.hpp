// Importer: makes a subtree here what it is at a source.
//
// Works in passes: reads what is here, walks the source, sends what differs, and removes what the
// import brought earlier and the source does not have any more. A pass that changes nothing is the
// proof that both sides are alike. What was here before and is not at the source stays: nodes older
// than the import's mark are never removed. Thread rule: the main thread.
#pragma once

#include <chrono>
#include <cstdint>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <vector>

#include "cli/import_node.hpp"
#include "cli/verbs.hpp"
#include "cli/zookeeper_source.hpp"

namespace coord::cli {

struct ImportPlan {
  std::string from = "/";  // The path at the source.
  std::string to = "/";    // The path here.
  bool is_dry_run = false;
};

// Of the last pass, and of all of them together.
struct ImportCounts {
  std::size_t nodes = 0;  // At the source, as far as they are copied.
  std::uint64_t bytes = 0;
  std::size_t ephemerals = 0;  // At the source, not copied.
  std::size_t unchanged = 0;
  std::size_t created = 0;
  std::size_t updated = 0;
  std::size_t deleted = 0;
  std::size_t extra = 0;  // Here alone, from before.
  std::uint64_t source_digest = 0;
  std::uint64_t target_digest = 0;
  [[nodiscard]] std::size_t changes() const noexcept { return created + updated + deleted; }
};

class Importer {
 public:
  Importer(const Context& context, ImportPlan plan) : context_(context), plan_(std::move(plan)) {}

  // Closes the subtree, or goes on with an import of the same source. True: it was not open before.
  [[nodiscard]] Outcome<bool> begin(const std::string& source_words);
  // Opens it to everybody.
  [[nodiscard]] Outcome<void> finish();

  // One pass. Requires begin(), unless it is a dry run.
  [[nodiscard]] Outcome<ImportCounts> pass(ImportSource& source);
  // Passes until one changes nothing, at most kPassesMax; conflict if none does.
  [[nodiscard]] Outcome<ImportCounts> settle(ImportSource& source);
  // Brings these paths of the source alone. False: that was not possible, a pass is needed.
  [[nodiscard]] Outcome<bool> bring(LiveSource& source, const std::set<std::string>& paths);

  [[nodiscard]] std::size_t passes() const noexcept { return passes_; }
  // Somebody else finished the import: nothing more can be brought.
  [[nodiscard]] bool is_closed() const noexcept { return is_closed_; }
  // Notes that, and says it.
  [[nodiscard]] Trouble close();
  // Of all passes and of what was brought between them.
  [[nodiscard]] const ImportCounts& total() const noexcept { return total_; }

 private:
  struct Here {
    std::uint64_t hash = 0;
    std::uint64_t czxid = 0;
    std::uint64_t created = 0;
    std::uint64_t children = 0;
    bool is_seen = false;
  };
  static constexpr std::size_t kPassesMax = 10;

  [[nodiscard]] Outcome<void> load();
  [[nodiscard]] Outcome<void> take_node(ImportNode&& node, ImportCounts& counts);
  [[nodiscard]] Outcome<void> drop_unseen(ImportCounts& counts);
  [[nodiscard]] Outcome<void> put(const Json& line);
  [[nodiscard]] Outcome<void> flush();
  [[nodiscard]] std::string mapped(const std::string& path) const;
  void show(const ImportCounts& counts);

  const Context& context_;
  ImportPlan plan_;
  std::uint64_t mark_czxid_ = UINT64_MAX;
  std::unordered_map<std::string, Here> here_;
  std::string batch_;
  std::size_t batch_lines_ = 0;
  std::size_t passes_ = 0;
  bool is_closed_ = false;
  ImportCounts total_;
  std::chrono::steady_clock::time_point next_shown_;
  bool has_shown_ = false;
};

}  // namespace coord::cli
