#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "pipeline/plan.h"

namespace whit::pipeline {

// Copies what stands beside the weights: tokenizer, chat template, generation config, remote code,
// licence. Weights, indexes, configs of other quantizers and config.json stay behind.
// Returns the names copied, sorted. Errors: kResource.
std::vector<std::string> carry_over_files(const std::filesystem::path& from,
                                          const std::filesystem::path& to);

// model.safetensors.index.json of the plan's shards.
void write_index(const Plan& plan, const std::filesystem::path& folder);

// The source's config.json with its quantization_config replaced.
std::string config_text(const Plan& plan, const checkpoint::Checkpoint& source);

// What that quantization_config says.
formats::QuantizationConfig quantization_of(const Plan& plan);

// quantization_config.json, which INC reads beside config.json; nothing in other formats.
void write_inc_config(const Plan& plan, const std::filesystem::path& folder);

}  // namespace whit::pipeline
