#pragma once

#include "model/weights.h"

namespace whit::pipeline {

// Passes everything on to another source; what derives from it changes some of that.
class ForwardingWeights : public model::WeightSource {
 public:
  explicit ForwardingWeights(model::WeightSource& inner) : inner_(inner) {}
  model::WeightHandle linear(const model::LinearSpec& spec) override { return inner_.linear(spec); }
  model::WeightHandle bias(const model::LinearSpec& spec) override { return inner_.bias(spec); }
  model::WeightHandle vector(const model::VectorSpec& spec) override { return inner_.vector(spec); }
  model::WeightHandle table(const model::LinearSpec& spec) override { return inner_.table(spec); }
  void release(int layer) override { inner_.release(layer); }

 protected:
  model::WeightSource& inner_;
};

}  // namespace whit::pipeline
