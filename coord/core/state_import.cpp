// Imports: subtrees that are brought from another service and closed meanwhile.
//
// A node under /.coord/imports says of each: its value is the path of the subtree, a line feed (no
// path has one) and where it comes from. Its czxid tells what was in the subtree before from what
// the import brought.
#include <utility>

#include "coord/core/state_machine.hpp"
#include "znode/path.hpp"

namespace coord::core {
namespace {

constexpr std::string_view kImports = "/.coord/imports";

struct Mark {
  std::string_view path;
  std::string_view source;
};

Mark mark_of(std::string_view value) {
  const auto end = value.find('\n');
  if (end == std::string_view::npos) return {value, {}};
  return {value.substr(0, end), value.substr(end + 1)};
}

Outcome refused_import(znode::Outcome&& from) {
  auto outcome = refusal(from.code, std::move(from.path), std::move(from.detail));
  if (from.code == Code::node_exists) outcome.present = from.stat;
  return outcome;
}

bool may_import(const Command& command, Outcome& outcome) {
  if (is_operator(command.identities)) return true;
  outcome = refusal(Code::forbidden, {}, "an import takes an operator's right");
  return false;
}

}  // namespace

std::string StateMachine::import_into(std::string_view path) const {
  std::string mark;
  tree_.children(kImports, {}, {}, [&](std::string_view name, const znode::View& view) {
    if (mark_of(view.value).path != path) return true;
    mark = znode::join(kImports, name);
    return false;
  });
  return mark;
}

void StateMachine::refresh_closed() {
  std::vector<std::string> tops;
  tree_.children(kImports, {}, {}, [&](std::string_view, const znode::View& view) {
    tops.emplace_back(mark_of(view.value).path);
    return true;
  });
  tree_.set_closed(std::move(tops));
}

Outcome StateMachine::perform(const Command& command, const BeginImport& op) {
  Outcome outcome;
  if (!may_import(command, outcome)) return outcome;
  if (znode::is_system(op.path)) {
    return refusal(Code::forbidden, op.path, "what is the service's own is not imported");
  }
  if (op.source.size() > kImportSourceMax || op.source.find('\n') != std::string::npos) {
    return refusal(Code::invalid, op.path,
                   fmt::format("the source is one line of at most {} bytes", kImportSourceMax));
  }
  tree_.children(kImports, {}, {}, [&](std::string_view name, const znode::View& view) {
    const auto mark = mark_of(view.value);
    if (mark.path == op.path && mark.source == op.source) {
      outcome.result = Written{znode::join(kImports, name), view.stat, false, std::nullopt};
    } else if (znode::is_within(mark.path, op.path) || znode::is_within(op.path, mark.path)) {
      outcome =
          refusal(Code::node_exists, op.path,
                  fmt::format("an import into {} from {} is not finished", mark.path, mark.source));
    } else {
      return true;
    }
    return false;
  });
  if (outcome.code != Code::ok || std::holds_alternative<Written>(outcome.result)) return outcome;
  znode::CreateOptions options;
  options.with_parents = true;
  options.is_sequential = true;
  auto made =
      tree_.create(fmt::format("{}/", kImports), Blob(fmt::format("{}\n{}", op.path, op.source)),
                   std::move(options), command.identities);
  if (made.code != Code::ok) return refused_import(std::move(made));
  outcome.path = made.path;
  outcome.result = Written{std::move(made.path), made.stat, true, std::nullopt};
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const ImportNodes& op) {
  Outcome outcome;
  if (!may_import(command, outcome)) return outcome;
  const auto mark = import_into(op.path);
  if (mark.empty()) {
    return refusal(Code::not_found, op.path, fmt::format("no import into {} is open", op.path));
  }
  for (const auto& node : op.nodes) {
    if (!znode::is_within(node.path, op.path) || znode::is_system(node.path)) {
      return refusal(Code::bad_request, node.path,
                     fmt::format("the node is not in the subtree {}", op.path));
    }
    if (node.is_deleted && !tree_.get(node.path)) continue;
    auto done = node.is_deleted ? tree_.erase(node.path, {}, command.identities)
                                : tree_.restore(node.path, node.value, node.as);
    if (done.code != Code::ok) return refused_import(std::move(done));
  }
  outcome.path = mark;
  outcome.result = Written{mark, tree_.get(mark)->stat, false, std::nullopt};
  return outcome;
}

Outcome StateMachine::perform(const Command& command, const FinishImport& op) {
  Outcome outcome;
  if (!may_import(command, outcome)) return outcome;
  const auto mark = import_into(op.path);
  if (mark.empty()) {
    return refusal(Code::not_found, op.path, fmt::format("no import into {} is open", op.path));
  }
  auto gone = tree_.erase(mark, {}, command.identities);
  if (gone.code != Code::ok) return refused_import(std::move(gone));
  outcome.path = std::move(gone.path);
  outcome.result = Written{outcome.path, gone.stat, false, std::nullopt};
  return outcome;
}

}  // namespace coord::core
