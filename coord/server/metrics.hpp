// Metrics: what /metrics shows, by prometheus-cpp.
//
// Counters on the hot path are plain numbers of the loop; they become Prometheus' only when
// somebody asks. Names start with coord_; units are seconds and bytes.
#pragma once

#include <prometheus/registry.h>

#include <array>
#include <cstdint>
#include <memory>
#include <string>

#include "coord/core/node.hpp"

namespace coord::disk {
class Wal;
class StateStore;
}  // namespace coord::disk

namespace coord::server {

class PeerLinks;

class Metrics {
 public:
  Metrics();
  ~Metrics();

  void turn(std::size_t events) {
    ++turns_;
    events_ += events;
  }
  void batch(std::size_t entries) {
    ++batches_;
    entries_ += entries;
  }
  void sync(std::int64_t nanoseconds);
  // From the turn that an entry was proposed in, by this leader, to the one that saw it committed.
  void commit(std::int64_t nanoseconds);
  void election() { ++elections_; }
  void leader_change() { ++leader_changes_; }
  void checkpoint(std::size_t records, std::int64_t milliseconds);

  // Prometheus' text format.
  [[nodiscard]] std::string text(const core::Node& node, const disk::Wal& wal,
                                 const disk::StateStore& store, std::size_t connections,
                                 const PeerLinks* links);

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
  std::uint64_t turns_ = 0;
  std::uint64_t events_ = 0;
  std::uint64_t batches_ = 0;
  std::uint64_t entries_ = 0;
  std::uint64_t elections_ = 0;
  std::uint64_t leader_changes_ = 0;
};

}  // namespace coord::server
