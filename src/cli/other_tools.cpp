#include "cli/other_tools.h"

#include <algorithm>
#include <array>
#include <utility>

namespace whit::cli {

std::string_view instead_of(std::string_view flag) {
  using Entry = std::pair<std::string_view, std::string_view>;
  constexpr std::array kInstead{
      Entry{"eval", "afterwards: whit eval OUT --reference MODEL --text FILE"},
      Entry{"kseed", "--seed reaches k-means too"},
      Entry{"model-name", "the model is the first argument: whit quantize MODEL OUT"},
      Entry{"new-eval", "afterwards: whit eval OUT --reference MODEL --text FILE"},
      Entry{"num-gpus", "one process a GPU: mpirun -n N whit quantize MODEL OUT --device cuda ..."},
      Entry{"output-dir", "the output is the second argument: whit quantize MODEL OUT"},
      Entry{"save-model", "the packed checkpoint is always written; whit eval and generate run it"},
  };
  const auto found = std::find_if(kInstead.begin(), kInstead.end(),
                                  [&](const Entry& e) { return e.first == flag; });
  return found == kInstead.end() ? std::string_view{} : found->second;
}

}  // namespace whit::cli
