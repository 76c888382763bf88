// Children: the nodes of one directory, ordered by name.
//
// A sorted list of chunks of at most 64 sorted pointers each. Beside its pointers a chunk has a
// 16-bit hash of every name, and the list has the eight bytes in which the chunks' first names
// differ: a lookup compares numbers, scans one chunk's hashes and then reads one node, where a
// binary search reads as many nodes as it has steps, each from memory that is not in the cache.
// Neither decides more than where to look, so that order and content never depend on them. About 11
// bytes a child.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>
#include <vector>

namespace coord::znode {

struct Node;

class Children {
 public:
  class Iterator {
   public:
    [[nodiscard]] Node* operator*() const noexcept;
    Iterator& operator++() noexcept;
    friend bool operator==(const Iterator&, const Iterator&) = default;

   private:
    friend class Children;
    Iterator(const Children* children, std::size_t chunk, std::size_t at) noexcept
        : children_(children), chunk_(chunk), at_(at) {}
    const Children* children_;
    std::size_t chunk_;
    std::size_t at_;
  };

  Children() noexcept = default;
  ~Children();
  Children(const Children&) = delete;
  Children& operator=(const Children&) = delete;

  [[nodiscard]] Node* find(std::string_view name) const noexcept;
  // False if there is one of this name.
  bool insert(Node* node);
  // Requires: it is there.
  void erase(const Node* node);
  // Puts a node of the same name in the place of one that is there.
  void replace(const Node* old, Node* with);

  [[nodiscard]] std::size_t size() const noexcept { return size_; }
  [[nodiscard]] bool empty() const noexcept { return size_ == 0; }
  [[nodiscard]] Iterator begin() const noexcept { return {this, 0, 0}; }
  [[nodiscard]] Iterator end() const noexcept { return {this, chunks_.size(), 0}; }
  // The first whose name is not before `name`.
  [[nodiscard]] Iterator lower_bound(std::string_view name) const noexcept;

 private:
  struct Chunk;
  // A chunk in the list. `key`: its first name's eight bytes behind the common_ ones, as a number.
  struct Front {
    std::uint64_t key = 0;
    Chunk* chunk = nullptr;
  };
  struct Place {
    std::size_t chunk;
    std::size_t at;
  };
  // The chunk that holds `name` if any does.
  [[nodiscard]] std::size_t chunk_for(std::string_view name) const noexcept;
  [[nodiscard]] Node** slot_of(std::string_view name, Place& place) const noexcept;
  void insert_at(Place place, Node* node);
  void split(std::size_t chunk);
  void maybe_merge(std::size_t chunk);
  [[nodiscard]] std::string_view first_of(std::size_t chunk) const noexcept;
  void note_first(std::size_t chunk);
  void note_all_firsts(std::size_t common) noexcept;

  std::vector<Front> chunks_;  // None is empty.
  std::uint32_t size_ = 0;
  std::uint32_t common_ = 0;  // Bytes in which all first names agree, or fewer.
};

}  // namespace coord::znode
