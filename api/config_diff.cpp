#include "api/config_diff.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <vector>

#include "znode/path.hpp"

namespace coord::api {
namespace {

using Lines = std::vector<std::string_view>;

constexpr std::size_t kContext = 3;
constexpr std::size_t kEditsMax =
    1'000;  // Beyond it the middle is replaced whole: O(n d) time, O(d^2) memory.

enum class Kind : char { same = ' ', removed = '-', added = '+' };
struct Edit {
  Kind kind;
  std::string_view line;
};

// Each with its "\n", but perhaps the last.
Lines lines_of(std::string_view text) {
  Lines lines;
  while (!text.empty()) {
    const auto end = text.find('\n');
    const auto size = end == std::string_view::npos ? text.size() : end + 1;
    lines.push_back(text.substr(0, size));
    text.remove_prefix(size);
  }
  return lines;
}

bool is_text(std::string_view bytes) {
  return znode::is_valid_utf8(bytes) && bytes.find('\0') == std::string_view::npos;
}

// Myers' greedy algorithm: the shortest script from `a` to `b`, or none beyond kEditsMax.
bool shortest(const Lines& a, const Lines& b, std::vector<Edit>& out) {
  const auto n = static_cast<std::ptrdiff_t>(a.size());
  const auto m = static_cast<std::ptrdiff_t>(b.size());
  const auto most = std::min<std::ptrdiff_t>(n + m, kEditsMax);
  std::vector<std::ptrdiff_t> far(static_cast<std::size_t>(2 * most + 3), 0);
  const auto at = [most](std::ptrdiff_t k) { return static_cast<std::size_t>(k + most + 1); };
  std::vector<std::vector<std::ptrdiff_t>> trace;  // Of each d: the furthest x for k = -d..d.
  std::ptrdiff_t found = -1;
  for (std::ptrdiff_t d = 0; d <= most && found < 0; ++d) {
    std::vector<std::ptrdiff_t> row;
    row.reserve(static_cast<std::size_t>(d + 1));
    for (std::ptrdiff_t k = -d; k <= d; k += 2) {
      const bool is_down = k == -d || (k != d && far[at(k - 1)] < far[at(k + 1)]);
      auto x = is_down ? far[at(k + 1)] : far[at(k - 1)] + 1;
      while (x < n && x - k < m &&
             a[static_cast<std::size_t>(x)] == b[static_cast<std::size_t>(x - k)])
        ++x;
      far[at(k)] = x;
      row.push_back(x);
      if (x >= n && x - k >= m) found = d;
    }
    trace.push_back(std::move(row));
  }
  if (found < 0) return false;
  const auto reached = [&](std::ptrdiff_t d, std::ptrdiff_t k) {
    return trace[static_cast<std::size_t>(d)][static_cast<std::size_t>((k + d) / 2)];
  };
  auto x = n;
  auto y = m;
  for (auto d = found; d >= 0; --d) {
    const auto k = x - y;
    std::ptrdiff_t from_x = 0;
    std::ptrdiff_t from_y = 0;
    bool is_down = false;
    if (d > 0) {
      is_down = k == -d || (k != d && reached(d - 1, k - 1) < reached(d - 1, k + 1));
      const auto from_k = is_down ? k + 1 : k - 1;
      from_x = reached(d - 1, from_k);
      from_y = from_x - from_k;
    }
    const auto head = d == 0 ? 0 : is_down ? from_x : from_x + 1;  // Where the common run begins.
    for (; x > head; --x, --y) out.push_back({Kind::same, a[static_cast<std::size_t>(x - 1)]});
    if (d == 0) break;
    if (is_down) {
      out.push_back({Kind::added, b[static_cast<std::size_t>(from_y)]});
    } else {
      out.push_back({Kind::removed, a[static_cast<std::size_t>(from_x)]});
    }
    x = from_x;
    y = from_y;
  }
  std::reverse(out.begin(), out.end());
  return true;
}

std::vector<Edit> edits_between(Lines a, Lines b) {
  std::vector<Edit> head;
  std::size_t common = 0;
  while (common < std::min(a.size(), b.size()) && a[common] == b[common]) ++common;
  for (std::size_t i = 0; i < common; ++i) head.push_back({Kind::same, a[i]});
  a.erase(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(common));
  b.erase(b.begin(), b.begin() + static_cast<std::ptrdiff_t>(common));
  std::vector<Edit> tail;
  while (!a.empty() && !b.empty() && a.back() == b.back()) {
    tail.push_back({Kind::same, a.back()});
    a.pop_back();
    b.pop_back();
  }
  std::vector<Edit> middle;
  if (!shortest(a, b, middle)) {
    middle.clear();
    for (const auto line : a) middle.push_back({Kind::removed, line});
    for (const auto line : b) middle.push_back({Kind::added, line});
  }
  head.insert(head.end(), middle.begin(), middle.end());
  head.insert(head.end(), tail.rbegin(), tail.rend());
  return head;
}

std::string range(std::size_t first, std::size_t count) {
  // An empty range names the line before it, as diff does.
  const auto shown = count == 0 ? first : first + 1;
  return count == 1 ? fmt::format("{}", shown) : fmt::format("{},{}", shown, count);
}

// One hunk: edits [begin, end), of which the first stands at these lines of both texts.
void append_hunk(std::string& out, const std::vector<Edit>& edits, std::size_t begin,
                 std::size_t end, std::size_t from_line, std::size_t to_line) {
  std::size_t from_count = 0;
  std::size_t to_count = 0;
  for (auto i = begin; i < end; ++i) {
    from_count += edits[i].kind != Kind::added ? 1 : 0;
    to_count += edits[i].kind != Kind::removed ? 1 : 0;
  }
  out += fmt::format("@@ -{} +{} @@\n", range(from_line, from_count), range(to_line, to_count));
  for (auto i = begin; i < end; ++i) {
    out += static_cast<char>(edits[i].kind);
    out += edits[i].line;
    if (!edits[i].line.ends_with('\n')) out += "\n\\ No newline at end of file\n";
  }
}

}  // namespace

std::string unified_diff(std::string_view from, std::string_view to, const DiffNames& names) {
  if (from == to) return {};
  if (!is_text(from) || !is_text(to)) {
    return fmt::format("Binary values {} and {} differ\n", names.from, names.to);
  }
  const auto edits = edits_between(lines_of(from), lines_of(to));
  auto out = fmt::format("--- {}\n+++ {}\n", names.from, names.to);
  std::size_t from_line = 0;  // Of the edit `i`.
  std::size_t to_line = 0;
  std::size_t i = 0;
  while (i < edits.size()) {
    if (edits[i].kind == Kind::same) {
      ++i, ++from_line, ++to_line;
      continue;
    }
    const auto before = std::min(i, kContext);
    const auto begin = i - before;
    // The hunk goes on while the next change is near enough to share its context.
    auto end = i;
    std::size_t quiet = 0;
    for (auto j = i; j < edits.size() && quiet <= 2 * kContext; ++j) {
      quiet = edits[j].kind == Kind::same ? quiet + 1 : 0;
      if (quiet == 0) end = j + 1;
    }
    end = std::min(end + kContext, edits.size());
    append_hunk(out, edits, begin, end, from_line - before, to_line - before);
    for (; i < end; ++i) {
      from_line += edits[i].kind != Kind::added ? 1 : 0;
      to_line += edits[i].kind != Kind::removed ? 1 : 0;
    }
  }
  return out;
}

}  // namespace coord::api
