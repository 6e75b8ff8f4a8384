#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/inc_observed.h"
#include "model/weights.h"
#include "numeric/dtype.h"
#include "pipeline/inc_layout.h"
#include "pipeline/tensor_observer.h"

namespace whit::pipeline {

// Takes what a TensorObserver sees, as INC's observers `save` and `shape` do. Saving writes
// MODULE_SLOT_iterK.pt of sequence K, torch files of one tensor in `dtype`, and MODULE_module.pt, a
// module's weight and bias; fused modules have those of their parts, one below the other.
class TensorFiles {
 public:
  // `folder` empty: shapes alone. Errors of take: kResource.
  TensorFiles(std::filesystem::path folder, numeric::Dtype dtype, model::WeightSource& weights)
      : folder_(std::move(folder)), dtype_(dtype), weights_(weights) {}

  void take(const ObservedTensor& seen);
  bool saves() const { return !folder_.empty(); }

  // Of every module of which something was seen: the shapes of the last sequence, or, where tensors
  // were saved, INC's zeros. Tensors that nobody has are [1]; of which no row came, [0].
  std::vector<formats::IncObserved> nodes(const IncLayout& layout) const;

 private:
  void save_module(const ObservedTensor& seen, tensor::Tensor weight) const;
  formats::IncArray noted(const std::string& module, const std::string& slot,
                          const IncTensor& tensor) const;

  std::filesystem::path folder_;
  numeric::Dtype dtype_;
  model::WeightSource& weights_;
  std::map<std::string, std::map<std::string, tensor::Shape>> shapes_;  // by module, by slot
};

}  // namespace whit::pipeline
