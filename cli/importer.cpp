#include "cli/importer.hpp"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>

#include "cli/text.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;

// What one request brings: bounded well below what the server takes.
constexpr std::size_t kBatchLines = 500;
constexpr std::size_t kBatchBytes = std::size_t{1} << 20;
constexpr std::string_view kPageNodes = "1000";
constexpr auto kProgress = std::chrono::milliseconds(200);
constexpr auto kProgressLog = std::chrono::seconds(5);

}  // namespace

std::string Importer::mapped(const std::string& path) const {
  if (plan_.from == plan_.to) return path;
  const auto rest = path.substr(plan_.from == "/" ? 0 : plan_.from.size());
  if (rest.empty() || rest == "/") return plan_.to;
  return (plan_.to == "/" ? "" : plan_.to) + rest;
}

Outcome<bool> Importer::begin(const std::string& source_words) {
  Target target("/v1/imports", plan_.to);
  target.add("source", source_words);
  COORD_TRY(const Answer answer, context_.client.call_ok({"PUT", target.text(), {}, {}}));
  COORD_TRY(const Json body, parse_json(answer.body));
  const Json stat = body.value("stat", Json::object());
  if (!stat.is_object() || !stat.contains("czxid") || !stat["czxid"].is_number_unsigned()) {
    return Trouble{Exit::other, "the server's answer to the import names no revision", {}};
  }
  mark_czxid_ = stat["czxid"].get<std::uint64_t>();
  return answer.status == 201;
}

Outcome<void> Importer::finish() {
  COORD_TRY(context_.client.call_ok({"DELETE", Target("/v1/imports", plan_.to).text(), {}, {}}));
  return success();
}

// ---- what is here

Outcome<void> Importer::load() {
  here_.clear();
  std::string cursor;
  do {
    Target target("/v1/walk", plan_.to);
    target.add("values", "true").add("acls", "true").add("limit", kPageNodes);
    if (!cursor.empty()) target.add("cursor", cursor);
    COORD_TRY(const Answer answer, context_.client.call({"GET", target.text(), {}, {}}));
    if (answer.status == 404) return success();
    if (answer.status >= 400) return trouble_of(answer.status, answer.body);
    std::string_view rest = answer.body;
    while (!rest.empty()) {
      const auto end = std::min(rest.find('\n'), rest.size());
      const auto walked = walked_of(Json::parse(rest.substr(0, end), nullptr, false));
      rest.remove_prefix(std::min(end + 1, rest.size()));
      if (!walked) return Trouble{Exit::other, "the server's walk has a malformed line", {}};
      here_[walked->node.path] = {hash_of(walked->node), walked->czxid, walked->node.created,
                                  walked->children, false};
    }
    cursor = answer.header("Coord-Cursor");
  } while (!cursor.empty());
  return success();
}

// ---- what goes there

Outcome<void> Importer::put(const Json& line) {
  if (plan_.is_dry_run) return success();
  batch_ += line.dump(-1, ' ', false, Json::error_handler_t::replace);
  batch_ += '\n';
  if (++batch_lines_ >= kBatchLines || batch_.size() >= kBatchBytes) return flush();
  return success();
}

Outcome<void> Importer::flush() {
  if (batch_lines_ == 0) return success();
  batch_lines_ = 0;
  const Headers headers{{"Content-Type", "application/x-ndjson"}};
  COORD_TRY(const Answer answer,
            context_.client.call({"POST", Target("/v1/imports", plan_.to).text(), headers,
                                  std::exchange(batch_, {})}));
  if (answer.status < 400) return success();
  const Json problem = Json::parse(answer.body, nullptr, false);
  if (problem.is_object() && problem.value("code", "") == "not-found") return close();
  return trouble_of(answer.status, answer.body);
}

Trouble Importer::close() {
  is_closed_ = true;
  return {Exit::not_found,
          fmt::format("the import into {} was finished by another", escaped(plan_.to)),
          {}};
}

