// The library aborts on what it does not like, unless it may throw.
#define VALIJSON_USE_EXCEPTIONS 1
// The library brings std::regex, which g++ 12 warns about when the sanitizers are on.
#ifndef __clang__
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include "api/config_check.hpp"

#include <fmt/format.h>
#include <pthread.h>
#include <re2/re2.h>

#include <algorithm>
#include <array>
#include <map>
#include <memory>
#include <new>
#include <nlohmann/json.hpp>
#include <set>
#include <stdexcept>
#include <valijson/adapters/nlohmann_json_adapter.hpp>
#include <valijson/constraint_builder.hpp>
#include <valijson/schema.hpp>
#include <valijson/schema_parser.hpp>
#include <valijson/validation_results.hpp>
#include <valijson/validator.hpp>

#include "api/bodies.hpp"
#include "api/text.hpp"
#include "coord/recipes/config_limits.hpp"

namespace coord::api {
namespace {

using Json = nlohmann::json;
using Adapter = valijson::adapters::NlohmannJsonAdapter;

constexpr std::size_t kStepsMax =
    200'000;  // Pairs of a schema and a value that one check may visit.
constexpr std::size_t kPlaceDepthMax = 50;  // Schemas on the same value, one within the other.
constexpr std::size_t kNameBytesMax = 256;  // Of a property that patternProperties look at.
constexpr std::int64_t kRegexMemory = 1 << 20;
constexpr std::size_t kStackBytes = std::size_t{256}
                                    << 20;  // Reserved, not used but for deep ones.

// Keywords of our own in the copy that valijson sees: patterns are RE2's, and each visit is
// counted.
constexpr const char* kPatternKey = "x-coord-pattern";
constexpr const char* kStepKey = "x-coord-step";

// ---- the library calls these for every value that it looks at

struct TooExpensive : std::runtime_error {
  TooExpensive() : std::runtime_error("the check takes too many steps") {}
};

// A constraint of our own. Budgets and expressions live as long as the check.
class OwnConstraint : public valijson::constraints::PolyConstraint {
 public:
  OwnConstraint(std::size_t* budget, const re2::RE2* pattern)
      : budget_(budget), pattern_(pattern) {}
  bool validate(const valijson::adapters::Adapter& target, const std::vector<std::string>& context,
                valijson::ValidationResults* results) const override {
    if (pattern_ == nullptr) {
      if ((*budget_)-- == 0) throw TooExpensive();
      return true;
    }
    if (!target.isString() || re2::RE2::PartialMatch(target.asString(), *pattern_)) return true;
    if (results != nullptr) {
      results->pushError(context,
                         fmt::format("does not match the pattern {}", pattern_->pattern()));
    }
    return false;
  }

 private:
  valijson::constraints::Constraint* cloneInto(void* memory) const override {
    return new (memory) OwnConstraint(*this);
  }
  [[nodiscard]] std::size_t sizeOf() const override { return sizeof *this; }

  std::size_t* budget_;
  const re2::RE2* pattern_;
};

using Expressions = std::map<std::string, std::unique_ptr<re2::RE2>>;

class OwnBuilder : public valijson::ConstraintBuilder {
 public:
  OwnBuilder(std::size_t* budget, const Expressions* expressions)
      : budget_(budget), expressions_(expressions) {}
  valijson::constraints::Constraint* make(const valijson::adapters::Adapter& value) const override {
    if (expressions_ == nullptr) return new OwnConstraint(budget_, nullptr);
    return new OwnConstraint(budget_, expressions_->at(value.asString()).get());
  }

 private:
  std::size_t* budget_;
  const Expressions* expressions_;
};

// ---- a schema before the library sees it

// Looks through a schema and the references in it: refuses what would be costly, endless, or
// fetched from elsewhere, and puts our own keywords in.
class Preparation {
 public:
  explicit Preparation(Json& root) : root_(root) {}
  // What is wrong, or nothing.
  std::string run() {
    visit(root_, 0);
    return std::move(wrong_);
  }
  [[nodiscard]] const Expressions& expressions() const noexcept { return expressions_; }
  [[nodiscard]] bool has_pattern_properties() const noexcept { return has_pattern_properties_; }

