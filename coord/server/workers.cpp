#include "coord/server/workers.hpp"

#include <pthread.h>
#include <sched.h>

#include <boost/asio/post.hpp>
#include <chrono>
#include <utility>

#include "coord/server/log.hpp"

namespace coord::server {
namespace {

using Clock = std::chrono::steady_clock;

// More than the node ever has under way.
constexpr std::size_t kReadsMax = 1'000'000;
constexpr std::size_t kWorkMax = 64;
// A checkpoint so soon after the last one began: the writers are waiting for the store.
constexpr auto kBusy = std::chrono::seconds(1);
// Fewer changes than this for each record: most records are new, or scattered.
constexpr std::size_t kChangesOfUpdates = 2;
constexpr auto kInstallWriteMax = std::chrono::seconds(2);
constexpr auto kStoreFullRetry = std::chrono::milliseconds(200);

// With time to spare the store's thread runs only while nobody else wants the processor. Refused:
// then as the others.
void yield_to_others(pthread_t thread, bool yields) {
  const sched_param none{};
  pthread_setschedparam(thread, yields ? SCHED_IDLE : SCHED_OTHER, &none);
}

void name_thread(const char* name) { pthread_setname_np(pthread_self(), name); }

}  // namespace

// ---------------------------------------------------------------- DiskWorker

DiskWorker::DiskWorker(boost::asio::io_context& loop, disk::Wal& wal, Done done)
    : loop_(loop), wal_(wal), done_(std::move(done)), requests_(1), thread_([this] { run(); }) {}

DiskWorker::~DiskWorker() {
  requests_.close();
  thread_.join();
}

void DiskWorker::sync() { requests_.put(0); }

void DiskWorker::run() {
  name_thread("coordd-disk");
  while (!requests_.wait().empty()) {
    const auto start = Clock::now();
    auto result = wal_.sync();
    const auto took =
        std::chrono::duration_cast<std::chrono::nanoseconds>(Clock::now() - start).count();
    boost::asio::post(loop_, [this, took, result = std::move(result)] { done_(result, took); });
  }
}

// ---------------------------------------------------------------- StoreWorker

StoreWorker::StoreWorker(boost::asio::io_context& loop, disk::StateStore& store,
                         core::StateLimits limits, Done done, Full full, Wrote wrote,
                         GiveBack give_back)
    : loop_(loop),
      store_(store),
      done_(std::move(done)),
      full_(std::move(full)),
      wrote_(std::move(wrote)),
      give_back_(std::move(give_back)),
      snapshots_(store, limits),
      work_(kWorkMax),
      thread_([this] { run(); }) {}

StoreWorker::~StoreWorker() {
  is_stopping_ = true;
  hurry();
  work_.close();
  thread_.join();
}

void StoreWorker::hurry() {
  yield_to_others(thread_.native_handle(), false);
  store_.hurry();
}

void StoreWorker::hurry_late_install() {
  const Clock::time_point since{Clock::duration(install_write_since_)};
  if (since == Clock::time_point() || Clock::now() - since < kInstallWriteMax) return;
  is_install_late_ = true;
  yield_to_others(thread_.native_handle(), false);
}

void StoreWorker::commit(core::Checkpoint checkpoint) { work_.put(std::move(checkpoint)); }

void StoreWorker::write(core::SnapshotWrite write) { work_.put(std::move(write)); }

void StoreWorker::run() {
  name_thread("coordd-store");
  for (auto work = work_.wait(); !work.empty(); work = work_.wait()) {
    for (auto& one : work) {
      while (!std::visit([this](auto& w) { return carry_out(w); }, one)) {
        if (is_stopping_) return;
        std::this_thread::sleep_for(kStoreFullRetry);
      }
    }
  }
}

bool StoreWorker::carry_out(const core::SnapshotWrite& write) {
  // What the member serves and acknowledges meanwhile comes first.
  if (write.kind == core::SnapshotWrite::Kind::begin) is_install_late_ = false;
  install_write_since_ = Clock::now().time_since_epoch().count();
  yield_to_others(pthread_self(), !is_stopping_ && !is_install_late_);
  auto result = snapshots_.write(write);
  install_write_since_ = 0;
  if (!result) {
    if (result.error().failure != Failure::disk_full) {
      log_and_die("a snapshot cannot be installed: {}", result.error().message);
    }
    boost::asio::post(loop_, [this] { full_(true); });
    return false;
  }
  if (!result.value()) return true;
  boost::asio::post(loop_, [this, done = std::move(*result.value())]() mutable {
    full_(false);
    wrote_(std::move(done));
  });
  return true;
}

bool StoreWorker::carry_out(core::Checkpoint& checkpoint) {
  const auto start = Clock::now();
  const bool is_busy = start - std::exchange(last_start_, start) <= kBusy;
  yield_to_others(pthread_self(), !is_busy && !is_stopping_);
  const auto result = store_.commit(checkpoint);
  if (!result) {
    if (result.error().failure != Failure::disk_full) {
      log_and_die("the checkpoint cannot be written: {}", result.error().message);
    }
    boost::asio::post(loop_, [this] { full_(true); });
    return false;
  }
  Written written;
  written.index = checkpoint.applied;
  written.records = checkpoint.records.size() + checkpoint.changes.size();
  written.milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(Clock::now() - start).count();
  // The records are freed here, not on the loop: there may be a hundred thousand.
  const bool is_bulk =
      is_busy && checkpoint.changes.size() < checkpoint.records.size() * kChangesOfUpdates;
  checkpoint = core::Checkpoint();
  if (is_bulk && give_back_) give_back_();
  boost::asio::post(loop_, [this, written] {
    full_(false);
    done_(written);
  });
  return true;
}

// ---------------------------------------------------------------- ReadWorker

ReadWorker::ReadWorker(boost::asio::io_context& loop, const disk::StateStore& store, Done done,
                       Sent sent)
    : loop_(loop),
      store_(store),
      done_(std::move(done)),
      sent_(std::move(sent)),
      snapshots_(store),
      work_(kReadsMax),
      thread_([this] { run(); }) {}

ReadWorker::~ReadWorker() {
  work_.close();
  thread_.join();
}

void ReadWorker::ask(core::StoreRead read) { work_.put(std::move(read)); }

void ReadWorker::read(core::SnapshotRead read) { work_.put(read); }

void ReadWorker::run() {
  name_thread("coordd-read");
  core::StoreReader reader;
  reader.scan = [this](Table table, std::string_view from, std::string_view to,
                       const std::function<bool(std::string_view, std::string_view)>& each) {
    const auto result = store_.scan(table, from, to, each);
    return result ? std::string() : result.error().message;
  };
  reader.get = [this](Table table, std::string_view key, std::optional<std::string>& bytes) {
    auto result = store_.get(table, key);
    if (!result) return result.error().message;
    bytes = std::move(result.value());
    return std::string();
  };
  for (auto work = work_.wait(); !work.empty(); work = work_.wait()) {
    for (const auto& one : work) {
      if (const auto* read = std::get_if<core::StoreRead>(&one)) {
        boost::asio::post(loop_, [this, found = core::answer(*read, reader)]() mutable {
          done_(std::move(found));
        });
      } else if (auto piece = snapshots_.read(std::get<core::SnapshotRead>(one))) {
        boost::asio::post(loop_,
                          [this, found = std::move(*piece)]() mutable { sent_(std::move(found)); });
      }
    }
  }
}

}  // namespace coord::server
