// Paths: ZooKeeper's rules, checked once.
//
// A path is absolute, "/"-separated UTF-8; no empty segment, no "." or "..", no NUL, no control
// characters (U+0000-U+001F, U+007F-U+009F), none of U+D800-U+F8FF (surrogates and the private
// range) and U+FFF0-U+FFFF, and nothing above U+FFFF: a Java string holds that as surrogates, which
// ZooKeeper's PathUtils refuses. "/" is the root; no other path ends
// in "/".
#pragma once

#include <array>
#include <string>
#include <string_view>

#include "coord/base/code.hpp"
#include "coord/base/limits.hpp"

namespace coord::znode {

// What is wrong with a path, in words for people ("the path has an empty segment at byte 3"), or
// empty if it is valid. check_path() says the same with a code.
struct PathProblem {
  Code code = Code::ok;  // ok, bad_request, or too_large when only a limit is exceeded.
  std::string detail;
};
[[nodiscard]] PathProblem check_path(std::string_view path, const TreeLimits& limits = {});
[[nodiscard]] std::string path_error(std::string_view path, const TreeLimits& limits = {});
// The same for one segment.
[[nodiscard]] std::string name_error(std::string_view name, const TreeLimits& limits = {});
[[nodiscard]] bool is_valid_utf8(std::string_view text) noexcept;

// What every tree has besides its root, parents first.
inline constexpr std::string_view kServicePath = "/.coord";
inline constexpr std::string_view kZooKeeperPath = "/zookeeper";
inline constexpr std::string_view kConfigPath = "/zookeeper/config";
inline constexpr std::string_view kQuotaPath = "/zookeeper/quota";
inline constexpr std::array kSystemPaths = {kServicePath, kZooKeeperPath, kConfigPath, kQuotaPath};

// "/a/b" -> "/a", "/a" -> "/". Requires: a valid path that is not the root.
[[nodiscard]] std::string_view parent_of(std::string_view path) noexcept;
// "/a/b" -> "b". Requires: a valid path that is not the root.
[[nodiscard]] std::string_view name_of(std::string_view path) noexcept;
// "/a" + "b" -> "/a/b", "/" + "b" -> "/b".
[[nodiscard]] std::string join(std::string_view parent, std::string_view name);
// Is `path` the node `top` or below it?
[[nodiscard]] bool is_within(std::string_view path, std::string_view top) noexcept;
// Is it "/.coord", "/zookeeper" or below: left out of listings, walks and watches from above?
[[nodiscard]] bool is_system(std::string_view path) noexcept;

}  // namespace coord::znode
