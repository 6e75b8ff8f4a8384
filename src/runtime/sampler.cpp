#include "runtime/sampler.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/error.h"

namespace whit::runtime {

namespace {

struct Candidate {
  std::int32_t id;
  double probability;
};

void keep_top_k(std::vector<Candidate>& sorted, std::int64_t top_k) {
  if (top_k > 0 && top_k < static_cast<std::int64_t>(sorted.size()))
    sorted.resize(static_cast<std::size_t>(top_k));
}

void normalize(std::vector<Candidate>& candidates) {
  double total = 0;
  for (const auto& c : candidates) total += c.probability;
  for (auto& c : candidates) c.probability /= total;
}

void keep_top_p(std::vector<Candidate>& sorted, double top_p) {
  if (top_p >= 1) return;
  double sum = 0;
  std::size_t count = 0;
  while (count < sorted.size() && (count == 0 || sum < top_p)) sum += sorted[count++].probability;
  sorted.resize(count);
}

void keep_min_p(std::vector<Candidate>& sorted, double min_p) {
  const double least = min_p * sorted.front().probability;
  while (sorted.size() > 1 && sorted.back().probability < least) sorted.pop_back();
}

}  // namespace

void validate(const SamplingArgs& args) {
  using base::ErrorKind;
  if (!(args.temperature >= 0) || !std::isfinite(args.temperature))
    base::fail(ErrorKind::kUsage, "--temperature", "{}; expected 0 (greedy) or more",
               args.temperature);
  if (args.top_k < 0)
    base::fail(ErrorKind::kUsage, "--top-k", "{}; expected 0 (all) or more", args.top_k);
  if (!(args.top_p > 0 && args.top_p <= 1))
    base::fail(ErrorKind::kUsage, "--top-p", "{}; expected a number above 0 and at most 1",
               args.top_p);
  if (!(args.min_p >= 0 && args.min_p <= 1))
    base::fail(ErrorKind::kUsage, "--min-p", "{}; expected a number from 0 to 1", args.min_p);
}

std::int32_t argmax(std::span<const float> logits) {
  std::size_t best = 0;
  for (std::size_t i = 1; i < logits.size(); ++i)
    if (logits[i] > logits[best]) best = i;
  return static_cast<std::int32_t>(best);
}

Sampler::Sampler(const SamplingArgs& args) : args_(args), state_(args.seed) {
  validate(args);
}

double Sampler::uniform() {
  state_ += 0x9e3779b97f4a7c15ULL;
  std::uint64_t z = state_;
  z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
  z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
  z ^= z >> 31;
  return static_cast<double>(z >> 11) * 0x1p-53;
}

std::int32_t Sampler::next(std::span<const float> logits) {
  for (const float logit : logits)
    if (std::isnan(logit))
      base::fail(base::ErrorKind::kInput, "logits", "the model gave a NaN; expected numbers");
  if (args_.temperature <= 0) return argmax(logits);

  const double largest = logits[static_cast<std::size_t>(argmax(logits))];
  std::vector<Candidate> candidates(logits.size());
  for (std::size_t i = 0; i < logits.size(); ++i)
    candidates[i] = {static_cast<std::int32_t>(i),
                     std::exp((static_cast<double>(logits[i]) - largest) / args_.temperature)};
  std::sort(candidates.begin(), candidates.end(), [](const Candidate& a, const Candidate& b) {
    return a.probability != b.probability ? a.probability > b.probability : a.id < b.id;
  });
  keep_top_k(candidates, args_.top_k);
  normalize(candidates);
  keep_top_p(candidates, args_.top_p);
  keep_min_p(candidates, args_.min_p);
  normalize(candidates);

  double left = uniform();
  for (const auto& c : candidates) {
    left -= c.probability;
    if (left < 0) return c.id;
  }
  return candidates.back().id;
}

}  // namespace whit::runtime
