#include "cli/zookeeper_source.hpp"

#include <fmt/format.h>

#include <deque>

#include "cli/jute.hpp"
#include "cli/text.hpp"

namespace coord::cli {
namespace {

// Nodes that are asked for and not answered yet.
constexpr std::size_t kWindow = 128;
constexpr std::int32_t kRecursive = 1;
constexpr std::size_t kAclEntryBytesMin = 12;

struct Stat {
  std::int64_t ctime_ms = 0;
  std::int64_t mtime_ms = 0;
  std::int32_t version = 0;
  std::int32_t cversion = 0;
  std::int32_t aversion = 0;
  std::int64_t owner = 0;
  std::int32_t children = 0;
};

Stat take_stat(JuteReader& in) {
  Stat stat;
  static_cast<void>(in.large());  // czxid
  static_cast<void>(in.large());  // mzxid
  stat.ctime_ms = in.large();
  stat.mtime_ms = in.large();
  stat.version = in.number();
  stat.cversion = in.number();
  stat.aversion = in.number();
  stat.owner = in.large();
  static_cast<void>(in.number());  // dataLength
  stat.children = in.number();
  static_cast<void>(in.large());  // pzxid
  return stat;
}

Trouble malformed(std::string_view path) {
  return {Exit::other, fmt::format("ZooKeeper's answer for {} is malformed", escaped(path)), {}};
}

std::string join(const std::string& parent, std::string_view name) {
  return fmt::format("{}/{}", parent == "/" ? "" : parent, name);
}

}  // namespace

struct LiveSource::Reading {
  bool is_there = false;
  bool is_ephemeral = false;
  ImportNode node;
  std::vector<std::string> children;
};

void LiveSource::ask_for(const std::string& path) {
  const auto with_watch = JuteWriter().bytes(path).boolean(false);
  client_.ask(ZooKeeperOp::get_data, with_watch.text());
  client_.ask(ZooKeeperOp::get_acl, JuteWriter().bytes(path).text());
  client_.ask(ZooKeeperOp::get_children, with_watch.text());
}

Outcome<LiveSource::Reading> LiveSource::read_one(const std::string& path) {
  COORD_TRY(const auto data, client_.answer());
  COORD_TRY(const auto acl, client_.answer());
  COORD_TRY(const auto children, client_.answer());
  Reading out;
  for (const auto* answer : {&data, &acl, &children}) {
    if (answer->error == ZooKeeperError::no_node) return out;
    if (answer->error != ZooKeeperError::none) return trouble_of(answer->error, path);
  }
  auto& node = out.node;
  node.path = path;
  JuteReader in(data.body());
  if (const auto bytes = in.buffer()) node.data = std::string(*bytes);
  const auto stat = take_stat(in);
  node.version = stat.version;
  node.ctime_ms = stat.ctime_ms;
  node.mtime_ms = stat.mtime_ms;
  JuteReader acl_in(acl.body());
  for (auto n = acl_in.count(kAclEntryBytesMin); n > 0; --n) {
    auto& entry = node.acl.emplace_back();
    entry.permissions = static_cast<std::uint32_t>(acl_in.number());
    entry.scheme = acl_in.string();
    entry.id = acl_in.string();
    if (entry.scheme == "digest" && entry.id.ends_with(":x")) {
      return Trouble{Exit::forbidden,
                     fmt::format("ZooKeeper hides the ACL of {} from us", escaped(path)),
                     "give a credential that has ADMIN, best the super user's: --auth "
                     "digest:super:PASSWORD"};
    }
  }
  node.aversion = take_stat(acl_in).aversion;
  JuteReader list(children.body());
  for (auto n = list.count(4); n > 0; --n) out.children.push_back(list.string());
  const auto counted = take_stat(list);
  node.created = created_of(counted.cversion, static_cast<std::uint64_t>(out.children.size()));
  if (!in.is_ok() || !acl_in.is_ok() || !list.is_ok()) return malformed(path);
  out.is_there = true;
  out.is_ephemeral = stat.owner != 0;
  if (const auto kind = kinds_.find(path); kind != kinds_.end()) {
    std::tie(node.mode, node.ttl_ms) = kind->second;
  }
  return out;
}

Outcome<void> LiveSource::sync() {
  client_.ask(ZooKeeperOp::sync, JuteWriter().bytes(top_).text());
  COORD_TRY(const auto answer, client_.answer());
  if (answer.error != ZooKeeperError::none && answer.error != ZooKeeperError::no_node) {
    return trouble_of(answer.error, top_);
  }
  return success();
}

Outcome<void> LiveSource::walk(const Each& each) {
  COORD_TRY(sync());
  ephemerals_ = 0;
  std::vector<std::string> left{top_};
  std::deque<std::string> asked;
  while (!left.empty() || !asked.empty()) {
    while (!left.empty() && asked.size() < kWindow) {
      ask_for(left.back());
      asked.push_back(std::move(left.back()));
      left.pop_back();
    }
    const auto path = std::move(asked.front());
    asked.pop_front();
    COORD_TRY(auto reading, read_one(path));
    if (!reading.is_there) {
      if (path == top_) return trouble_of(ZooKeeperError::no_node, path);
      continue;  // It went meanwhile.
    }
    if (reading.is_ephemeral) {
      if (path == top_) {
        return Trouble{Exit::conflict, fmt::format("{} is ephemeral", escaped(path)), {}};
      }
      ++ephemerals_;
      continue;
    }
    for (const auto& name : reading.children) {
      if (path == "/" && name == "zookeeper") continue;
      left.push_back(join(path, name));
    }
    COORD_TRY(each(std::move(reading.node)));
  }
  return success();
}

Outcome<void> LiveSource::read(const std::set<std::string>& paths, const Each& each,
                               std::vector<std::string>& gone) {
  auto next = paths.begin();
  std::deque<std::string> asked;
  while (next != paths.end() || !asked.empty()) {
    while (next != paths.end() && asked.size() < kWindow) {
      ask_for(*next);
      asked.push_back(*next++);
    }
    const auto path = std::move(asked.front());
    asked.pop_front();
    COORD_TRY(auto reading, read_one(path));
    if (!reading.is_there || reading.is_ephemeral) {
      gone.push_back(path);
      continue;
    }
    COORD_TRY(each(std::move(reading.node)));
  }
  return success();
}

Outcome<bool> LiveSource::watch() {
  client_.ask(ZooKeeperOp::add_watch, JuteWriter().bytes(top_).number(kRecursive).text());
  COORD_TRY(const auto answer, client_.answer());
  if (answer.error == ZooKeeperError::unimplemented) return false;
  if (answer.error != ZooKeeperError::none) return trouble_of(answer.error, top_);
  return true;
}

}  // namespace coord::cli
