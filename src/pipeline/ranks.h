#pragma once

#include <utility>

#include "comm/communicator.h"
#include "compute/backend.h"
#include "model/spec.h"
#include "model/stage.h"
#include "model/weights.h"

namespace whit::pipeline {

// Several ranks of one job, or the one that does all of it. See docs/adr/0009-ranks.md.
class Ranks {
 public:
  // communicator: null for one process.
  explicit Ranks(comm::Communicator* communicator) : communicator_(communicator) {}

  bool several() const { return communicator_ != nullptr && communicator_->size() > 1; }
  int count() const { return several() ? communicator_->size() : 1; }
  int rank() const { return several() ? communicator_->rank() : 0; }
  // Writes files and speaks.
  bool is_root() const { return rank() == 0; }
  // Of several.
  comm::Communicator& communicator() const { return *communicator_; }
  comm::Communicator* get() const { return several() ? communicator_ : nullptr; }

  // Whether all ranks are at this stage together: an expert's is one rank's alone.
  bool share(const model::Stage& stage) const { return several() && stage.strands > 0; }
  // Whose turn the i-th of several like pieces of work is.
  int turn(std::size_t i) const { return static_cast<int>(i % static_cast<std::size_t>(count())); }

  void barrier() const {
    if (several()) communicator_->barrier();
  }
  // The largest, and the least, of everyone's value.
  float largest(float value) const;
  std::int64_t least(std::int64_t value) const;
  // F32 rows of `root`'s device on everyone's: `weight` is looked at there alone.
  model::WeightHandle broadcast(int root, const model::WeightHandle& weight,
                                const tensor::Shape& shape, compute::Backend& backend) const;

 private:
  comm::Communicator* communicator_;
};

}  // namespace whit::pipeline
