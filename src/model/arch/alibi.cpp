#include "model/arch/alibi.h"

#include <bit>
#include <cmath>

#include "base/error.h"

namespace whit::model::arch {

std::vector<float> alibi_slopes(const Fields& config, std::int64_t heads) {
  constexpr std::int64_t kMostHeads = 4096;
  if (heads > kMostHeads)
    base::fail(base::ErrorKind::kInput,
               config.subject(config.one_of({"num_attention_heads", "n_head"})),
               "found {}; expected at most {} with ALiBi", heads, kMostHeads);
  const auto below = static_cast<std::int64_t>(std::bit_floor(static_cast<std::uint64_t>(heads)));
  std::vector<float> slopes;
  const auto add = [&](std::int64_t power, std::int64_t of) {
    slopes.push_back(
        static_cast<float>(std::exp2(-8.0 * static_cast<double>(power) / static_cast<double>(of))));
  };
  for (std::int64_t i = 1; i <= below; ++i) add(i, below);
  for (std::int64_t i = 1; i <= heads - below; ++i) add(2 * i - 1, 2 * below);
  return slopes;
}

}  // namespace whit::model::arch
