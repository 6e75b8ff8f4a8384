#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "pipeline/inc_nodes.h"
#include "pipeline/maxima.h"

namespace whit::pipeline {

// What a tensor of INC's is in whit's forward: one tensor, one tap.
struct IncTensor {
  enum class From : std::uint8_t {
    kConstant,  // `factor`, whatever the calibration
    kHidden,    // what linears[0] reads
    kProducts,  // of `linears`, before their biases, side by side
    kWeights,   // of `linears`, one below the other
    kOperand,
  };
  From from = From::kConstant;
  std::vector<const model::LinearSpec*> linears;
  Operand operand = Operand::kQuery;
  double factor = 1;
};

struct IncTensors {
  std::vector<IncTensor> inputs;
  std::optional<std::vector<IncTensor>> outputs;
  std::optional<IncTensor> weight;
};

// Of a module; `outputs`: whether those are wanted that INC may leave out. A mixture's outputs are
// the sum, then what each expert's last matrix reads. Source: INC's signatures of classes.
IncTensors tensors_of(const IncNode& node, bool outputs);
// An expert's matrices: kExpertIn, kExpertOut.
IncTensor matrix_of(const IncNode& node, const char* list, std::size_t expert);

const model::LinearSpec& output_linear(const model::LayerSpec& layer);
const model::MoeSpec& mixture_of(const IncNode& node);

}  // namespace whit::pipeline
