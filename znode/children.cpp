#include "znode/children.hpp"

#include <algorithm>
#include <cstring>
#include <new>

#include "coord/base/check.hpp"
#include "coord/base/checksum.hpp"
#include "znode/node.hpp"

namespace coord::znode {
namespace {

constexpr std::uint32_t kChunkMax = 64;
constexpr std::uint32_t kMergeMax = 48;  // Below kChunkMax, or a merge would soon be split again.
constexpr std::uint32_t kSparse = 16;
constexpr std::uint32_t kStep = 8;

using Tag = std::uint16_t;

Tag tag_of(std::string_view name) noexcept { return static_cast<Tag>(checksum(name)); }

// Numbers in the order of the names, but that names may share one.
std::uint64_t key_of_name(std::string_view name, std::size_t common) noexcept {
  std::uint64_t key = 0;
  for (std::size_t i = common; i < common + sizeof key; ++i) {
    key = key << 8U | (i < name.size() ? static_cast<std::uint8_t>(name[i]) : 0U);
  }
  return key;
}

std::size_t common_of(std::string_view a, std::string_view b) noexcept {
  const auto most = std::min(a.size(), b.size());
  return static_cast<std::size_t>(
      std::mismatch(a.begin(), a.begin() + static_cast<std::ptrdiff_t>(most), b.begin()).first -
      a.begin());
}

}  // namespace

// Followed by `capacity` pointers and as many tags.
struct Children::Chunk {
  std::uint32_t size = 0;
  std::uint32_t capacity = 0;

  static Chunk* make(std::uint32_t capacity) {
    void* memory =
        ::operator new (sizeof(Chunk) + std::size_t{capacity} * (sizeof(Node*) + sizeof(Tag)));
    auto* const chunk = new (memory) Chunk;
    chunk->capacity = capacity;
    return chunk;
  }
  static void free(Chunk* chunk) noexcept { ::operator delete(static_cast<void*>(chunk)); }

  [[nodiscard]] Node** nodes() noexcept { return reinterpret_cast<Node**>(this + 1); }
  [[nodiscard]] Tag* tags() noexcept { return reinterpret_cast<Tag*>(nodes() + capacity); }

