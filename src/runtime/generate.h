#pragma once

#include <cstdint>
#include <functional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/cancel.h"
#include "checkpoint/checkpoint.h"
#include "compute/backend.h"
#include "model/serving.h"
#include "model/spec.h"
#include "model/weights.h"
#include "runtime/sampler.h"
#include "text/tokenizer.h"

namespace whit::runtime {

struct GenerateArgs {
  std::int64_t max_new_tokens = 128;
  SamplingArgs sampling;
  std::vector<std::string> stop;            // the text ends before the first of them
  std::set<text::TokenId> eos;              // ids that end the text
  const model::Serving* serving = nullptr;  // what else is rounded
};

struct Generation {
  std::string text;                // special tokens left out
  std::vector<text::TokenId> ids;  // new ones, the ending id included
  bool stopped = false;            // by an end token or a stop string; else by length
  std::int64_t prompt_tokens = 0;
  double prompt_seconds = 0;
  double seconds = 0;  // of the new tokens
};

// Ids that end a text: eos_token_id of generation_config.json (one or a list), else of config.json,
// else the tokenizer's. Errors: kInput where the field is no id.
std::set<text::TokenId> ending_ids(const checkpoint::Checkpoint& checkpoint,
                                   const text::Tokenizer* tokenizer);

// Continues `prompt` token by token with a cache of keys and values. `on_text` gets pieces of text
// as soon as they are certain. Errors: kUsage for an empty prompt or one that is longer than the
// model's positions; kInterrupted.
Generation generate(compute::Backend& backend, const model::ModelSpec& spec,
                    model::WeightSource& weights, const text::Tokenizer& tokenizer,
                    const std::vector<text::TokenId>& prompt, const GenerateArgs& args,
                    const std::function<void(std::string_view)>& on_text,
                    const base::CancelToken& cancel);

}  // namespace whit::runtime
