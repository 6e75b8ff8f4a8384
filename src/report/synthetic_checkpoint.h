#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <string>
#include <string_view>

namespace whit::report {

// A config.json of one decoder layer with the published widths of a model: `arch` is deepseek_v3
// (FP8 blocks), llama3_8b or qwen3_30b_a3b. dense: of a mixture, one of its dense layers. experts:
// how many the layer has, 0 for as many as the model. Errors: kUsage for other names, and for a
// dense layer where the model has none.
nlohmann::json layer_config(std::string_view arch, bool dense, std::int64_t experts);

// Writes a folder that whit reads as a checkpoint of `config`: every tensor of its inventory, drawn
// from `seed`. Weights are normal numbers, in FP8 blocks with log-normal scales where config has
// them, else BF16; columns of the embedding are log-normal with a few large ones, and the router
// prefers some experts. Large tensors repeat a pool of numbers. Errors: kResource.
void write_synthetic_checkpoint(const nlohmann::json& config, const std::filesystem::path& folder,
                                std::uint64_t seed);

// JSONL rows of `length` random token ids each. Errors: kResource.
void write_random_ids(const std::filesystem::path& file, std::int64_t sequences,
                      std::int64_t length, std::int64_t vocabulary, std::uint64_t seed);

}  // namespace whit::report
