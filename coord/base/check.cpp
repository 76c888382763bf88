#include "coord/base/check.hpp"

#include <cstdio>
#include <cstdlib>

namespace coord {

void check_failed(const char* condition, const char* file, int line,
                  std::string_view message) noexcept {
  std::fprintf(stderr, "check failed: %.*s (%s) at %s:%d\n", static_cast<int>(message.size()),
               message.data(), condition, file, line);
  std::fflush(stderr);
  std::abort();
}

}  // namespace coord
