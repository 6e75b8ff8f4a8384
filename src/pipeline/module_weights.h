#pragma once

#include <cstdint>
#include <functional>
#include <span>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace whit::pipeline {

// The weight of a module as a serving engine names it, found in a checkpoint: one tensor, or
// several that the engine fuses, in the order of their rows.
struct ModuleWeight {
  std::vector<std::string> tensors;
  std::int64_t rows = 0;
  std::int64_t cols = 0;
  // F32 where the checkpoint holds that; else what the engine computes in, BF16.
  tensor::Dtype dtype = tensor::Dtype::kBF16;

  bool found() const { return !tensors.empty(); }
};

// MODULE.weight; q_proj, k_proj, v_proj of qkv_proj; gate_proj, up_proj of gate_up_proj; an
// expert's matrices of its w13_list and w2_list (`first_expert` added to its number); the embedding
// of a tied lm_head. Nothing found: no tensors. Errors: kInput (subject: the tensor) for shapes
// that do not fit together.
ModuleWeight find_module_weight(const checkpoint::Checkpoint& checkpoint, const std::string& module,
                                std::int64_t first_expert);

// Every row in fp32, decoded from F32, BF16, F16 or FP8 with its scales. Errors: kInput (subject:
// the tensor) for NaN, infinities and scales that do not fit; kUnsupported for other dtypes.
void visit_rows(const checkpoint::Checkpoint& checkpoint, const ModuleWeight& weight,
                const std::function<void(std::span<const float>)>& visit);

}  // namespace whit::pipeline