Outcome<void> Importer::take_node(ImportNode&& node, ImportCounts& counts) {
  node.path = mapped(node.path);
  const auto hash = hash_of(node);
  ++counts.nodes;
  counts.bytes += node.data ? node.data->size() : 0;
  counts.source_digest += hash;
  show(counts);
  const auto at = here_.find(node.path);
  if (at == here_.end()) {
    ++counts.created;
    return put(line_of(node));
  }
  auto& here = at->second;
  here.is_seen = true;
  counts.target_digest += here.hash;
  // Children that are only here count too.
  if (here.hash == hash && here.created == std::max(node.created, here.children)) {
    ++counts.unchanged;
    return success();
  }
  ++counts.updated;
  return put(line_of(node));
}

Outcome<void> Importer::drop_unseen(ImportCounts& counts) {
  std::vector<std::string> gone;
  for (const auto& [path, here] : here_) {
    if (here.is_seen) continue;
    if (here.czxid > mark_czxid_) {
      gone.push_back(path);
    } else {
      ++counts.extra;
    }
  }
  // Children stand after their parents; they go first.
  std::sort(gone.begin(), gone.end(), std::greater<>());
  for (const auto& path : gone) {
    ++counts.deleted;
    COORD_TRY(put({{"path", path}, {"deleted", true}}));
  }
  return flush();
}

void Importer::show(const ImportCounts& counts) {
  if (Clock::now() < next_shown_) return;
  const bool is_terminal = ::isatty(STDERR_FILENO) == 1;
  next_shown_ = Clock::now() + (is_terminal ? Clock::duration(kProgress) : kProgressLog);
  const auto line = fmt::format("pass {}: {} nodes read, {} to write", passes_ + 1, counts.nodes,
                                counts.changes());
  if (is_terminal) {
    has_shown_ = true;
    fmt::print(stderr, "\r{}\033[K", line);
  } else if (counts.nodes > 1) {
    context_.print.note(line);
  }
}

Outcome<ImportCounts> Importer::pass(ImportSource& source) {
  next_shown_ = Clock::now();
  ImportCounts counts;
  COORD_TRY(load());
  COORD_TRY(source.walk([&](ImportNode&& node) { return take_node(std::move(node), counts); }));
  COORD_TRY(flush());
  COORD_TRY(drop_unseen(counts));
  here_.clear();
  counts.ephemerals = source.ephemerals();
  ++passes_;
  if (std::exchange(has_shown_, false)) fmt::print(stderr, "\r\033[K");
  context_.print.note(fmt::format("pass {}: {} nodes read, {} created, {} updated, {} deleted",
                                  passes_, counts.nodes, counts.created, counts.updated,
                                  counts.deleted));
  total_.created += counts.created;
  total_.updated += counts.updated;
  total_.deleted += counts.deleted;
  return counts;
}

Outcome<ImportCounts> Importer::settle(ImportSource& source) {
  ImportCounts counts;
  for (std::size_t n = 0; n < kPassesMax; ++n) {
    COORD_TRY(auto now, pass(source));
    counts = now;
    if (counts.changes() == 0) return counts;
  }
  return Trouble{Exit::conflict,
                 fmt::format("the source still changes: after {} passes {} nodes differ",
                             kPassesMax, counts.changes()),
                 "stop those who write to it, or keep up with them with --follow"};
}

Outcome<bool> Importer::bring(LiveSource& source, const std::set<std::string>& paths) {
  std::vector<std::string> gone;
  std::size_t sent = 0;
  auto done = source.read(
      paths,
      [&](ImportNode&& node) {
        node.path = mapped(node.path);
        ++sent;
        return put(line_of(node));
      },
      gone);
  std::sort(gone.begin(), gone.end(), std::greater<>());
  for (const auto& path : gone) {
    if (done) done = put({{"path", mapped(path)}, {"deleted", true}});
  }
  if (done) done = flush();
  if (!done) {
    batch_.clear();
    batch_lines_ = 0;
    // A parent that is not here yet, or children that are here alone: a pass sorts it out.
    const auto exit = done.error().exit;
    if (!is_closed_ && (exit == Exit::conflict || exit == Exit::not_found)) return false;
    return std::move(done).error();
  }
  total_.updated += sent;
  total_.deleted += gone.size();
  return true;
}

}  // namespace coord::cli