  // Appends `count` of another chunk's from `from` on.
  void append(Chunk& other, std::uint32_t from, std::uint32_t count) noexcept {
    std::memcpy(nodes() + size, other.nodes() + from, count * sizeof(Node*));
    std::memcpy(tags() + size, other.tags() + from, count * sizeof(Tag));
    size += count;
  }
  static Chunk* grown(Chunk* old, std::uint32_t capacity) {
    auto* const chunk = make(capacity);
    chunk->append(*old, 0, old->size);
    free(old);
    return chunk;
  }
  // Where the first name that is not before `name` stands.
  [[nodiscard]] std::size_t lower_bound(std::string_view name) noexcept {
    const auto* const at =
        std::lower_bound(nodes(), nodes() + size, name,
                         [](const Node* a, std::string_view b) { return a->name() < b; });
    return static_cast<std::size_t>(at - nodes());
  }
};

Node* Children::Iterator::operator*() const noexcept {
  return children_->chunks_[chunk_].chunk->nodes()[at_];
}

Children::Iterator& Children::Iterator::operator++() noexcept {
  if (++at_ == children_->chunks_[chunk_].chunk->size) {
    ++chunk_;
    at_ = 0;
  }
  return *this;
}

Children::~Children() {
  for (const auto& front : chunks_) Chunk::free(front.chunk);
}

std::string_view Children::first_of(std::size_t chunk) const noexcept {
  return chunks_[chunk].chunk->nodes()[0]->name();
}

// After a chunk came, or has another first name.
void Children::note_first(std::size_t chunk) {
  const auto count = chunks_.size();
  const bool is_end = chunk == 0 || chunk + 1 == count;
  if (is_end) {
    // Between sorted names all begin as both ends do. Growing can wait: it reads every first name.
    const auto common = common_of(first_of(0), first_of(count - 1));
    if (common < common_ || (common > common_ && (count & (count - 1)) == 0)) {
      return note_all_firsts(common);
    }
  }
  chunks_[chunk].key = key_of_name(first_of(chunk), common_);
}

void Children::note_all_firsts(std::size_t common) noexcept {
  common_ = static_cast<std::uint32_t>(common);
  for (std::size_t i = 0; i < chunks_.size(); ++i) {
    chunks_[i].key = key_of_name(first_of(i), common_);
  }
}

std::size_t Children::chunk_for(std::string_view name) const noexcept {
  // The last chunk whose first name is not after `name`; the first one has no lower bound.
  if (chunks_.size() == 1) return 0;
  const auto beginning = name.substr(0, common_).compare(first_of(0).substr(0, common_));
  if (beginning != 0) return beginning < 0 ? 0 : chunks_.size() - 1;
  const auto key = key_of_name(name, common_);
  const auto after = std::upper_bound(
      chunks_.begin() + 1, chunks_.end(), name, [key](std::string_view a, const Front& b) {
        return key != b.key ? key < b.key : a < b.chunk->nodes()[0]->name();
      });
  return static_cast<std::size_t>(after - chunks_.begin()) - 1;
}

Node** Children::slot_of(std::string_view name, Place& place) const noexcept {
  if (chunks_.empty()) return nullptr;
  place.chunk = chunk_for(name);
  auto& chunk = *chunks_[place.chunk].chunk;
  const auto* const tags = chunk.tags();
  const auto tag = tag_of(name);
  for (std::size_t i = 0; i < chunk.size; ++i) {
    if (tags[i] != tag || chunk.nodes()[i]->name() != name) continue;
    place.at = i;
    return chunk.nodes() + i;
  }
  return nullptr;
}

Node* Children::find(std::string_view name) const noexcept {
  Place place{};
  auto* const slot = slot_of(name, place);
  return slot == nullptr ? nullptr : *slot;
}

bool Children::insert(Node* node) {
  const auto name = node->name();
  if (chunks_.empty()) {
    chunks_.push_back({0, Chunk::make(1)});
    insert_at({0, 0}, node);
    return true;
  }
  auto& last = *chunks_.back().chunk;
  const auto last_name = last.nodes()[last.size - 1]->name();
  if (last_name < name) {
    // Directories often grow at their end: their chunks are filled up, not split in half.
    if (last.size == kChunkMax) chunks_.push_back({0, Chunk::make(kStep)});
    insert_at({chunks_.size() - 1, chunks_.back().chunk->size}, node);
    return true;
  }
  auto at = chunk_for(name);
  if (chunks_[at].chunk->size == kChunkMax) {
    split(at);
    at = chunk_for(name);
  }
  auto& chunk = *chunks_[at].chunk;
  const auto place = chunk.lower_bound(name);
  if (place < chunk.size && chunk.nodes()[place]->name() == name) return false;
  insert_at({at, place}, node);
  return true;
}

void Children::insert_at(Place place, Node* node) {
  auto*& chunk = chunks_[place.chunk].chunk;
  COORD_CHECK(chunk->size < kChunkMax, "a chunk has room", chunk->size);
  if (chunk->size == chunk->capacity) {
    // Small directories are many: one child takes one slot, then 4, then steps of 8.
    const auto capacity = chunk->size < 4 ? 4 : (chunk->size / kStep + 1) * kStep;
    chunk = Chunk::grown(chunk, capacity);
  }
  auto* const nodes = chunk->nodes() + place.at;
  auto* const tags = chunk->tags() + place.at;
  const auto behind = chunk->size - place.at;
  std::memmove(nodes + 1, nodes, behind * sizeof(Node*));
  std::memmove(tags + 1, tags, behind * sizeof(Tag));
  *nodes = node;
  *tags = tag_of(node->name());
  ++chunk->size;
  ++size_;
  if (place.at == 0) note_first(place.chunk);
}

void Children::split(std::size_t chunk) {
  auto* const whole = chunks_[chunk].chunk;
  const auto half = whole->size / 2;
  auto* const left = Chunk::make(half + kStep);
  auto* const right = Chunk::make(whole->size - half + kStep);
  left->append(*whole, 0, half);
  right->append(*whole, half, whole->size - half);
  Chunk::free(whole);
  chunks_[chunk].chunk = left;
  chunks_.insert(chunks_.begin() + static_cast<std::ptrdiff_t>(chunk) + 1, Front{0, right});
  note_first(chunk + 1);
}

void Children::erase(const Node* node) {
  Place place{};
  auto* const slot = slot_of(node->name(), place);
  COORD_CHECK(slot != nullptr && *slot == node, "a child is in its directory");
  auto& chunk = *chunks_[place.chunk].chunk;
  const auto behind = chunk.size - place.at - 1;
  auto* const tag = chunk.tags() + place.at;
  std::memmove(slot, slot + 1, behind * sizeof(Node*));
  std::memmove(tag, tag + 1, behind * sizeof(Tag));
  --chunk.size;
  --size_;
  if (place.at == 0 && chunk.size > 0) note_first(place.chunk);
  if (chunk.size < kSparse) maybe_merge(place.chunk);
}

// Drops a chunk that is empty; joins a sparse one with the one behind it if both fit well.
void Children::maybe_merge(std::size_t chunk) {
  const auto at = chunks_.begin() + static_cast<std::ptrdiff_t>(chunk);
  auto* const first = at->chunk;
  if (first->size == 0) {
    Chunk::free(first);
    chunks_.erase(at);
    return;
  }
  if (at + 1 == chunks_.end()) return;
  auto* const second = (at + 1)->chunk;
  if (first->size + second->size > kMergeMax) return;
  auto* const both = Chunk::make(first->size + second->size);
  both->append(*first, 0, first->size);
  both->append(*second, 0, second->size);
  Chunk::free(first);
  Chunk::free(second);
  at->chunk = both;
  chunks_.erase(at + 1);
}

void Children::replace(const Node* old, Node* with) {
  Place place{};
  auto* const slot = slot_of(old->name(), place);
  COORD_CHECK(slot != nullptr && *slot == old, "a child is in its directory");
  COORD_CHECK(old->name() == with->name(), "a node keeps its name");
  *slot = with;
}

Children::Iterator Children::lower_bound(std::string_view name) const noexcept {
  if (chunks_.empty()) return end();
  const auto chunk = chunk_for(name);
  const auto at = chunks_[chunk].chunk->lower_bound(name);
  if (at == chunks_[chunk].chunk->size) return {this, chunk + 1, 0};
  return {this, chunk, at};
}

}  // namespace coord::znode
