// Runs kernels.
#pragma once
#include <algorithm>
#include <functional>

#include "device.h"

namespace standin {
// Every thread of every block, block after block; a block's threads in shuffled order (GBRL_STANDIN_SEED).
void run_grid(Index grid, Index size, std::function<void()> const &kernel);
}  // namespace standin
