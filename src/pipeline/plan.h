#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/spec.h"
#include "pipeline/recipe.h"

namespace whit::pipeline {

// Where one tensor of the output comes from.
enum class Origin : std::uint8_t {
  kCopied,       // bit for bit
  kDequantized,  // FP8 at the source, written in recipe.dtype
  kPacked,       // made by quantizing `module`; a scale of the KV cache
  kRefitted,     // unquantized, moved to what the teacher's stream asks for
};

struct OutputTensor {
  checkpoint::SafetensorsWriter::Entry entry;
  Origin origin = Origin::kCopied;
  const model::LinearSpec* linear = nullptr;  // of packed, dequantized and refitted weights
};

// One file of the output.
struct OutputShard {
  std::string file;      // "model-00002-of-00008.safetensors"
  std::size_t step = 0;  // index into Plan::steps; the step that writes it
  std::vector<OutputTensor> tensors;
  std::uint64_t bytes = 0;

  std::vector<checkpoint::SafetensorsWriter::Entry> entries() const;
  // Names its refitted tensors, so that a reader need not take them for copies.
  checkpoint::SafetensorsWriter::Metadata metadata() const;
};

// The unit of work, of journaling and of resuming: the embedding, one layer, or the head.
struct Step {
  std::string name;                         // "layer 3"
  const model::LayerSpec* layer = nullptr;  // null: the embedding, or norm and head
  bool mtp = false;
  bool head = false;
  bool table = false;  // moves the token embeddings, the first layer being done
  double flops = 0;
  std::uint64_t peak_memory_bytes = 0;
};

struct Plan {
  model::ModelSpec spec;
  BoundRecipe bound;
  std::vector<Step> steps;  // point into spec
  std::vector<OutputShard> shards;
  std::vector<std::string> quantized;  // tensor names of the source; each list is sorted
  std::vector<std::string> copied;     // the dequantized included
  std::vector<std::string> dequantized;
  std::vector<std::string> refitted;
  std::vector<std::string> ignored;  // buffers that no loader wants, by name
  std::int64_t tokens = 0;           // calibration tokens at most
  std::int64_t parameters = 0;       // logical elements of the model's tensors
  std::uint64_t output_bytes = 0;    // of the shards
  double bits_per_weight = 0;        // tensor bytes of the output * 8 / parameters
  std::int64_t expert_block = 8;     // experts handed to a runner at once
  bool activations_in_file = false;
  bool recompute = false;               // see model::ForwardContext
  std::uint64_t piece_cache_bytes = 0;  // hidden states that may be kept instead of recomputed
  std::uint64_t peak_memory_bytes = 0;
  std::uint64_t spill_bytes = 0;
  std::uint64_t disk_bytes = 0;  // output and spill
  double flops = 0;

  bool refits(const std::string& tensor) const;
  const model::LayerSpec& layer(int index) const;
  // Whether decoder or MTP layer `index` routes tokens to experts.
  bool has_experts(int index) const;

  Plan() = default;
  Plan(const Plan&) = delete;  // steps point into spec
  Plan& operator=(const Plan&) = delete;
};

// What a layer's KV cache belongs to ("model.layers.3.self_attn"), and whether it keeps a latent.
std::string attention_module(const model::LayerSpec& layer);
bool caches_latent(const model::LayerSpec& layer);

// Reads headers only. Errors: kInput (inventory), kUnsupported (tensors that whit does not know),
// kUsage, kResource where recipe.max_memory cannot be met, with the least that would do.
std::unique_ptr<Plan> make_plan(const checkpoint::Checkpoint& checkpoint, const Recipe& recipe);

}  // namespace whit::pipeline
