#pragma once

#include <cstdint>
#include <span>
#include <vector>

#include "model/stage.h"

namespace whit::pipeline {

// Stands before a plain runner and sees its stages pass; asks for no further rows.
class ForwardingRunner : public model::StageRunner {
 public:
  explicit ForwardingRunner(model::StageRunner& plain) : plain_(plain) {}
  std::int64_t expert_block(const model::LayerSpec& layer) override {
    return plain_.expert_block(layer);
  }
  std::vector<std::int32_t> extra_rows(const model::LayerSpec&, int, std::span<const std::int32_t>,
                                       std::span<const float>) override {
    return {};
  }
  bool wants_scores() const override { return false; }

 protected:
  model::StageRunner& plain_;
};

}  // namespace whit::pipeline