 private:
  enum class Mark : std::uint8_t { open, done };

  void fail(std::string what) {
    if (wrong_.empty()) wrong_ = std::move(what);
  }

  // `place`: how many schemas on the same value stand around this one. Marks are of the chain on
  // the same value: a schema that is met again while it is open would never end.
  void visit(Json& schema, std::size_t place) {
    if (!wrong_.empty() || schema.is_boolean()) return;
    if (!schema.is_object()) return fail("a schema is an object, or true or false");
    if (place > kPlaceDepthMax) return fail("too many schemas stand one within the other");
    const auto [mark, is_new] = marks_.try_emplace(&schema, Mark::open);
    if (!is_new) {
      if (mark->second == Mark::open && open_.contains(&schema)) {
        fail("a reference leads round in a circle on the same value");
      } else if (mark->second == Mark::done && depth_[&schema] + place > kPlaceDepthMax) {
        fail("too many schemas stand one within the other");
      }
      return;
    }
    open_.insert(&schema);
    const auto deepest_before = std::exchange(deepest_, place);
    if (schema.contains("$ref")) {
      visit_reference(schema, place);
    } else {
      visit_same_value(schema, place);
    }
    open_.erase(&schema);
    depth_[&schema] = deepest_ - place;
    deepest_ = std::max(deepest_, deepest_before);
    if (wrong_.empty() && !schema.contains("$ref")) {
      // Parts of the value: a chain of its own, that may come back to here.
      const auto open = std::exchange(open_, {});
      const auto deepest = std::exchange(deepest_, 0);
      visit_parts(schema);
      open_ = open;
      deepest_ = deepest;
      if (wrong_.empty()) take_patterns(schema);
      schema[kStepKey] = true;
    }
    marks_[&schema] = Mark::done;
  }

  void visit_reference(const Json& schema, std::size_t place) {
    const auto& reference = schema["$ref"];
    if (!reference.is_string()) return fail("$ref is a string");
    const auto& text = reference.get_ref<const std::string&>();
    if (text != "#" && !text.starts_with("#/")) {
      return fail(
          fmt::format("$ref {}: a reference must lead into the same document (#/...)", text));
    }
    auto* target = &root_;
    if (text != "#") {
      std::string pointer;
      if (!percent_decode(std::string_view(text).substr(1), false, pointer)) {
        return fail(fmt::format("$ref {} is malformed", text));
      }
      target = find(pointer);
    }
    if (target == nullptr) return fail(fmt::format("$ref {} leads nowhere", text));
    visit(*target, place + 1);
    deepest_ = std::max(deepest_, place + 1);
  }

  Json* find(const std::string& pointer) {
    try {
      const Json::json_pointer at(pointer);
      return root_.contains(at) ? &root_[at] : nullptr;
    } catch (const Json::exception&) {
      return nullptr;
    }
  }

  void each_of(Json& schema, const char* keyword, std::size_t place) {
    const auto list = schema.find(keyword);
    if (list == schema.end()) return;
    if (!list->is_array() || list->empty()) return fail(fmt::format("{} is a list", keyword));
    for (auto& one : *list) visit(one, place + 1);
  }

  void visit_same_value(Json& schema, std::size_t place) {
    for (const auto* keyword : {"allOf", "anyOf", "oneOf"}) each_of(schema, keyword, place);
    for (const auto* keyword : {"not", "if", "then", "else"}) {
      if (schema.contains(keyword)) visit(schema[keyword], place + 1);
    }
    if (schema.contains("dependencies") && schema["dependencies"].is_object()) {
      for (auto& one : schema["dependencies"]) {
        if (!one.is_array() && !one.is_string()) visit(one, place + 1);
      }
    }
    deepest_ = std::max(deepest_, place);
  }

