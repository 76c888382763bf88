// Config: where a value comes from, what is refused, what --check-config prints.
#include "coord/server/config.hpp"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

namespace coord::server {
namespace {

class ConfigTest : public testing::Test {
 protected:
  void SetUp() override { clear(); }
  void TearDown() override { clear(); }
  static void clear() {
    for (const auto* name : {"COORD_DATA", "COORD_ID", "COORD_HTTP", "COORD_CONFIG",
                             "COORD_CORS_ORIGIN", "COORD_VALUE_MAX"}) {
      ::unsetenv(name);
    }
  }
  static std::variant<Config, ExitNow> read(std::vector<std::string> arguments) {
    std::vector<const char*> argv = {"coordd"};
    for (const auto& argument : arguments) argv.push_back(argument.c_str());
    return read_config(static_cast<int>(argv.size()), argv.data());
  }
  static Config config(std::vector<std::string> arguments) {
    auto result = read(std::move(arguments));
    EXPECT_TRUE(std::holds_alternative<Config>(result));
    return std::holds_alternative<Config>(result) ? std::get<Config>(result) : Config();
  }
  // -1: it did not end.
  static int exit_code(std::vector<std::string> arguments) {
    const auto result = read(std::move(arguments));
    return std::holds_alternative<ExitNow>(result) ? std::get<ExitNow>(result).code : -1;
  }
  static std::string file(std::string_view text) {
    auto path = testing::TempDir() + "coordd_config_test.conf";
    std::ofstream(path) << text;
    return path;
  }
};

TEST_F(ConfigTest, HasDefaultsThatServeOnLoopback) {
  const auto values = config({});
  EXPECT_EQ(values.data, "./data");
  EXPECT_EQ(values.http.host, "127.0.0.1");
  EXPECT_EQ(values.http.port, 7070);
  EXPECT_EQ(values.id, MemberId(1));
  EXPECT_EQ(values.limits.tree.value_bytes_max, kMiB);
  EXPECT_EQ(values.api.body_bytes_max, kMiB);
}

TEST_F(ConfigTest, AFlagWinsOverTheEnvironmentThatOverTheFileThatOverTheDefault) {
  const auto path = file("data = \"/from/file\"\nid = 7\nhttp = \"127.0.0.1:1\"\n");
  ::setenv("COORD_DATA", "/from/env", 1);
  ::setenv("COORD_ID", "8", 1);
  const auto values = config({"--config", path, "--data", "/from/flag"});
  EXPECT_EQ(values.data, "/from/flag");
  EXPECT_EQ(values.id, MemberId(8));
  EXPECT_EQ(values.http.port, 1);
  EXPECT_EQ(values.log_level, "info");
  EXPECT_EQ(config({"--config", path, "--data=/with/equals"}).data, "/with/equals");
  ::setenv("COORD_CONFIG", path.c_str(), 1);
  EXPECT_EQ(config({}).http.port, 1) << "the environment may name the file";
}

TEST_F(ConfigTest, SizesTakeUnits) {
  EXPECT_EQ(config({"--value-max", "4MiB"}).limits.tree.value_bytes_max, 4 * kMiB);
  EXPECT_EQ(config({"--value-max", "4MiB"}).api.body_bytes_max, 4 * kMiB);
  ::setenv("COORD_VALUE_MAX", "64KiB", 1);
  EXPECT_EQ(config({}).limits.tree.value_bytes_max, 64 * kKiB);
}

TEST_F(ConfigTest, OriginsMayRepeatAndStandInOneVariable) {
  const std::vector<std::string> want = {"https://a.example", "https://b.example"};
  EXPECT_EQ(config({"--cors-origin", want[0], "--cors-origin", want[1]}).api.cors_origins, want);
  ::setenv("COORD_CORS_ORIGIN", "https://a.example,https://b.example", 1);
  EXPECT_EQ(config({}).api.cors_origins, want);
}

TEST_F(ConfigTest, WhatIsWrongEndsWithCodeTwo) {
  const std::vector<std::pair<const char*, std::vector<std::string>>> cases = {
      {"an unknown flag", {"--dta", "x"}},
      {"an argument too many", {"serve"}},
      {"a port that is none", {"--http", "127.0.0.1:x"}},
      {"a port too large", {"--http", "127.0.0.1:70000"}},
      {"an id of zero", {"--id", "0"}},
      {"an unknown log level", {"--log-level", "loud"}},
      {"no size", {"--value-max", "much"}},
      {"a tiny log segment", {"--wal-segment", "4KiB"}},
      {"a file that is not there", {"--config", "/nonexistent/coordd.conf"}},
      {"an unknown name in the file", {"--config", file("dta = \"x\"\n")}},
  };
  for (const auto& [name, arguments] : cases) EXPECT_EQ(exit_code(arguments), 2) << name;
  ::setenv("COORD_ID", "many", 1);
  EXPECT_EQ(exit_code({}), 2) << "a variable is checked too";
}

TEST_F(ConfigTest, CheckingPrintsAFileThatReadsBackAlike) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(exit_code({"--check-config", "--id", "5", "--value-max", "2MiB"}), 0);
  const auto text = testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("# the configuration is fine"), std::string::npos);
  const auto again = config({"--config", file(text)});
  EXPECT_EQ(again.id, MemberId(5));
  EXPECT_EQ(again.limits.tree.value_bytes_max, 2 * kMiB);
}

TEST_F(ConfigTest, HelpAndVersionEndWell) {
  testing::internal::CaptureStdout();
  EXPECT_EQ(exit_code({"--help"}), 0);
  EXPECT_EQ(exit_code({"--version"}), 0);
  const auto text = testing::internal::GetCapturedStdout();
  EXPECT_NE(text.find("--check-config"), std::string::npos);
  EXPECT_NE(text.find(COORD_VERSION), std::string::npos);
}

TEST(Endpoint, IsHostAndPort) {
  struct Case {
    const char* text;
    const char* host;
    int port;
  };
  for (const auto& [text, host, port] : {Case{"127.0.0.1:80", "127.0.0.1", 80},
                                         {"[::1]:80", "::1", 80},
                                         {":80", "127.0.0.1", 80},
                                         {"80", "127.0.0.1", 80},
                                         {"0.0.0.0:0", "0.0.0.0", 0}}) {
    const auto endpoint = parse_endpoint(text);
    ASSERT_TRUE(endpoint) << text;
    EXPECT_EQ(endpoint->host, host) << text;
    EXPECT_EQ(endpoint->port, port) << text;
  }
  for (const auto* text :
       {"", "host:", "host", "::1:80", "host:65536", "host:-1", "host:8a", "[::1]"}) {
    EXPECT_FALSE(parse_endpoint(text)) << text;
  }
}

}  // namespace
}  // namespace coord::server
