// The threads beside the loop: DiskWorker syncs the log, StoreWorker writes checkpoints, ReadWorker
// looks up the past.
//
// Each takes values from a mailbox and posts its result back to the loop's executor. None of them
// decides anything. Destruction finishes what is under way and joins.
#pragma once

#include <atomic>
#include <boost/asio/io_context.hpp>
#include <chrono>
#include <functional>
#include <thread>
#include <variant>

#include "coord/base/result.hpp"
#include "coord/core/changes.hpp"
#include "coord/core/checkpoint.hpp"
#include "coord/core/snapshot.hpp"
#include "coord/disk/state_store.hpp"
#include "coord/disk/wal.hpp"
#include "coord/server/mailbox.hpp"
#include "coord/server/snapshots.hpp"

namespace coord::server {

// Runs Wal::sync() once for each request; one is under way at a time.
class DiskWorker {
 public:
  // `done` runs on the loop, with how long the sync took in nanoseconds.
  using Done = std::function<void(Result<void>, std::int64_t nanoseconds)>;
  DiskWorker(boost::asio::io_context& loop, disk::Wal& wal, Done done);
  ~DiskWorker();
  void sync();

 private:
  void run();
  boost::asio::io_context& loop_;
  disk::Wal& wal_;
  Done done_;
  Mailbox<char> requests_;
  std::thread thread_;
};

// Commits checkpoints to the store and fills the one that a snapshot brings, in the order in which
// it is asked. A full disk is tried again until there is room.
class StoreWorker {
 public:
  struct Written {
    Index index;
    std::size_t records = 0;
    std::int64_t milliseconds = 0;
  };
  using Done = std::function<void(const Written&)>;
  using Full = std::function<void(bool is_full)>;
  using Wrote = std::function<void(core::SnapshotWritten)>;
  // `give_back` is called on the store's thread with every checkpoint of a bulk load: what it took
  // is not wanted again, as what updates take is.
  using GiveBack = std::function<void()>;
  StoreWorker(boost::asio::io_context& loop, disk::StateStore& store, core::StateLimits limits,
              Done done, Full full, Wrote wrote, GiveBack give_back);
  ~StoreWorker();
  // Requires: none is under way.
  void commit(core::Checkpoint checkpoint);
  // The commit under way takes too long: no pauses any more, and its share of the processor.
  void hurry();
  // To be called now and then: an install of which one write takes too long at idle priority has
  // its share of the processor from then on, or a busy machine could put it off for ever.
  void hurry_late_install();
  void write(core::SnapshotWrite write);

 private:
  using Work = std::variant<core::Checkpoint, core::SnapshotWrite>;
  using Clock = std::chrono::steady_clock;
  void run();
  // False: the disk is full, the same has to be tried again.
  bool carry_out(core::Checkpoint& checkpoint);
  bool carry_out(const core::SnapshotWrite& write);
  boost::asio::io_context& loop_;
  disk::StateStore& store_;
  Done done_;
  Full full_;
  Wrote wrote_;
  GiveBack give_back_;
  SnapshotWriter snapshots_;  // Of the store thread.
  Mailbox<Work> work_;
  Clock::time_point last_start_;                     // Of the store thread.
  std::atomic<Clock::rep> install_write_since_ = 0;  // Of the write under way; 0: none.
  std::atomic<bool> is_install_late_ = false;
  std::atomic<bool> is_stopping_ = false;  // Before the thread that reads it.
  std::thread thread_;
};

// Answers questions about the past from read transactions, and reads the snapshots that others
// pull.
class ReadWorker {
 public:
  using Done = std::function<void(core::StoreAnswer)>;
  using Sent = std::function<void(core::SnapshotWasRead)>;
  ReadWorker(boost::asio::io_context& loop, const disk::StateStore& store, Done done, Sent sent);
  ~ReadWorker();
  void ask(core::StoreRead read);
  void read(core::SnapshotRead read);

 private:
  void run();
  boost::asio::io_context& loop_;
  const disk::StateStore& store_;
  Done done_;
  Sent sent_;
  SnapshotReader snapshots_;  // Of the reader thread.
  Mailbox<std::variant<core::StoreRead, core::SnapshotRead>> work_;
  std::thread thread_;
};

}  // namespace coord::server
