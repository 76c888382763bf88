#include "znode/path.hpp"

#include <fmt/format.h>

#include <algorithm>

#include "coord/base/check.hpp"

namespace coord::znode {
namespace {

constexpr std::uint32_t kMalformed = UINT32_MAX;

// The code point at `at`, which moves behind it; kMalformed (and `at` stays) if there is none.
std::uint32_t next_code_point(std::string_view text, std::size_t& at) noexcept {
  const auto byte = [&](std::size_t i) { return static_cast<std::uint8_t>(text[i]); };
  const std::uint32_t lead = byte(at);
  if (lead < 0x80) {
    ++at;
    return lead;
  }
  // The length of the sequence, and the least code point that needs it: overlong forms are refused.
  std::size_t length = 0;
  std::uint32_t least = 0;
  std::uint32_t code = 0;
  if ((lead & 0xe0) == 0xc0) {
    length = 2, least = 0x80, code = lead & 0x1f;
  } else if ((lead & 0xf0) == 0xe0) {
    length = 3, least = 0x800, code = lead & 0x0f;
  } else if ((lead & 0xf8) == 0xf0) {
    length = 4, least = 0x10000, code = lead & 0x07;
  } else {
    return kMalformed;
  }
  if (text.size() - at < length) return kMalformed;
  for (std::size_t i = 1; i < length; ++i) {
    if ((byte(at + i) & 0xc0) != 0x80) return kMalformed;
    code = code << 6 | (byte(at + i) & 0x3fU);
  }
  if (code < least || code > 0x10ffff || (code >= 0xd800 && code <= 0xdfff)) return kMalformed;
  at += length;
  return code;
}

// ZooKeeper's PathUtils, over the UTF-16 units of a Java string.
bool is_refused(std::uint32_t code) noexcept {
  return code <= 0x1f || (code >= 0x7f && code <= 0x9f) || (code >= 0xd800 && code <= 0xf8ff) ||
         code >= 0xfff0;
}

// `offset` is where the name starts, for the message.
PathProblem check_name(std::string_view name, std::size_t offset, std::string_view what,
                       const TreeLimits& limits) {
  if (name.empty()) {
    return {Code::bad_request, fmt::format("the {} has an empty segment at byte {}", what, offset)};
  }
  if (name == "." || name == "..") {
    return {Code::bad_request,
            fmt::format("the {} has the relative segment \"{}\" at byte {}", what, name, offset)};
  }
  for (std::size_t at = 0; at < name.size();) {
    const auto start = at;
    const auto first = static_cast<std::uint8_t>(name[at]);
    if (first >= 0x20 && first < 0x7f) {
      if (first == '/') {
        return {Code::bad_request, fmt::format("the {} has a / at byte {}", what, offset + start)};
      }
      ++at;
      continue;
    }
    const auto code = next_code_point(name, at);
    if (code == kMalformed) {
      return {Code::bad_request,
              fmt::format("the {} is not valid UTF-8 at byte {}", what, offset + start)};
    }
    if (is_refused(code)) {
      return {Code::bad_request, fmt::format("the {} has the character U+{:04X} at byte {}", what,
                                             code, offset + start)};
    }
  }
  if (name.size() > limits.name_bytes_max) {
    return {Code::too_large, fmt::format("a name of {} bytes is longer than name_bytes_max = {}",
                                         name.size(), limits.name_bytes_max)};
  }
  return {};
}

}  // namespace

PathProblem check_path(std::string_view path, const TreeLimits& limits) {
  if (path.empty()) return {Code::bad_request, "the path is empty"};
  if (path.front() != '/') return {Code::bad_request, "the path does not start with /"};
  if (path.size() > limits.path_bytes_max) {
    return {Code::too_large, fmt::format("a path of {} bytes is longer than path_bytes_max = {}",
                                         path.size(), limits.path_bytes_max)};
  }
  if (path.size() == 1) return {};
  if (path.back() == '/') return {Code::bad_request, "the path ends in /"};
  std::size_t depth = 0;
  for (std::size_t start = 1; start <= path.size();) {
    const auto end = std::min(path.find('/', start), path.size());
    if (auto problem = check_name(path.substr(start, end - start), start, "path", limits);
        problem.code != Code::ok) {
      return problem;
    }
    ++depth;
    start = end + 1;
  }
  if (depth > limits.depth_max) {
    return {Code::too_large, fmt::format("a path of {} segments is deeper than depth_max = {}",
                                         depth, limits.depth_max)};
  }
  return {};
}

std::string path_error(std::string_view path, const TreeLimits& limits) {
  return check_path(path, limits).detail;
}

std::string name_error(std::string_view name, const TreeLimits& limits) {
  if (name.empty()) return "the name is empty";
  return check_name(name, 0, "name", limits).detail;
}

bool is_valid_utf8(std::string_view text) noexcept {
  for (std::size_t at = 0; at < text.size();) {
    if (next_code_point(text, at) == kMalformed) return false;
  }
  return true;
}

std::string_view parent_of(std::string_view path) noexcept {
  COORD_CHECK(path.size() > 1 && path.front() == '/', "a path below the root", path);
  const auto slash = path.rfind('/');
  return path.substr(0, slash == 0 ? 1 : slash);
}

std::string_view name_of(std::string_view path) noexcept {
  COORD_CHECK(path.size() > 1 && path.front() == '/', "a path below the root", path);
  return path.substr(path.rfind('/') + 1);
}

std::string join(std::string_view parent, std::string_view name) {
  std::string path;
  path.reserve(parent.size() + 1 + name.size());
  if (parent != "/") path += parent;
  path += '/';
  path += name;
  return path;
}

bool is_within(std::string_view path, std::string_view top) noexcept {
  if (top == "/") return !path.empty() && path.front() == '/';
  return path.starts_with(top) && (path.size() == top.size() || path[top.size()] == '/');
}

bool is_system(std::string_view path) noexcept {
  return is_within(path, kServicePath) || is_within(path, kZooKeeperPath);
}

}  // namespace coord::znode
