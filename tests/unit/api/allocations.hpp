// Counts what operator new hands out, for tests that bound it.
#pragma once

#include <cstddef>

namespace coord::testing_support {

// Starts or ends counting; returns how many there were since the last start.
std::size_t count_allocations(bool is_on);

}  // namespace coord::testing_support