  void visit_parts(Json& schema) {
    for (const auto* keyword :
         {"additionalItems", "additionalProperties", "contains", "propertyNames"}) {
      if (schema.contains(keyword)) visit(schema[keyword], 0);
    }
    if (schema.contains("items")) {
      auto& items = schema["items"];
      if (items.is_array()) {
        for (auto& one : items) visit(one, 0);
      } else {
        visit(items, 0);
      }
    }
    for (const auto* keyword : {"properties", "patternProperties", "definitions", "$defs"}) {
      const auto map = schema.find(keyword);
      if (map == schema.end()) continue;
      if (!map->is_object()) return fail(fmt::format("{} is an object", keyword));
      for (auto& one : *map) visit(one, 0);
    }
  }

  void take_patterns(Json& schema) {
    if (schema.contains("patternProperties")) {
      has_pattern_properties_ = true;
      for (const auto& [pattern, ignored] : schema["patternProperties"].items()) {
        if (!is_cheap(pattern)) {
          return fail(fmt::format("patternProperties: {} may take too long to match", pattern));
        }
        compile(pattern);
      }
    }
    const auto pattern = schema.find("pattern");
    if (pattern == schema.end()) return;
    if (!pattern->is_string()) return fail("a pattern is a string");
    const auto text = pattern->get<std::string>();
    compile(text);
    schema.erase("pattern");
    schema[kPatternKey] = text;
  }

  void compile(const std::string& pattern) {
    if (expressions_.contains(pattern)) return;
    re2::RE2::Options options;
    options.set_log_errors(false);
    options.set_max_mem(kRegexMemory);
    auto expression = std::make_unique<re2::RE2>(pattern, options);
    if (!expression->ok()) {
      return fail(fmt::format("the pattern {}: {}", pattern, expression->error()));
    }
    expressions_.emplace(pattern, std::move(expression));
  }

  // The library matches names of properties by backtracking: no group is repeated, and few things
  // are optional.
  static bool is_cheap(std::string_view pattern) {
    std::size_t repeats = 0;
    for (std::size_t i = 0; i < pattern.size(); ++i) {
      const char c = pattern[i];
      if (c == '\\') {
        ++i;
      } else if (c == '*' || c == '+' || c == '{' || c == '?') {
        if (i > 0 && pattern[i - 1] == ')') return false;
        const bool is_group = c == '?' && i > 0 && pattern[i - 1] == '(';
        if (!is_group && ++repeats > 3) return false;
      }
    }
    return true;
  }

