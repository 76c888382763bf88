#include "cli/replace_file.hpp"

#include <gtest/gtest.h>
#include <sys/stat.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>

namespace coord::cli {
namespace {

namespace fs = std::filesystem;

struct Directory {
  std::string path = "/tmp/coord-replace-XXXXXX";
  Directory() { EXPECT_NE(::mkdtemp(path.data()), nullptr); }
  ~Directory() { fs::remove_all(path); }
};

std::string contents(const std::string& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

TEST(ReplaceFile, WritesAnewKeepsTheModeAndLeavesNothingBeside) {
  const Directory directory;
  const auto file = directory.path + "/app.conf";
  ASSERT_TRUE(replace_file(file, "one"));
  EXPECT_EQ(contents(file), "one");
  ASSERT_EQ(::chmod(file.c_str(), 0600), 0);
  ASSERT_TRUE(replace_file(file, ""));
  EXPECT_EQ(contents(file), "");
  struct stat there {};
  ASSERT_EQ(::stat(file.c_str(), &there), 0);
  EXPECT_EQ(there.st_mode & 07777, 0600U);
  EXPECT_EQ(std::distance(fs::directory_iterator(directory.path), {}), 1);
}

TEST(ReplaceFile, SaysWhatItCannotWrite) {
  const Directory directory;
  const auto failed = replace_file(directory.path + "/no/such", "x");
  ASSERT_FALSE(failed);
  EXPECT_NE(failed.error().message.find("/no/such"), std::string::npos);
}

}  // namespace
}  // namespace coord::cli
