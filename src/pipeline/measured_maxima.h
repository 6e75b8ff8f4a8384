#pragma once

#include <filesystem>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "model/spec.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// Maxima of a model's hidden states and KV caches from INC's measurement files, whatever engine
// ran: a fused module's stand for each of its parts, a mixture's for every expert's first linears.
class MeasuredMaxima {
 public:
  // The one run in `folder`, its ranks unified. Errors: those of find_measurements,
  // read_measurements and stats::unify.
  explicit MeasuredMaxima(const std::filesystem::path& folder);

  struct Cache {
    float key = 0, value = 0;
  };
  // > 0. Of an expert that was not reached, the largest of its layer. Errors: kInput (subject: the
  // folder and the module) where nothing of it was measured, or only zeros.
  float input(const model::LayerSpec& layer, const model::LinearSpec& linear) const;
  Cache cache(const model::LayerSpec& layer) const;
  // Experts without tokens, as text.
  const std::vector<std::string>& warnings() const { return warnings_; }

 private:
  std::optional<float> expert_input(const model::LayerSpec& layer,
                                    const model::LinearSpec& linear) const;

  std::string folder_;
  stats::RankRanges ranges_;
  std::vector<std::string> warnings_;
};

}  // namespace whit::pipeline
