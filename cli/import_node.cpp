#include "cli/import_node.hpp"

#include <algorithm>
#include <array>
#include <cstdio>

#include "cli/text.hpp"
#include "coord/base/checksum.hpp"

namespace coord::cli {
namespace {

constexpr std::array<std::pair<std::uint32_t, const char*>, 5> kPermissions = {
    {{1, "read"}, {2, "write"}, {4, "create"}, {8, "delete"}, {16, "admin"}}};

std::string_view word_of(ImportMode mode) {
  switch (mode) {
    case ImportMode::persistent:
      return "persistent";
    case ImportMode::container:
      return "container";
    case ImportMode::ttl:
      return "ttl";
  }
  return "persistent";
}

void append(std::string& out, std::uint64_t v) {
  for (int shift = 56; shift >= 0; shift -= 8) {
    out += static_cast<char>(static_cast<std::uint8_t>(v >> shift));
  }
}
void append(std::string& out, std::string_view text) {
  append(out, static_cast<std::uint64_t>(text.size()));
  out.append(text);
}

template <class T>
bool take(const Json& object, const char* key, T& out) {
  const auto found = object.find(key);
  if (found == object.end()) return false;
  if constexpr (std::is_same_v<T, std::string>) {
    if (!found->is_string()) return false;
  } else {
    if (!found->is_number_integer()) return false;
  }
  out = found->get<T>();
  return true;
}

bool take_acl(const Json& line, std::vector<ImportAcl>& out) {
  const auto found = line.find("acl");
  if (found == line.end() || !found->is_array()) return false;
  for (const Json& entry : *found) {
    if (!entry.is_object()) return false;
    auto& acl = out.emplace_back();
    if (!take(entry, "scheme", acl.scheme) || !take(entry, "id", acl.id)) return false;
    for (const Json& word : entry.value("permissions", Json::array())) {
      for (const auto& [bit, name] : kPermissions) {
        if (word == name) acl.permissions |= bit;
      }
    }
  }
  return true;
}

}  // namespace

std::uint64_t hash_of(const ImportNode& node) {
  std::string bytes;
  append(bytes, node.path);
  append(bytes, node.data ? 1 : 0);
  append(bytes, node.data ? std::string_view(*node.data) : std::string_view());
  append(bytes, node.acl.size());
  for (const auto& entry : node.acl) {
    append(bytes, entry.permissions & 31U);
    append(bytes, entry.scheme);
    append(bytes, entry.id);
  }
  append(bytes, static_cast<std::uint64_t>(node.mode));
  for (const std::int64_t v : {node.ttl_ms, std::int64_t{node.version}, std::int64_t{node.aversion},
                               node.ctime_ms, node.mtime_ms}) {
    append(bytes, static_cast<std::uint64_t>(v));
  }
  return checksum(bytes);
}

Json line_of(const ImportNode& node) {
  Json line{{"path", node.path}};
  if (!node.data) {
    line["value"] = nullptr;
  } else {
    line["value"] = base64_encoded(*node.data);
    line["encoding"] = "base64";
  }
  Json acl = Json::array();
  for (const auto& entry : node.acl) {
    Json words = Json::array();
    for (const auto& [bit, name] : kPermissions) {
      if ((entry.permissions & bit) != 0) words.push_back(name);
    }
    acl.push_back({{"scheme", entry.scheme}, {"id", entry.id}, {"permissions", std::move(words)}});
  }
  line["acl"] = std::move(acl);
  line["mode"] = word_of(node.mode);
  if (node.mode == ImportMode::ttl) line["ttl_ms"] = node.ttl_ms;
  line["version"] = node.version;
  line["aversion"] = node.aversion;
  line["children_created"] = node.created;
  line["ctime_ms"] = node.ctime_ms;
  line["mtime_ms"] = node.mtime_ms;
  return line;
}

std::optional<WalkedNode> walked_of(const Json& line) {
  WalkedNode walked;
  auto& node = walked.node;
  if (!line.is_object() || !take(line, "path", node.path) || !take_acl(line, node.acl)) {
    return std::nullopt;
  }
  const auto value = line.find("value");
  const auto stat = line.find("stat");
  if (value == line.end() || stat == line.end() || !stat->is_object()) return std::nullopt;
  if (!value->is_null()) node.data = value_bytes_of(line);
  std::string mode;
  std::string ctime;
  std::string mtime;
  std::int32_t cversion = 0;
  if (!take(*stat, "mode", mode) || !take(*stat, "ctime", ctime) || !take(*stat, "mtime", mtime) ||
      !take(*stat, "version", node.version) || !take(*stat, "aversion", node.aversion) ||
      !take(*stat, "cversion", cversion) || !take(*stat, "czxid", walked.czxid) ||
      !take(*stat, "num_children", walked.children)) {
    return std::nullopt;
  }
  take(*stat, "ttl_ms", node.ttl_ms);
  node.mode = mode == "container" ? ImportMode::container
              : mode == "ttl"     ? ImportMode::ttl
                                  : ImportMode::persistent;
  node.created = created_of(cversion, walked.children);
  // /.coord and /zookeeper are in every tree, and nobody has created them.
  if (node.path == "/") walked.children -= std::min<std::uint64_t>(walked.children, 2);
  const auto created = parse_time_ms(ctime);
  const auto changed = parse_time_ms(mtime);
  if (!created || !changed) return std::nullopt;
  node.ctime_ms = *created;
  node.mtime_ms = *changed;
  return walked;
}

std::uint64_t created_of(std::int32_t cversion, std::uint64_t children) noexcept {
  // The root of a fresh ZooKeeper has -1: /zookeeper was never counted.
  const auto doubled = static_cast<std::int64_t>(cversion) + static_cast<std::int64_t>(children);
  return doubled <= 0 ? 0 : static_cast<std::uint64_t>(doubled) / 2;
}

bool is_below(std::string_view path, std::string_view top) noexcept {
  if (top == "/") return true;
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

}  // namespace coord::cli
