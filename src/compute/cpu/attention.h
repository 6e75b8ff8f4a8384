#pragma once

#include "compute/backend.h"

namespace whit::compute::cpu {

// Neural::attention by blocks of queries and keys with a running maximum, so that memory does not
// grow with the length. Blocks are counted from key 0 and query 0, whatever the thread count.
void attend(int threads, const AttentionArgs& args, MatrixView out);

}  // namespace whit::compute::cpu
