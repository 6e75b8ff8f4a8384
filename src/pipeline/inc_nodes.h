#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "model/spec.h"

namespace whit::pipeline {

// A module that vLLM on Gaudi makes of a model, and what its tensors are in whit's forward.
struct IncNode {
  enum class Kind : std::uint8_t {
    kLinear,
    kMatmulQk,
    kSoftmax,
    kMatmulAv,
    kToBlocks,    // batch2block: queries, handed out to the blocks of the cache
    kFromBlocks,  // block2batch: results of blocks, added up
    kKeyCache,
    kValueCache,
    kLatentKeyCache,
    kLatentValueCache,
    kSdpa,
    kMixture,
  };
  std::string name;
  std::string class_name;
  Kind kind = Kind::kLinear;
  std::vector<const model::LinearSpec*> linears;  // of kLinear: those that it joins
  const model::LayerSpec* layer = nullptr;        // of the others
};

// Of every decoder layer in order, then the head; then, where `mtp`, of the layers that predict
// further tokens, as vLLM's draft model calls them. `fp8`: whether weights are stored in FP8, which
// gives experts other classes. `spec` outlives the nodes.
std::vector<IncNode> inc_nodes(const model::ModelSpec& spec, bool fp8, bool mtp = false);

// What vLLM puts between the prefix of a prediction layer and the names of its decoder block.
inline constexpr const char* kPredictionBlock = "mtp_block.";
// So what vLLM calls `module` of a layer: as it is, but for a prediction layer's decoder block.
std::string served_name(const model::LayerSpec& layer, std::string module);

// Name of an expert's matrices, its number less: "w13_list" (what the expert reads), "w2_list".
inline constexpr const char* kExpertIn = "w13_list";
inline constexpr const char* kExpertOut = "w2_list";

}  // namespace whit::pipeline
