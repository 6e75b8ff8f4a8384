#pragma once

#include <cstdint>
#include <span>
#include <vector>

namespace whit::runtime {

// How the next token is drawn. temperature 0: the likeliest, equal logits to the lower id. The
// other filters apply in the order top_k, top_p, min_p, on probabilities after the temperature.
struct SamplingArgs {
  double temperature = 0;
  std::int64_t top_k = 0;  // 0: all
  double top_p = 1;        // smallest set of likeliest tokens whose probabilities reach it
  double min_p = 0;        // drops what is less likely than min_p times the likeliest
  std::uint64_t seed = 0;
};

// Errors: kUsage, subject = flag.
void validate(const SamplingArgs& args);

// Id of the largest logit, the lowest id among equals.
std::int32_t argmax(std::span<const float> logits);

// A seeded stream of draws: the same seed and logits give the same ids on every machine.
class Sampler {
 public:
  explicit Sampler(const SamplingArgs& args);
  // Errors: kInput where a logit is NaN.
  std::int32_t next(std::span<const float> logits);

 private:
  double uniform();  // [0, 1), SplitMix64

  SamplingArgs args_;
  std::uint64_t state_;
};

}  // namespace whit::runtime
