#include "coord/disk/posix_disk.hpp"

#include <gtest/gtest.h>
#include <sys/resource.h>

#include <csignal>

#include "tests/unit/disk/temporary_directory.hpp"

namespace coord::disk {
namespace {

TEST(PosixDisk, directories_are_made_with_their_parents) {
  const TemporaryDirectory directory;
  const auto path = directory.path() + "/a/b/c/";
  ASSERT_TRUE(open_posix_disk(path));
  EXPECT_TRUE(std::filesystem::is_directory(path));
}

TEST(PosixDisk, a_second_opening_of_a_directory_is_refused_until_the_first_is_gone) {
  const TemporaryDirectory directory;
  auto first = open_posix_disk(directory.path());
  ASSERT_TRUE(first);
  const auto second = open_posix_disk(directory.path());
  ASSERT_FALSE(second);
  EXPECT_NE(second.error().message.find("in use"), std::string::npos);
  first.value().reset();
  EXPECT_TRUE(open_posix_disk(directory.path()));
}

TEST(PosixDisk, a_path_that_is_a_file_is_an_error) {
  const TemporaryDirectory directory;
  auto disk = open_posix_disk(directory.path()).value();
  ASSERT_TRUE(disk->open("file", true));
  const auto opened = open_posix_disk(directory.path() + "/file/below");
  ASSERT_FALSE(opened);
  EXPECT_FALSE(opened.error().message.empty());
}

TEST(PosixDisk, a_write_that_fits_only_in_part_fails_and_names_the_file) {
  const TemporaryDirectory directory;
  auto disk = open_posix_disk(directory.path()).value();
  auto file = disk->open("file", true).value();
  ::signal(SIGXFSZ, SIG_IGN);
  rlimit old{};
  ASSERT_EQ(::getrlimit(RLIMIT_FSIZE, &old), 0);
  rlimit bound = old;
  bound.rlim_cur = 1000;
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &bound), 0);
  const auto written = file->write_at(0, std::string(2000, 'x'));
  ASSERT_EQ(::setrlimit(RLIMIT_FSIZE, &old), 0);
  ASSERT_FALSE(written);
  EXPECT_NE(written.error().message.find("/file"), std::string::npos);
}

TEST(PosixDisk, a_full_device_is_disk_full) {
  const TemporaryDirectory directory;
  auto disk = open_posix_disk(directory.path()).value();
  std::filesystem::create_symlink("/dev/full", directory.path() + "/full");
  auto file = disk->open("full", false).value();
  const auto written = file->write_at(0, "x");
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().failure, Failure::disk_full);
}

}  // namespace
}  // namespace coord::disk
