#include "coord/recipes/listing.hpp"

#include <fmt/format.h>

#include "coord/base/codec.hpp"

namespace coord::recipes {

void encode(const ListQuery& query, Writer& out) {
  out.bytes(query.after);
  out.varint(query.limit);
}

ListQuery decode_list_query(Reader& in) {
  ListQuery query;
  query.after = in.bytes();
  query.limit = in.varint32();
  if (query.limit == 0 || query.limit > kListMax) in.fail();
  return query;
}

bool decode(std::string_view bytes, ListResult& result) {
  Reader in(bytes);
  result.is_last = in.boolean();
  for (auto left = in.count(); left > 0; --left) {
    ListEntry entry;
    entry.name = in.bytes();
    entry.bytes = in.bytes();
    result.entries.push_back(std::move(entry));
  }
  return in.done();
}

Answer list_children(
    std::string_view path, const ListQuery& query, const Look& look,
    const std::function<std::string(std::string_view name, const znode::View&)>& each) {
  std::string body;
  Writer entries(body);
  std::size_t count = 0;
  bool is_last = true;
  look.tree.children(path, query.after, {}, [&](std::string_view name, const znode::View& node) {
    if (look.tree.check_access(fmt::format("{}/{}", path, name), znode::Permission::read,
                               look.identities) != Code::ok) {
      return true;
    }
    is_last = count < query.limit;
    if (!is_last) return false;
    ++count;
    entries.bytes(name);
    entries.bytes(each(name, node));
    return true;
  });
  Answer answer;
  Writer out(answer.bytes);
  out.boolean(is_last);
  out.varint(count);
  answer.bytes += body;
  return answer;
}

Answer list_recipe(
    Kind kind, const ListQuery& query, const Look& look,
    const std::function<std::string(std::string_view name, const znode::View&)>& each) {
  return list_children(fmt::format("{}/{}", kRoot, directory_of(kind)), query, look, each);
}

}  // namespace coord::recipes
