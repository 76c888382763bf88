// Mailbox: moved values from one thread to another, bounded, drained whole.
//
// One of the two places of the project where a mutex stands (the other is inside prometheus-cpp).
// put() is called by one side, wait() by the other; the receiver is woken only when the mailbox
// turns from empty to non-empty.
#pragma once

#include <condition_variable>
#include <cstddef>
#include <deque>
#include <mutex>
#include <utility>

#include "coord/base/check.hpp"

namespace coord::server {

template <class T>
class Mailbox {
 public:
  explicit Mailbox(std::size_t bound) : bound_(bound) {}

  // Requires: fewer than `bound` values are inside; the sender counts what is under way.
  void put(T value) {
    bool was_empty = false;
    {
      const std::lock_guard lock(mutex_);
      COORD_CHECK(values_.size() < bound_, "a mailbox is not overrun", bound_);
      was_empty = values_.empty();
      values_.push_back(std::move(value));
    }
    if (was_empty) wake_.notify_one();
  }
  // Waits until there is something or the mailbox was closed; empty: closed, and nothing is left.
  [[nodiscard]] std::deque<T> wait() {
    std::unique_lock lock(mutex_);
    wake_.wait(lock, [this] { return !values_.empty() || is_closed_; });
    return std::exchange(values_, {});
  }
  void close() {
    {
      const std::lock_guard lock(mutex_);
      is_closed_ = true;
    }
    wake_.notify_one();
  }

 private:
  std::mutex mutex_;
  std::condition_variable wake_;
  std::deque<T> values_;
  std::size_t bound_;
  bool is_closed_ = false;
};

}  // namespace coord::server
