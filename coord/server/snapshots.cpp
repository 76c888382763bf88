#include "coord/server/snapshots.hpp"

#include <utility>

namespace coord::server {

Result<std::shared_ptr<core::LoadedState>> load_state(const disk::StateStore& store,
                                                      const core::StateLimits& limits) {
  COORD_TRY(const auto mark, store.mark());
  if (!mark) return error(Failure::invalid, "the store is empty");
  core::StateLoader loader(limits);
  COORD_TRY(store.load([&](Table table, std::string_view key, std::string_view bytes) {
    return loader.take(table, key, bytes);
  }));
  if (auto problem = loader.done(*mark); !problem.empty()) {
    return error(Failure::corrupt, "{}", problem);
  }
  return std::move(loader).loaded();
}

std::optional<core::SnapshotWasRead> SnapshotReader::read(const core::SnapshotRead& read) {
  if (read.bytes_max == 0) {
    sources_.erase(read.stream);
    return std::nullopt;
  }
  core::SnapshotWasRead found;
  found.stream = read.stream;
  auto& source = sources_[read.stream];
  if (!source) {
    auto opened = store_.snapshot();
    if (!opened) {
      sources_.erase(read.stream);
      found.error = opened.error().message;
      return found;
    }
    source = std::move(opened).value();
  }
  auto bytes = source->read(read.bytes_max);
  if (!bytes) {
    sources_.erase(read.stream);
    found.error = bytes.error().message;
    return found;
  }
  found.mark = {source->mark().applied, source->mark().applied_term};
  found.bytes = std::move(bytes).value();
  found.is_last = source->has_ended();
  // The transaction of a source that is read to its end is over, and so is the need for it.
  if (found.is_last) sources_.erase(read.stream);
  return found;
}

Result<std::optional<core::SnapshotWritten>> SnapshotWriter::write(
    const core::SnapshotWrite& write) {
  if (write.kind == core::SnapshotWrite::Kind::drop) {
    sink_.reset();
    return std::optional<core::SnapshotWritten>();
  }
  core::SnapshotWritten done{write.install, write.kind, {}, nullptr};
  if (auto result = carry_out(write, done); !result) {
    // Only bytes that came from another member may be bad without this disk being so.
    const bool is_foreign = result.error().failure == Failure::corrupt &&
                            (write.kind == core::SnapshotWrite::Kind::append ||
                             write.kind == core::SnapshotWrite::Kind::finish);
    if (!is_foreign) return std::move(result).error();
    sink_.reset();
    done.error = result.error().message;
  }
  return std::optional<core::SnapshotWritten>(std::move(done));
}

Result<void> SnapshotWriter::carry_out(const core::SnapshotWrite& write,
                                       core::SnapshotWritten& done) {
  using Kind = core::SnapshotWrite::Kind;
  if (write.kind == Kind::begin) {
    sink_.reset();
    install_ = write.install;
    COORD_TRY(sink_, store_.receive());
    return success();
  }
  if (!sink_ || install_ != write.install) {
    return error(Failure::corrupt, "the install {} was given up", write.install);
  }
  if (write.kind == Kind::append) return sink_->append(write.bytes);
  if (write.kind == Kind::adopt) return store_.adopt(std::move(sink_));
  COORD_TRY(sink_->finish());
  COORD_TRY(done.loaded, load_state(sink_->store(), limits_));
  return success();
}

}  // namespace coord::server
