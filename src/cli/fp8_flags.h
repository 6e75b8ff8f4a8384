#pragma once

#include <string>

#include "pipeline/recipe.h"

namespace CLI {
class App;
}  // namespace CLI

namespace whit::cli {

// What --method fp8 adds, as typed.
struct Fp8Flags {
  std::string weight_scales, activations, target = "generic", fp8_format = "e4m3", scale_method,
                                          kv_cache = "none";
  std::string measurements;
};

void declare_fp8_flags(CLI::App& app, Fp8Flags& flags);

// Errors: kUsage, subject = flag.
pipeline::Fp8Recipe fp8_from(const Fp8Flags& flags);

}  // namespace whit::cli
