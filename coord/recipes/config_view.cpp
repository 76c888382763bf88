// What is shown of configurations.
#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"
#include "coord/recipes/config.hpp"

namespace coord::recipes::config {
namespace {

Item item_of(const znode::Tree& tree, const std::string& path, const znode::View& node) {
  Item item;
  item.revision = node.stat.mzxid;
  item.time_ms = node.stat.mtime_ms;
  item.size = node.stat.data_length;
  item.content_type = node.content_type;
  if (const auto note = tree.get(path + "/note")) item.note = note_of(note->value);
  return item;
}

Answer answer_with(Items items) {
  Answer answer;
  answer.bytes = encode(items);
  return answer;
}

Answer one(Item item, Blob value, Zxid etag) {
  Items items;
  items.items.push_back(std::move(item));
  auto answer = answer_with(std::move(items));
  answer.values.push_back(std::move(value));
  answer.etag = etag;
  return answer;
}

// The gray value, if it is for this client.
std::optional<Answer> gray_for(const Query& query, const Look& look, const State& state) {
  const auto path = part_path(query.name, "gray");
  const auto gray = look.tree.get(path);
  if (!gray) return std::nullopt;
  const auto rule = look.tree.get(path + "/rule");
  if (!rule || !matches(rule_of(rule->value), query.name, query.client)) return std::nullopt;
  auto item = item_of(look.tree, path, *gray);
  item.release = state.last;
  item.is_gray = true;
  const auto etag = Zxid(kGrayTag | item.revision.value());
  return one(std::move(item), look.tree.value_of(path), etag);
}

Answer present(const Query& query, const Look& look, const State& state) {
  const auto own = look.tree.get(path_of(Kind::config, query.name));
  Answer answer;
  if (!state.is_live) {
    answer = no_config(query.name);
  } else if (auto gray = gray_for(query, look, state)) {
    answer = std::move(*gray);
  } else {
    const auto path = release_path(query.name, state.last);
    const auto node = look.tree.get(path);
    COORD_CHECK(node.has_value(), "the present release is kept", path);
    auto item = item_of(look.tree, path, *node);
    item.release = state.last;
    answer = one(std::move(item), look.tree.value_of(path), Zxid(state.last));
  }
  if (own) answer.changed = std::max(own->stat.mzxid, own->stat.pzxid);
  if (const auto gray = look.tree.get(part_path(query.name, "gray"))) {
    answer.changed = std::max(answer.changed, gray->stat.mzxid);
  }
  return answer;
}

Answer list(const Query& query, const Look& look) {
  Items items;
  const auto top = fmt::format("{}/{}", kRoot, directory_of(Kind::config));
  look.tree.children(top, query.after, {}, [&](std::string_view name, const znode::View&) {
    const auto state = state_of(look.tree, name);
    const bool has_schema = look.tree.get(part_path(name, "schema")).has_value();
    if (!state.is_live && !has_schema) return true;
    if (items.items.size() >= query.limit) {
      items.is_last = false;
      return false;
    }
    Item item;
    if (state.is_live) {
      const auto path = release_path(name, state.last);
      item = item_of(look.tree, path, *look.tree.get(path));
      item.release = state.last;
    }
    item.name = name;
    item.has_gray = look.tree.get(part_path(name, "gray")).has_value();
    item.has_schema = has_schema;
    items.items.push_back(std::move(item));
    return true;
  });
  return answer_with(std::move(items));
}

Answer releases(const Query& query, const Look& look, const State& state) {
  if (!state.is_live) return no_config(query.name);
  Items items;
  const auto top = part_path(query.name, "releases");
  std::vector<std::string> names;
  look.tree.children(top, {}, {}, [&](std::string_view name, const znode::View&) {
    names.emplace_back(name);
    return true;
  });
  // The last so many of all, which are few: ConfigLimits.
  std::uint64_t number = state.last;
  for (auto name = names.rbegin(); name != names.rend(); ++name, --number) {
    if (query.below != 0 && number >= query.below) continue;
    if (items.items.size() >= query.limit) {
      items.is_last = false;
      break;
    }
    const auto path = fmt::format("{}/{}", top, *name);
    COORD_CHECK(path == release_path(query.name, number), "releases have no gap", path);
    auto item = item_of(look.tree, path, *look.tree.get(path));
    item.release = number;
    items.items.push_back(std::move(item));
  }
  auto answer = answer_with(std::move(items));
  answer.etag = state.changed;
  return answer;
}

// Adds one release and its value to an answer, or says why there is none.
std::optional<Answer> add_release(const Query& query, const Look& look, const State& state,
                                  std::uint64_t number, Items& items, std::vector<Blob>& values) {
  const auto path = release_path(query.name, number);
  const auto node = look.tree.get(path);
  if (!node) return no_release(query.name, state, number);
  auto item = item_of(look.tree, path, *node);
  item.release = number;
  items.items.push_back(std::move(item));
  values.push_back(look.tree.value_of(path));
  return std::nullopt;
}

Answer release(const Query& query, const Look& look, const State& state) {
  Items items;
  std::vector<Blob> values;
  if (auto none = add_release(query, look, state, query.from, items, values)) return *none;
  auto answer = answer_with(std::move(items));
  answer.values = std::move(values);
  answer.etag = Zxid(query.from);
  return answer;
}

Answer pair(const Query& query, const Look& look, const State& state) {
  if (!state.is_live) return no_config(query.name);
  const auto to = query.to != 0 ? query.to : state.last;
  const auto from = query.from != 0 ? query.from : to - 1;
  Items items;
  std::vector<Blob> values;
  if (from == 0) {  // Before the first release there was nothing.
    items.items.emplace_back();
    values.emplace_back();
  } else if (auto none = add_release(query, look, state, from, items, values)) {
    return *none;
  }
  if (auto none = add_release(query, look, state, to, items, values)) return *none;
  auto answer = answer_with(std::move(items));
  answer.values = std::move(values);
  answer.etag = Zxid(to);
  return answer;
}

Answer schema(const Query& query, const Look& look, const State& state) {
  const auto path = part_path(query.name, "schema");
  const auto node = look.tree.get(path);
  if (!node) {
    if (!state.is_live) return no_config(query.name);
    return refusal(Code::not_found, fmt::format("{} has no schema", query.name));
  }
  return one(item_of(look.tree, path, *node), look.tree.value_of(path), node->stat.mzxid);
}

Answer gray(const Query& query, const Look& look, const State& state) {
  const auto path = part_path(query.name, "gray");
  const auto node = look.tree.get(path);
  if (!node) {
    if (!state.is_live) return no_config(query.name);
    return refusal(Code::not_found, fmt::format("{} has no gray value", query.name));
  }
  auto item = item_of(look.tree, path, *node);
  item.release = state.last;
  item.is_gray = true;
  if (const auto rule = look.tree.get(path + "/rule")) item.rule = rule_of(rule->value);
  const auto etag = Zxid(kGrayTag | item.revision.value());
  return one(std::move(item), look.tree.value_of(path), etag);
}

// What is missing stands as an empty item: the step says what is wrong with that.
Answer basis(const Query& query, const Look& look) {
  Items items;
  std::vector<Blob> values;
  const auto add = [&](const std::string& path) {
    const auto node = look.tree.get(path);
    items.items.push_back(node ? item_of(look.tree, path, *node) : Item{});
    values.push_back(node ? look.tree.value_of(path) : Blob());
  };
  add(part_path(query.name, "schema"));
  if (query.act == Act::roll_back) add(release_path(query.name, query.from));
  if (query.act == Act::promote) add(part_path(query.name, "gray"));
  auto answer = answer_with(std::move(items));
  answer.values = std::move(values);
  return answer;
}

}  // namespace

Answer view(std::string_view bytes, const Look& look) {
  Query query;
  COORD_CHECK(decode(bytes, query), "a query that is answered decodes");
  if (query.ask == Ask::list) return list(query, look);
  const auto path = path_of(Kind::config, query.name);
  // A basis is asked for on behalf of somebody who is about to publish.
  const bool is_basis = query.ask == Ask::basis;
  const auto wanted = is_basis ? znode::Permission::write : znode::Permission::read;
  if (look.tree.get(path) && look.tree.check_access(path, wanted, look.identities) != Code::ok) {
    return refusal(Code::forbidden, fmt::format("{} may not be {} by this caller", query.name,
                                                is_basis ? "changed" : "read"));
  }
  const auto state = state_of(look.tree, query.name);
  switch (query.ask) {
    case Ask::present:
      return present(query, look, state);
    case Ask::releases:
      return releases(query, look, state);
    case Ask::release:
      return release(query, look, state);
    case Ask::pair:
      return pair(query, look, state);
    case Ask::schema:
      return schema(query, look, state);
    case Ask::gray:
      return gray(query, look, state);
    case Ask::basis:
      return basis(query, look);
    case Ask::list:
      break;
  }
  return refusal(Code::internal, "no such question");
}

}  // namespace coord::recipes::config
