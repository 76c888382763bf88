#include "cli/print.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <memory>

#include "cli/text.hpp"
#include "coord/base/check.hpp"

namespace coord::cli {
namespace {

std::string_view code_of(Colour colour) {
  switch (colour) {
    case Colour::none:
      return "";
    case Colour::bold:
      return "\x1b[1m";
    case Colour::dim:
      return "\x1b[2m";
    case Colour::red:
      return "\x1b[31m";
    case Colour::green:
      return "\x1b[32m";
    case Colour::yellow:
      return "\x1b[33m";
    case Colour::blue:
      return "\x1b[1;34m";
    case Colour::cyan:
      return "\x1b[36m";
  }
  return "";
}

void append_row(std::string& out, const std::vector<Cell>& cells,
                const std::vector<std::size_t>& widths, const std::vector<Column>& columns,
                bool with_colours) {
  for (std::size_t i = 0; i < cells.size(); ++i) {
    const bool is_last = i + 1 == cells.size();
    const std::string padding(widths[i] - width_of(cells[i].text), ' ');
    const std::string text = coloured(cells[i].text, cells[i].colour, with_colours);
    if (columns[i].is_right) {
      out += padding + text;
    } else {
      out += is_last ? text : text + padding;
    }
    out += is_last ? "" : "  ";
  }
  out.erase(out.find_last_not_of(' ') + 1);
  out += '\n';
}

const Json* find(const Json& object, std::string_view key) {
  if (!object.is_object()) return nullptr;
  const auto found = object.find(std::string(key));
  return found == object.end() || found->is_null() ? nullptr : &*found;
}

struct Branch {
  std::string suffix;
  Colour colour = Colour::none;
  std::map<std::string, std::unique_ptr<Branch>, std::less<>> children;
};

// A tree is as deep as the server's paths, at most 128, so recursion is bounded.
void draw_branch(const Branch& branch, const std::string& indent, bool with_colours,
                 std::string& out) {
  std::size_t left = branch.children.size();
  for (const auto& [name, child] : branch.children) {
    const bool is_last = --left == 0;
    out += indent + (is_last ? "└── " : "├── ") +
           coloured(escaped(name), child->colour, with_colours) + child->suffix + "\n";
    draw_branch(*child, indent + (is_last ? "    " : "│   "), with_colours, out);
  }
}

}  // namespace

std::string coloured(std::string_view text, Colour colour, bool is_on) {
  if (!is_on || colour == Colour::none) return std::string(text);
  return std::string(code_of(colour)).append(text).append("\x1b[0m");
}

void Table::row(std::vector<Cell> cells) {
  COORD_CHECK(cells.size() == columns_.size(), "a cell for each column");
  rows_.push_back(std::move(cells));
}

std::string Table::text(bool with_colours) const {
  std::vector<Cell> titles;
  std::vector<std::size_t> widths;
  for (const Column& column : columns_) {
    titles.push_back({std::string(column.title), Colour::bold});
    widths.push_back(width_of(column.title));
  }
  for (const auto& cells : rows_) {
    for (std::size_t i = 0; i < cells.size(); ++i) {
      widths[i] = std::max(widths[i], width_of(cells[i].text));
    }
  }
  std::string out;
  append_row(out, titles, widths, columns_, with_colours);
  for (const auto& cells : rows_) append_row(out, cells, widths, columns_, with_colours);
  return out;
}

void Printer::json(const Json& value) const {
  line(value.dump(is_terminal_ ? 2 : -1, ' ', false, Json::error_handler_t::replace));
}

void Printer::json_body(std::string_view body) const {
  if (is_terminal_) {
    const Json value = Json::parse(body, nullptr, false);
    if (!value.is_discarded()) return json(value);
  }
  while (body.ends_with('\n')) body.remove_suffix(1);
  line(body);
}

void Printer::note(std::string_view text) const {
  // In order with what stands on stdout, where both are one terminal or one file.
  std::fflush(stdout);
  std::fwrite(text.data(), 1, text.size(), stderr);
  std::fputc('\n', stderr);
}

std::string text_of(const Json& object, std::string_view key) {
  const Json* value = find(object, key);
  if (value == nullptr) return "-";
  if (value->is_string()) return escaped(value->get_ref<const std::string&>());
  return value->dump(-1, ' ', false, Json::error_handler_t::replace);
}

std::string time_of(const Json& object, std::string_view key) {
  const Json* value = find(object, key);
  if (value == nullptr) return "-";
  if (value->is_number_integer()) return format_time(value->get<std::int64_t>());
  if (!value->is_string()) return "-";
  std::string text = escaped(value->get_ref<const std::string&>());
  const std::size_t point = text.find('.');
  if (point != std::string::npos && text.ends_with('Z')) text = text.substr(0, point) + "Z";
  return text;
}

std::string mode_of(const Json& stat) {
  if (const Json* mode = find(stat, "mode"); mode != nullptr && mode->is_string()) {
    return escaped(mode->get_ref<const std::string&>());
  }
  return find(stat, "ephemeral_owner") != nullptr ? "ephemeral" : "persistent";
}

std::string value_bytes_of(const Json& object) {
  const Json* value = find(object, "value");
  if (value == nullptr || !value->is_string()) return {};
  const auto& text = value->get_ref<const std::string&>();
  const Json* encoding = find(object, "encoding");
  if (encoding == nullptr || *encoding != "base64") return text;
  return base64_decoded(text).value_or(std::string());
}

std::string value_cell_of(const Json& object, std::size_t columns) {
  if (find(object, "value") == nullptr) return "-";
  const std::string bytes = value_bytes_of(object);
  const Json* encoding = find(object, "encoding");
  if (encoding != nullptr && *encoding == "base64") return fmt::format("<{} bytes>", bytes.size());
  return shortened(escaped(bytes), columns);
}

Table long_listing(const std::vector<LongEntry>& entries) {
  Table table({{"NAME"},
               {"TYPE"},
               {"VERSION", true},
               {"SIZE", true},
               {"CHILDREN", true},
               {"MODIFIED"},
               {"SESSION"}});
  for (const LongEntry& entry : entries) {
    const std::string children = text_of(entry.stat, "num_children");
    const bool has_children = children != "0" && children != "-";
    const std::string mode = mode_of(entry.stat);
    const Colour colour = has_children          ? Colour::blue
                          : mode == "ephemeral" ? Colour::yellow
                                                : Colour::none;
    table.row({{escaped(entry.name) + (has_children ? "/" : ""), colour},
               {mode},
               {text_of(entry.stat, "version")},
               {text_of(entry.stat, "data_length")},
               {children},
               {time_of(entry.stat, "mtime"), Colour::dim},
               {entry.session}});
  }
  return table;
}

std::string draw_tree(std::string_view top, std::vector<TreeNode> nodes, bool with_colours) {
  Branch root;
  for (TreeNode& node : nodes) {
    std::string_view rest = node.path;
    if (top != "/") rest.remove_prefix(std::min(rest.size(), top.size()));
    Branch* at = &root;
    while (!rest.empty()) {
      if (rest.front() == '/') rest.remove_prefix(1);
      const std::string_view name = rest.substr(0, rest.find('/'));
      rest.remove_prefix(name.size());
      if (name.empty()) continue;
      auto& child = at->children[std::string(name)];
      if (!child) child = std::make_unique<Branch>();
      at = child.get();
    }
    at->suffix = std::move(node.suffix);
    at->colour = node.colour;
  }
  std::string out = coloured(escaped(top), Colour::blue, with_colours) + root.suffix + "\n";
  draw_branch(root, "", with_colours, out);
  return out;
}

}  // namespace coord::cli
