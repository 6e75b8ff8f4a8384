#pragma once

#include <string>

#include "pipeline/recipe.h"

namespace CLI {
class App;
class Option;
}  // namespace CLI

namespace whit::cli {

// --quality, and the flags that change one of its choices.
struct RefinementFlags {
  std::string quality = "default";
  pipeline::Refinement chosen;  // holds what was typed
  CLI::Option *with_sign = nullptr, *weighted = nullptr, *refit = nullptr, *passes = nullptr,
              *share = nullptr, *residual = nullptr, *unquantized = nullptr, *embedding = nullptr,
              *metric = nullptr, *part = nullptr, *held_out = nullptr, *route = nullptr,
              *lean = nullptr;
};

void declare_refinement_flags(CLI::App& app, RefinementFlags& flags);

// Errors: kUsage, subject --quality.
pipeline::Quality quality_of(const std::string& name);

// What the quality says, with each flag that was given in its place. Errors: kUsage.
pipeline::Refinement refinement_from(const RefinementFlags& flags);
// The same for vector codes: of the quality the teacher's parts, where there is text for one.
pipeline::Refinement vector_refinement_from(const RefinementFlags& flags, bool text);

}  // namespace whit::cli
