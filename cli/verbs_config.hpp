// What the sources of `coordctl config` share: who the client says it is.
#pragma once

#include <string>
#include <vector>

#include "cli/verbs.hpp"

namespace coord::cli {

// --label and --instance of a client.
struct ConfigClient {
  std::vector<std::string> labels;  // "zone=eu"
  std::string instance;
};
void add_client_options(CLI::App& app, ConfigClient& client);
// "label.zone=eu" and "instance=" on the target.
[[nodiscard]] Outcome<void> describe_client(const ConfigClient& client, Target& target);
// "/v1/config/NAME", and `rest` behind it.
[[nodiscard]] Target config_target(const std::string& name, std::string_view rest = {});

[[nodiscard]] Action define_config_watch(CLI::App& app);  // verbs_config_watch.cpp

}  // namespace coord::cli
