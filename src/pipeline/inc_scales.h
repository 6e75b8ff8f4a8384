#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "base/cancel.h"
#include "base/event.h"
#include "checkpoint/checkpoint.h"
#include "formats/inc_config.h"
#include "formats/inc_measurement.h"
#include "formats/inc_scales.h"
#include "quant/fp8_scale.h"

namespace whit::pipeline {

// What a tensor that calibration never saw is scaled for. kBorrow: the largest maximum of its
// siblings, the layer's other experts first, then the same tensor of other layers. kAsInc: 0, from
// which come scales of 0, or the device's smallest.
enum class NoData : std::uint8_t { kBorrow, kAsInc };

struct IncScalesArgs {
  formats::IncConfig config;
  std::string config_subject;
  scheme::Fp8Device device = scheme::Fp8Device::kGaudi3;
  quant::ScaleArithmetic arithmetic = quant::ScaleArithmetic::kInc;
  NoData no_data = NoData::kBorrow;
};

// A maximum of 0, and what was taken instead; nothing where no sibling has data, and the scale
// is 1.
struct UnseenTensor {
  std::string module;
  std::string tensor;  // "inputs[0]"
  std::optional<double> borrowed;
};

struct RankScales {
  formats::IncScaleFile file;
  std::vector<UnseenTensor> unseen;
  std::vector<std::string> warnings;
  std::vector<std::string> unmeasured;  // selected, and not measured
};

// Scales of one rank's modules that the config selects, from what was measured and the
// checkpoint's weights, as INC derives them. `mod_list`: modules that were to be measured. Errors:
// kInput (subject: the module) where a weight is neither in the checkpoint nor measured, or an
// output that a scale needs was not measured; kUnsupported for what a part of a weight would be
// needed for.
RankScales derive_scales(const checkpoint::Checkpoint& checkpoint,
                         const formats::IncMeasurement& measurement,
                         const std::vector<std::string>& mod_list, const IncScalesArgs& args,
                         base::CancelToken& cancel);

// Modules of a checkpoint as if they had been measured, for methods that need no measurements: its
// matrices but embeddings.
formats::IncMeasurement unmeasured_modules(const checkpoint::Checkpoint& checkpoint);

}  // namespace whit::pipeline
