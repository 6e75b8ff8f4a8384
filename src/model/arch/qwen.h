#pragma once

#include "model/arch/fields.h"
#include "model/spec.h"

namespace whit::model::arch {

// Qwen2's and Qwen3's windows: none unless use_sliding_window; else in the layers that layer_types
// names, or from max_window_layers on.
void set_qwen_windows(const Fields& config, ModelSpec& spec);

}  // namespace whit::model::arch
