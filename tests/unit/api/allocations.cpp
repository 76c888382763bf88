#include "allocations.hpp"

#include <cstdlib>
#include <new>

namespace {
bool is_counting = false;
std::size_t counted = 0;
}  // namespace

// In a source of their own: inlined into a test, malloc and delete would meet there and the
// compiler would take them for a mismatch.
void* operator new(std::size_t size) {
  if (is_counting) ++counted;
  if (void* memory = std::malloc(size)) return memory;
  throw std::bad_alloc();
}
void* operator new(std::size_t size, const std::nothrow_t&) noexcept {
  if (is_counting) ++counted;
  return std::malloc(size);
}
void operator delete(void* memory) noexcept { std::free(memory); }
void operator delete(void* memory, std::size_t) noexcept { std::free(memory); }

namespace coord::testing_support {

std::size_t count_allocations(bool is_on) {
  is_counting = is_on;
  if (is_on) counted = 0;
  return counted;
}

}  // namespace coord::testing_support
