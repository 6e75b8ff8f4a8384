#pragma once

#include <functional>
#include <string>
#include <vector>

#include "formats/inc_config.h"
#include "formats/inc_modules.h"
#include "pipeline/inc_tensors.h"
#include "pipeline/maxima.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// What a config measures of a model.
class IncLayout {
 public:
  // `mtp`: of the layers that predict further tokens, too.
  IncLayout(const model::ModelSpec& spec, bool fp8, const formats::IncConfig& config,
            const std::string& subject, bool mtp = false);

  // What a forward has to be watched for.
  WantedMaxima wanted() const;
  // What was watched, rounded to the config's hp_dtype, as ranges of one process. Names of modules
  // of which nothing was seen are left out.
  stats::RankRanges ranges(const MaximaObserver& seen) const;
  // Names of all modules that the config selects, an expert's matrices too.
  std::vector<std::string> modules() const;
  const std::vector<IncNode>& nodes() const { return nodes_; }
  bool selects(const IncNode& node) const;
  bool selects_matrix(const IncNode& node, const char* list, std::size_t expert) const;
  // Calls visit(module, slot, tensor) for every tensor of a node that is measured. Slots are
  // "input0", "output1", "weight"; matrices of experts are modules of their own.
  using Visit =
      std::function<void(const std::string&, const std::string&, const IncTensor& tensor)>;
  void visit(const IncNode& node, const Visit& visit) const;
  // Whether those outputs are measured that INC may leave out.
  bool outputs_wanted() const;

 private:
  static void want(const IncNode& node, const IncTensor& tensor, WantedMaxima& wanted);
  stats::Range range_of(const IncNode& node, const IncTensor& tensor,
                        const MaximaObserver& seen) const;
  stats::OpRanges op_of(const IncNode& node, const MaximaObserver& seen) const;
  stats::MoeRanges moe_of(const IncNode& node, const MaximaObserver& seen) const;
  stats::Range stored(stats::Range range) const;

  bool fp8_;
  formats::IncConfig config_;
  formats::IncSelection selection_;
  std::vector<IncNode> nodes_;
};

}  // namespace whit::pipeline
