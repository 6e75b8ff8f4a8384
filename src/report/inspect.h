#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "report/json.h"

namespace whit::report {

struct TensorEntry {
  std::string name;
  std::string dtype;  // safetensors' word
  tensor::Shape shape;
  std::uint64_t bytes = 0;
  std::string file;
  std::string role;  // "attn_q", "attn_q.weight_scale_inv"; empty: unknown to the architecture
};

// What a checkpoint is made of.
struct Inspection {
  std::string architecture;               // model_type; empty without a config
  std::string note;                       // why roles are unknown, where they are
  std::int64_t parameters = 0;            // logical elements of the model's tensors
  std::uint64_t bytes = 0;                // of all tensors
  std::optional<double> bits_per_weight;  // bytes * 8 / parameters
  nlohmann::json quantization;            // config.json's quantization_config, or null
  std::vector<TensorEntry> tensors;       // by name
};

// Reads headers only. A checkpoint of an architecture that whit does not know is listed without
// roles. Errors: kInput for a checkpoint that is not what its config says.
Inspection inspect(const checkpoint::Checkpoint& checkpoint);

Json to_json(const Inspection& inspection);
// A table by role, then totals.
std::string to_text(const Inspection& inspection);

// The architectures that whit computes: {"architectures": [{"model_type", "models"}]}, and a table.
Json architectures_json();
std::string architectures_text();

}  // namespace whit::report
