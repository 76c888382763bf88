// LiveSource: the tree of a running ZooKeeper, read through a client.
//
// Reads three things of each node, many nodes at a time. What changes meanwhile may come half old,
// half new: who needs it exact walks again. It cannot see which nodes are containers or have a ttl,
// since ZooKeeper tells no client; `kinds` says so, if anybody knows.
#pragma once

#include <map>
#include <set>
#include <string>
#include <utility>

#include "cli/import_node.hpp"
#include "cli/zookeeper_client.hpp"

namespace coord::cli {

// Path -> kind and ttl, of the nodes that are not just persistent.
using ImportKinds = std::map<std::string, std::pair<ImportMode, std::int64_t>, std::less<>>;

class LiveSource final : public ImportSource {
 public:
  LiveSource(ZooKeeperClient& client, std::string top, ImportKinds kinds)
      : client_(client), top_(std::move(top)), kinds_(std::move(kinds)) {}

  [[nodiscard]] Outcome<void> walk(const Each& each) override;
  [[nodiscard]] std::size_t ephemerals() const noexcept override { return ephemerals_; }

  // The nodes of these paths as they are now; `gone` gets those that are not there, or ephemeral.
  [[nodiscard]] Outcome<void> read(const std::set<std::string>& paths, const Each& each,
                                   std::vector<std::string>& gone);
  // Asks to be told of every change. False: this server is too old for that.
  [[nodiscard]] Outcome<bool> watch();

 private:
  struct Reading;
  void ask_for(const std::string& path);
  [[nodiscard]] Outcome<Reading> read_one(const std::string& path);
  // So that what is read is not older than now.
  [[nodiscard]] Outcome<void> sync();

  ZooKeeperClient& client_;
  std::string top_;
  ImportKinds kinds_;
  std::size_t ephemerals_ = 0;
};

}  // namespace coord::cli
