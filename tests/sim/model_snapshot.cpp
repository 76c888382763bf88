// The snapshots of a ModelStore: the real bytes, over records in memory.
#include <iterator>
#include <utility>

#include "coord/base/check.hpp"
#include "coord/disk/snapshot_stream.hpp"
#include "tests/sim/model_store.hpp"

namespace coord::sim {

class ModelSource final : public disk::SnapshotSource {
 public:
  explicit ModelSource(const ModelStore& store) : mark_(*store.mark_), records_(store.records_) {
    encoder_.begin(mark_, buffer_);
    at_ = records_.begin();
  }
  core::CheckpointMark mark() const override { return mark_; }
  bool has_ended() const override { return has_ended_ && buffer_.empty(); }
  Result<std::string> read(std::size_t bytes_max) override {
    for (; buffer_.size() < bytes_max && at_ != records_.end(); ++at_) {
      encoder_.record(at_->first.first, at_->first.second, at_->second, buffer_);
    }
    if (at_ == records_.end() && !std::exchange(has_ended_, true)) encoder_.end(buffer_);
    auto bytes = buffer_.substr(0, bytes_max);
    buffer_.erase(0, bytes.size());
    return bytes;
  }

 private:
  core::CheckpointMark mark_;
  std::map<ModelStore::Key, std::string> records_;
  std::map<ModelStore::Key, std::string>::const_iterator at_;
  disk::SnapshotEncoder encoder_;
  std::string buffer_;
  bool has_ended_ = false;
};

class ModelSink final : public disk::SnapshotSink {
 public:
  explicit ModelSink(const ModelStore& owner) : owner_(owner) {}
  Result<void> append(std::string_view bytes) override {
    if (owner_.faults.is_full) return error(Failure::disk_full, "no space left");
    return decoder_.append(bytes,
                           [this](Table table, std::string_view key, std::string_view value) {
                             store_.records_.emplace(ModelStore::Key(table, key), value);
                             return std::string();
                           });
  }
  Result<core::CheckpointMark> finish() override {
    if (owner_.faults.is_full) return error(Failure::disk_full, "no space left");
    COORD_TRY(decoder_.finish());
    store_.mark_ = decoder_.mark();
    return *store_.mark_;
  }
  const disk::StateStore& store() const override { return store_; }

 private:
  friend class ModelStore;
  const ModelStore& owner_;
  ModelStore store_;
  disk::SnapshotDecoder decoder_;
};

Result<std::unique_ptr<disk::SnapshotSource>> ModelStore::snapshot() const {
  if (!mark_) return error(Failure::invalid, "there is no checkpoint yet");
  return std::unique_ptr<disk::SnapshotSource>(std::make_unique<ModelSource>(*this));
}

Result<std::unique_ptr<disk::SnapshotSink>> ModelStore::receive() {
  return std::unique_ptr<disk::SnapshotSink>(std::make_unique<ModelSink>(*this));
}

Result<void> ModelStore::adopt(std::unique_ptr<disk::SnapshotSink> sink) {
  auto& received = dynamic_cast<ModelSink&>(*sink);
  COORD_CHECK(received.store_.mark_, "a snapshot is adopted when it is whole");
  records_ = std::move(received.store_.records_);
  mark_ = received.store_.mark_;
  before_.clear();
  mark_before_.reset();
  can_fall_back_ = false;
  is_unsynced_ = faults.adopts_unsynced;
  if (!std::exchange(faults.adopts_part, false)) return success();
  lose_half();
  set_digest();
  return error(Failure::io, "the power is gone");
}

// The later records, but not those without which nothing can be read at all.
void ModelStore::lose_half() {
  if (records_.empty()) return;
  auto middle = records_.begin();
  std::advance(middle, static_cast<std::ptrdiff_t>(records_.size() / 2));
  std::erase_if(records_, [at = middle->first](const auto& record) {
    return record.first > at && record.first.first != Table::meta &&
           record.first.first != Table::members;
  });
}

}  // namespace coord::sim
