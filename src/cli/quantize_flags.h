#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cli/fp8_flags.h"
#include "cli/refinement_flags.h"
#include "cli/sample_flags.h"
#include "cli/vptq_flags.h"
#include "pipeline/recipe.h"

namespace CLI {
class App;
}  // namespace CLI

namespace whit::cli {

class Session;

// Flags that plan and quantize share, as they were typed.
struct QuantizeFlags {
  std::optional<std::int64_t> block_size;
  std::string model, out;
  std::string method = "gptq", group_size, order = "activation", search = "mse", dtype = "auto";
  std::string format = "auto", mtp = "quantize", calibration, hidden_states = "f32";
  bool symmetric = true;
  RefinementFlags refinement;
  Fp8Flags fp8;
  VptqFlags vptq;
  double bits = 4;
  SampleFlags samples;
  pipeline::Recipe recipe;        // what needs no reading
  const CLI::App* app = nullptr;  // knows which of them were given
};

std::shared_ptr<QuantizeFlags> declare_quantize_flags(CLI::App& app);

// Its two halves but --bits: how a weight's codes are found, and everything else.
void declare_method_flags(CLI::App& app, QuantizeFlags& flags);
void declare_shared_flags(CLI::App& app, QuantizeFlags& flags);

// Sets the recipe's memory, and what the backend says is worth doing at once.
void fit_to_machine(Session& session, std::optional<std::int64_t> block_size,
                    pipeline::Recipe& recipe);

// Errors: kUsage.
tensor::Dtype hidden_states_of(const std::string& name);

enum class Purpose { kPlan, kRun };

// A plan may be asked for before the calibration text is there. Errors: kUsage and kUnsupported,
// subject = flag.
pipeline::Recipe recipe_from(const QuantizeFlags& flags, Session& session, Purpose purpose);

}  // namespace whit::cli