  Json& root_;
  std::string wrong_;
  std::map<const Json*, Mark> marks_;
  std::map<const Json*, std::size_t> depth_;  // Of schemas that are done: levels on the same value.
  std::set<const Json*> open_;
  std::size_t deepest_ = 0;
  Expressions expressions_;
  bool has_pattern_properties_ = false;
};

// ---- the check itself

// "<root>", "[port]", "[0]" -> "/port/0".
std::string pointer_of(const std::vector<std::string>& context) {
  std::string pointer;
  for (std::size_t i = 1; i < context.size(); ++i) {
    std::string_view part = context[i];
    if (part.starts_with('[') && part.ends_with(']')) part = part.substr(1, part.size() - 2);
    pointer += '/';
    for (const char c : part) {
      if (c == '~') {
        pointer += "~0";
      } else if (c == '/') {
        pointer += "~1";
      } else {
        pointer += c;
      }
    }
  }
  return pointer;
}

// What the library found, the most telling first: the deepest one.
Misfit misfit_of(valijson::ValidationResults& results) {
  Misfit best;
  std::size_t depth = 0;
  valijson::ValidationResults::Error error;
  while (results.popError(error)) {
    if (!best.reason.empty() && error.context.size() <= depth) continue;
    depth = error.context.size();
    best = {pointer_of(error.context), error.description};
  }
  while (best.reason.ends_with('.')) best.reason.pop_back();
  if (best.reason.empty()) best.reason = "does not fit the schema";
  best.path.resize(std::min<std::size_t>(best.path.size(), 500));
  best.reason.resize(std::min<std::size_t>(best.reason.size(), 1'000));
  return best;
}

std::optional<std::string> long_name_in(const Json& value) {
  for (const auto& [name, part] : value.items()) {
    if (value.is_object() && name.size() > kNameBytesMax) return name;
    if (!part.is_structured()) continue;
    if (auto found = long_name_in(part)) return found;
  }
  return std::nullopt;
}

struct Compiled {
  std::string error;
  Json json;
  std::unique_ptr<Preparation> preparation;
  std::size_t budget = kStepsMax;
  valijson::Schema schema;
};

void compile(std::string_view text, Compiled& out) {
  if (text.size() > kConfigLimits.schema_bytes_max) {
    out.error = "it is too large";
    return;
  }
  if (const auto problem = check_json(text)) {
    out.error = problem.detail;
    return;
  }
  out.json = Json::parse(text.begin(), text.end(), nullptr, false);
  out.preparation = std::make_unique<Preparation>(out.json);
  out.error = out.preparation->run();
  if (!out.error.empty()) return;
  valijson::SchemaParser parser(valijson::SchemaParser::kDraft7);
  parser.addConstraintBuilder(kStepKey, new OwnBuilder(&out.budget, nullptr));
  parser.addConstraintBuilder(kPatternKey,
                              new OwnBuilder(&out.budget, &out.preparation->expressions()));
  try {
    parser.populateSchema(Adapter(out.json), out.schema);
  } catch (const std::exception& error) {
    out.error = error.what();
  }
}

std::optional<Misfit> check(std::string_view schema, std::string_view text) {
  Compiled compiled;
  compile(schema, compiled);
  if (!compiled.error.empty()) return Misfit{{}, "the schema is unusable: " + compiled.error};
  if (const auto problem = check_json(text)) return Misfit{{}, "the value is not JSON"};
  const auto value = Json::parse(text.begin(), text.end(), nullptr, false);
  if (compiled.preparation->has_pattern_properties() && value.is_structured()) {
    if (const auto name = long_name_in(value)) {
      return Misfit{{},
                    fmt::format("names of more than {} bytes cannot be matched", kNameBytesMax)};
    }
  }
  valijson::Validator validator(valijson::Validator::kStrongTypes);
  valijson::ValidationResults results;
  try {
    if (validator.validate(compiled.schema, Adapter(value), &results)) return std::nullopt;
  } catch (const std::exception& error) {
    return Misfit{{}, fmt::format("it cannot be checked: {}", error.what())};
  }
  return misfit_of(results);
}

// ---- on a stack of its own

template <class Work>
void on_large_stack(Work work) {
  pthread_attr_t attributes;
  pthread_t thread{};
  pthread_attr_init(&attributes);
  pthread_attr_setstacksize(&attributes, kStackBytes);
  const auto run = [](void* it) -> void* {
    (*static_cast<Work*>(it))();
    return nullptr;
  };
  const int failed = pthread_create(&thread, &attributes, run, &work);
  pthread_attr_destroy(&attributes);
  if (failed != 0) throw std::bad_alloc();  // No memory for a stack: as for anything else.
  pthread_join(thread, nullptr);
}

}  // namespace

std::string schema_error(std::string_view schema) {
  std::string wrong;
  on_large_stack([&] {
    Compiled compiled;
    compile(schema, compiled);
    wrong = std::move(compiled.error);
  });
  return wrong;
}

std::optional<Misfit> check_value(std::string_view schema, std::string_view value) {
  std::optional<Misfit> misfit;
  on_large_stack([&] { misfit = check(schema, value); });
  return misfit;
}

}  // namespace coord::api
