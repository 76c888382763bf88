// backup and restore: all state of a cluster to a file, and a new cluster of one out of a file.
//
// The bytes are checked as they come, checksum by checksum, and the file gets its name only once
// its end has been seen and it is synced: what stands under that name is whole.
#include <fcntl.h>
#include <fmt/format.h>
#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <cerrno>
#include <chrono>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <memory>

#include "cli/text.hpp"
#include "cli/verbs.hpp"
#include "coord/disk/snapshot_stream.hpp"

namespace coord::cli {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kIdle = std::chrono::seconds(60);
constexpr auto kProgress = std::chrono::milliseconds(200);
constexpr mode_t kOwnerOnly = 0600;  // It holds the secrets of sessions.

Trouble cannot(std::string_view what, const std::string& name) {
  return {Exit::other, fmt::format("cannot {} {}: {}", what, name, std::strerror(errno)), {}};
}

// A file that has no name of its own until it is whole.
class PartFile {
 public:
  explicit PartFile(const std::string& name) : name_(name), part_(name + ".part") {}
  ~PartFile() {
    if (fd_ < 0) return;
    ::close(fd_);
    ::unlink(part_.c_str());
  }
  PartFile(const PartFile&) = delete;
  PartFile& operator=(const PartFile&) = delete;

  Outcome<void> open() {
    fd_ = ::open(part_.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, kOwnerOnly);
    if (fd_ < 0) return cannot("write", part_);
    return success();
  }
  Outcome<void> write(std::string_view bytes) {
    while (!bytes.empty()) {
      const auto n = ::write(fd_, bytes.data(), bytes.size());
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return cannot("write", part_);
      bytes.remove_prefix(static_cast<std::size_t>(n));
    }
    return success();
  }
  // Synced, then renamed, then the name is synced too.
  Outcome<void> keep() {
    if (::fsync(fd_) != 0) return cannot("sync", part_);
    if (::rename(part_.c_str(), name_.c_str()) != 0) return cannot("rename", part_);
    ::close(std::exchange(fd_, -1));
    const auto parent = std::filesystem::absolute(name_).parent_path().string();
    const int directory = ::open(parent.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (directory < 0) return cannot("open", parent);
    const bool is_synced = ::fsync(directory) == 0;
    ::close(directory);
    if (!is_synced) return cannot("sync", parent);
    return success();
  }

 private:
  std::string name_;
  std::string part_;
  int fd_ = -1;
};

std::string size_of(std::uint64_t bytes) {
  if (bytes < 1 << 20) return fmt::format("{:.1f} KiB", static_cast<double>(bytes) / 1024);
  return fmt::format("{:.1f} MiB", static_cast<double>(bytes) / (1 << 20));
}

// How far it has come: on a terminal alone, in one line.
class Progress {
 public:
  void show(std::uint64_t bytes) {
    if (!is_on_ || Clock::now() < next_) return;
    next_ = Clock::now() + kProgress;
    has_shown_ = true;
    fmt::print(stderr, "\r{} ", size_of(bytes));
  }
  ~Progress() {
    if (has_shown_) fmt::print(stderr, "\r\033[K");
  }

 private:
  const bool is_on_ = ::isatty(STDERR_FILENO) == 1;
  bool has_shown_ = false;
  Clock::time_point next_ = Clock::now() + kProgress;
};

Outcome<void> backup(const Context& context, const std::string& name) {
  PartFile file(name);
  COORD_TRY(file.open());
  disk::SnapshotDecoder decoder;
  const auto each = [](coord::Table, std::string_view, std::string_view) { return std::string(); };
  Outcome<void> written = success();
  Result<void> checked = success();
  std::uint64_t bytes = 0;
  Progress progress;
  const auto sink = [&](std::string_view piece) {
    checked = decoder.append(piece, each);
    if (checked) written = file.write(piece);
    bytes += piece.size();
    progress.show(bytes);
    return checked && written;
  };
  Target target("/v1/backup");
  if (context.client.options().is_timeout_given) {
    target.add("timeout", fmt::format("{}ms", context.client.options().timeout.count()));
  }
  COORD_TRY(const Answer answer,
            context.client.stream(
                {"GET", target.text(), {{"Accept", "application/octet-stream"}}, {}}, sink, kIdle));
  if (answer.status != 200) return trouble_of(answer.status, answer.body);
  if (!written) return written.error();
  if (checked) checked = decoder.finish();
  if (!checked || answer.is_cut) {
    return Trouble{Exit::unavailable,
                   fmt::format("the backup is not whole: {}",
                               checked ? "the connection was cut" : checked.error().message),
                   "nothing was kept of it; try again"};
  }
  COORD_TRY(file.keep());
  if (context.print.output() == Output::json) {
    context.print.json(
        Json{{"file", name}, {"revision", decoder.mark()->applied.value()}, {"bytes", bytes}});
  } else if (context.print.output() == Output::table) {
    context.print.line(fmt::format("backup {}  revision {}  {}", escaped(name),
                                   decoder.mark()->applied, size_of(bytes)));
  }
  return success();
}

Action define_backup(CLI::App& app) {
  auto name = std::make_shared<std::string>();
  app.add_option("FILE", *name, "where to; replaced when it is there")->required();
  return [name](Context& context) { return backup(context, *name); };
}

// ---- restore

// Beside this program, or in PATH.
std::string coordd() {
  std::error_code failure;
  const auto self = std::filesystem::read_symlink("/proc/self/exe", failure);
  if (!failure) {
    const auto beside = (self.parent_path() / "coordd").string();
    if (::access(beside.c_str(), X_OK) == 0) return beside;
  }
  return "coordd";
}

struct RestoreArgs {
  std::string file;
  std::string data;
  std::uint64_t id = 1;
};

Outcome<void> restore(const RestoreArgs& args) {
  const auto program = coordd();
  std::string id = std::to_string(args.id);
  std::vector<std::string> words{program, "--restore", args.file, "--data", args.data, "--id", id};
  std::vector<char*> argv;
  for (auto& word : words) argv.push_back(word.data());
  argv.push_back(nullptr);
  pid_t child = 0;
  if (const int error =
          ::posix_spawnp(&child, program.c_str(), nullptr, nullptr, argv.data(), environ)) {
    return Trouble{Exit::other, fmt::format("cannot run {}: {}", program, std::strerror(error)),
                   "coordd has to stand beside coordctl or in PATH"};
  }
  int status = 0;
  while (::waitpid(child, &status, 0) < 0) {
    if (errno != EINTR) return cannot("wait for", program);
  }
  if (WIFEXITED(status) && WEXITSTATUS(status) == 0) return success();
  return Trouble{Exit::other, fmt::format("{} was not restored", escaped(args.file)),
                 "coordd says above why"};
}

Action define_restore(CLI::App& app) {
  auto args = std::make_shared<RestoreArgs>();
  app.add_option("FILE", args->file, "a backup")->required();
  app.add_option("--data", args->data, "the new member's directory; missing or empty")
      ->required()
      ->type_name("DIR");
  app.add_option("--id", args->id, "the new member's id (1)")
      ->check(CLI::PositiveNumber)
      ->type_name("N");
  return [args](Context&) { return restore(*args); };
}

}  // namespace

const Verb kBackup{"backup", "write all state of the cluster to a file, while it serves",
                   "  coordctl backup /backup/coord-$(date +%F)\n"
                   "  coordctl --output json backup /backup/coord | jq .revision",
                   &define_backup};
const Verb kRestore{"restore", "make a new cluster of one out of a backup",
                    "  coordctl restore /backup/coord --data /var/lib/coord-new\n"
                    "  coordctl restore /backup/coord --data /var/lib/coord-new --id 4",
                    &define_restore};

}  // namespace coord::cli
