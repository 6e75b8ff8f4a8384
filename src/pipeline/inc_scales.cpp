#include "pipeline/inc_scales.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/error.h"
#include "formats/inc_modules.h"
#include "pipeline/sibling_maxima.h"
#include "pipeline/weight_scales.h"

namespace whit::pipeline {

namespace {

using base::ErrorKind;
using base::fail;
using formats::IncModuleScales;
using formats::IncScale;
using quant::Fp8ScaleArgs;
using quant::ScaleArithmetic;
using stats::OpRanges;
using stats::OpType;
using tensor::Dtype;

// Least scale whose inverse is finite.
double smallest_scale(const IncScalesArgs& args) {
  return args.config.hp_dtype == Dtype::kF16 ? 0x1p-14 : quant::kSmallestChannelScale;
}

class Deriver {
 public:
  Deriver(const checkpoint::Checkpoint& checkpoint, const stats::RankRanges& ranges,
          const IncScalesArgs& args)
      : checkpoint_(checkpoint),
        ranges_(ranges),
        args_(args),
        siblings_(ranges),
        vllm_(formats::looks_like_vllm(ranges)),
        selection_(args.config, args.config_subject) {}

  bool selects(const std::string& module, OpType op) {
    const auto classes = formats::likely_classes(op, module, vllm_);
    std::vector<std::string> selected;
    for (const auto& name : classes)
      if (selection_.selects(module, name)) selected.push_back(name);
    if (!selected.empty() && selected.size() < classes.size() && doubtful_.insert(classes).second)
      result_.warnings.push_back(
          fmt::format("{} and its like: taken for {}, one of {}, of which the config selects some",
                      module, selected.front(), fmt::join(classes, ", ")));
    return !selected.empty();
  }

  void add_op(const std::string& module, OpRanges op) {
    // Measured without its parameters.
    if (op.op == OpType::kKvCache && checkpoint_.has(module + ".weight")) op.op = OpType::kLinear;
    if (!selects(module, op.op)) return;
    begin(module, op.op);
    switch (op.op) {
      case OpType::kLinear:
      case OpType::kRowParallelLinear:
        return add_linear(op, 0);
      case OpType::kMatmul:
        return add_product(input(op, 0), input(op, 1));
      case OpType::kBatchMatmul:
        // The second input holds rows of the cache that nobody wrote; the output's range stands in.
        return add_product(input(op, 0), activation(output(op, 0), "outputs[0]"));
      case OpType::kKvCache:
        now_.inputs = {input(op, 0)};
        now_.outputs = now_.inputs;
        break;
      case OpType::kSoftmax:
        now_.outputs = {activation(output(op, 0), "outputs[0]", true)};
        break;
      case OpType::kFusedSdpa:
        now_.inputs = {input(op, 0), input(op, 1), input(op, 2),
                       activation(output(op, 1), "outputs[1]")};
        now_.outputs = {activation(output(op, 0), "outputs[0]", true)};
        break;
      case OpType::kMoe:
        base::check(false, "experts are not plain operations");
    }
    end();
  }

  void add_moe(const std::string& name, const stats::MoeRanges& moe) {
    const std::size_t slices = std::max<std::size_t>(1, moe.slices.size());
    const std::size_t share = moe.experts.size() / slices;
    whole_expert_ = moe.numbered;
    for (std::size_t s = 0; s < slices; ++s) {
      const std::string module = formats::slice_name(name, s);
      const std::span experts(moe.experts.data() + s * share, share);
      IncModuleScales served;
      if (!moe.slices.empty() && selects(module, OpType::kMoe)) {
        begin(module, OpType::kMoe);
        now_.inputs = {input(moe.slices[s], 0)};
        for (std::size_t e = 0; e < share; ++e)
          now_.inputs.push_back(activation(experts[e].intermediate.value_or(stats::Range{0}),
                                           fmt::format("outputs[{}]", e + 1), false, moe.experts));
        now_.outputs = {activation(output(moe.slices[s], 0), "outputs[0]", true)};
        served = now_;
        end();
      }
      add_matrices(module, experts, served,
                   moe.first_expert + static_cast<std::int64_t>(s * share));
    }
    whole_expert_ = false;
  }

  RankScales take() {
    if (zero_channels_ > 0)
      result_.warnings.push_back(fmt::format(
          "{} output channels of weights are zero; their scales are the smallest there are",
          zero_channels_));
    return std::move(result_);
  }

 private:
  void begin(const std::string& module, OpType op) {
    now_ = {};
    now_.module = module;
    op_ = op;
    method_ = &args_.config.methods.of(module, formats::likely_classes(op, module, vllm_).front());
  }
  void end() {
    for (auto* scales : {&now_.inputs, &now_.outputs})
      for (auto& scale : *scales) store(scale);
    if (now_.weight) store(*now_.weight);
    result_.file.modules.push_back(std::move(now_));
  }
  // Scales are fp32 numbers in files and kernels.
  static void store(IncScale& scale) {
    for (double& value : scale.values) value = double{static_cast<float>(value)};
  }

  Fp8ScaleArgs scale_args(const scheme::TensorScaling& scaling) const {
    return {
        scaling, {args_.config.fp8_format, args_.device}, args_.arithmetic, args_.config.hp_dtype};
  }

  const stats::Range& output(const OpRanges& op, std::size_t place) const {
    if (!op.outputs || op.outputs->size() <= place)
      fail(ErrorKind::kInput, now_.module, "outputs[{}] of {} was not measured; expected it", place,
           stats::name_of(op_));
    return (*op.outputs)[place];
  }
  IncScale input(const OpRanges& op, std::size_t place) {
    return activation(op.inputs[place], fmt::format("inputs[{}]", place));
  }

  // The maximum of an activation, or what stands in where calibration never saw it.
  double maximum(const stats::Range& range, const std::string& tensor,
                 std::span<const stats::ExpertRanges> experts) {
    const double amax = *std::max_element(range.begin(), range.end());
    if (amax > 0 || args_.no_data == NoData::kAsInc) return amax;
    const auto borrowed = experts.empty() ? siblings_.of(now_.module, tensor)
                                          : siblings_.of(now_.module, tensor, experts);
    result_.unseen.push_back({now_.module, tensor, borrowed});
    return borrowed.value_or(0);
  }

  IncScale activation(const stats::Range& range, const std::string& tensor, bool is_output = false,
                      std::span<const stats::ExpertRanges> experts = {}) {
    if (args_.config.dynamic_quantization) return {};
    Fp8ScaleArgs args = scale_args(method_->activation);
    if (is_output && args_.config.output_backoff)
      args.scaling.backoff = *args_.config.output_backoff;
    if (args.scaling.value == scheme::ScaleValue::kFixed)
      return IncScale::one(quant::tensor_scale(0, args));
    const double amax = maximum(range, tensor, experts);
    return IncScale::one(usable(
        amax == 0 && args_.no_data == NoData::kBorrow ? 1.0 : quant::tensor_scale(amax, args),
        amax));
  }

  // Never 0, whose inverse is infinite, unless that is what was asked for.
  double usable(double scale, double amax) {
    if (scale > 0 || args_.no_data == NoData::kAsInc) return scale;
    result_.warnings.push_back(fmt::format("{}: the scale of amax {} is 0 in hp_dtype; {} is taken",
                                           now_.module, amax, smallest_scale(args_)));
    return smallest_scale(args_);
  }

  IncScale product(const IncScale& a, const IncScale& b, Dtype dtype) const {
    if (a.values.empty() || b.values.empty()) return {};
    IncScale scale{{}, b.list};
    for (const double value : b.values)
      scale.values.push_back(quant::scale_product(a.values[0], value, args_.arithmetic, dtype));
    return scale;
  }

  void add_product(IncScale a, IncScale b) {
    now_.outputs = {product(a, b, args_.config.hp_dtype)};
    now_.inputs = {std::move(a), std::move(b)};
    end();
  }

  void add_linear(const OpRanges& op, std::int64_t first_expert) {
    now_.inputs = {input(op, 0)};
    finish_linear(op, first_expert);
  }

  void finish_linear(const OpRanges& op, std::int64_t first_expert) {
    const WeightScales weight = scales_of_weight(op, first_expert);
    now_.weight = weight.scale;
    zero_channels_ += method_->weight.granularity == scheme::ScaleGranularity::kChannel
                          ? weight.zero_channels
                          : 0;
    if (method_->activation.value == scheme::ScaleValue::kFixed)
      now_.outputs = {now_.inputs[0]};
    else if (op.op == OpType::kRowParallelLinear)
      add_row_parallel_outputs(op);
    else
      now_.outputs = {product(now_.inputs[0], weight.scale, weight.product_dtype)};
    end();
  }

  void add_row_parallel_outputs(const OpRanges& op) {
    const auto output_backoff = args_.config.output_backoff;
    const bool reduced = args_.config.row_parallel_linear_allreduce_quantization;
    scheme::ScaleMethod method = *method_;
    // Outputs that are reduced in FP8 use the whole range.
    if (reduced && !output_backoff) method.activation.backoff = 1;
    const auto* kept = method_;
    method_ = &method;
    now_.outputs = {activation(output(op, 0), "outputs[0]", true)};
    if (reduced) now_.outputs.push_back(activation(output(op, 1), "outputs[1]", true));
    method_ = kept;
  }

  // The checkpoint's weight; of a rank's part, what was measured of it.
  WeightScales scales_of_weight(const OpRanges& op, std::int64_t first_expert) {
    Fp8ScaleArgs args = scale_args(method_->weight);
    const bool whole = ranges_.world == 1 || whole_expert_;
    const auto measured = op.params.find("weight");
    const bool simple = args.scaling.granularity == scheme::ScaleGranularity::kTensor &&
                        args.scaling.value == scheme::ScaleValue::kMaxabs;
    const ModuleWeight weight = find_module_weight(checkpoint_, now_.module, first_expert);
    WeightScales scales;
    if (weight.found() && (whole || args.scaling.value == scheme::ScaleValue::kFixed)) {
      scales = weight_scales(checkpoint_, weight, args,
                             args_.no_data == NoData::kAsInc ? 0 : smallest_scale(args_));
      compare_measured(scales, op);
      if (args.scaling.granularity == scheme::ScaleGranularity::kChannel &&
          args.scaling.value != scheme::ScaleValue::kFixed)
        now_.weight_in =
            IncScale{std::vector<double>(static_cast<std::size_t>(weight.cols), 1), true};
    } else if (simple && measured != op.params.end()) {
      scales.amax = *std::max_element(measured->second.begin(), measured->second.end());
      scales.scale = IncScale::one(quant::tensor_scale(scales.amax, args));
      scales.product_dtype = args_.config.hp_dtype;
    } else if (!weight.found()) {
      fail(ErrorKind::kInput, now_.module + ".weight",
           "neither in {} nor measured; expected the module's weight, or its parts",
           checkpoint_.folder().string());
    } else {
      fail(ErrorKind::kUnsupported, now_.module + ".weight",
           "scales of one of {} ranks' part by {}; expected measurements of one rank, or a method "
           "of whole maxima",
           ranges_.world, scheme::to_string(args.scaling));
    }
    if (scales.amax == 0 && simple && args_.no_data == NoData::kBorrow &&
        args.scaling.value != scheme::ScaleValue::kFixed) {
      scales.scale = IncScale::one(1);
      result_.unseen.push_back({now_.module, "weight", std::nullopt});
    }
    if (!scales.scale.list) scales.scale.values[0] = usable(scales.scale.values[0], scales.amax);
    return scales;
  }

  void compare_measured(const WeightScales& scales, const OpRanges& op) {
    const auto measured = op.params.find("weight");
    if (measured == op.params.end() || scales.amax == 0) return;
    const double amax = *std::max_element(measured->second.begin(), measured->second.end());
    if (std::abs(amax - scales.amax) <= scales.amax / 64) return;
    result_.warnings.push_back(fmt::format(
        "{}: the measured weight reaches {}, the checkpoint's {}; the checkpoint's is taken",
        now_.module, amax, scales.amax));
  }

  // Inputs of an expert's matrices are not measured, only counted as such: kernels take the scale
  // of the hidden states for one list, of the expert's intermediate for the other.
  void add_matrices(const std::string& moe, std::span<const stats::ExpertRanges> experts,
                    const IncModuleScales& served, std::int64_t first_expert) {
    std::set<std::string> lists;
    for (const auto& expert : experts)
      for (const auto& [list, op] : expert.matrices) lists.insert(list);
    for (const auto& list : lists)
      for (std::size_t e = 0; e < experts.size(); ++e) {
        const auto matrix = experts[e].matrices.find(list);
        if (matrix == experts[e].matrices.end()) continue;
        const std::string module = fmt::format("{}.{}.{}", moe, list, e);
        if (!selects(module, OpType::kLinear)) continue;
        begin(module, OpType::kLinear);
        const std::size_t place = list == "w13_list" ? 0 : e + 1;
        now_.inputs = {matrix_input(matrix->second, served.inputs.size() > place
                                                        ? served.inputs[place]
                                                        : IncScale::one(1))};
        finish_linear(matrix->second, first_expert);
      }
  }

  IncScale matrix_input(const OpRanges& op, const IncScale& served) {
    const auto& range = op.inputs[0];
    if (*std::max_element(range.begin(), range.end()) > 0) return input(op, 0);
    if (args_.config.dynamic_quantization) return {};
    const double scale = quant::tensor_scale(0, scale_args(method_->activation));
    return scale > 0 || args_.no_data == NoData::kAsInc ? IncScale::one(scale) : served;
  }

  const checkpoint::Checkpoint& checkpoint_;
  const stats::RankRanges& ranges_;
  const IncScalesArgs& args_;
  SiblingMaxima siblings_;
  bool vllm_;
  formats::IncSelection selection_;
  std::set<std::vector<std::string>> doubtful_;
  IncModuleScales now_;
  OpType op_ = OpType::kLinear;
  const scheme::ScaleMethod* method_ = nullptr;
  bool whole_expert_ = false;  // though the job had several ranks
  std::int64_t zero_channels_ = 0;
  RankScales result_;
};

}  // namespace

RankScales derive_scales(const checkpoint::Checkpoint& checkpoint,
                         const formats::IncMeasurement& measurement,
                         const std::vector<std::string>& mod_list, const IncScalesArgs& args,
                         base::CancelToken& cancel) {
  const auto& ranges = measurement.ranges;
  Deriver deriver(checkpoint, ranges, args);
  for (const auto& name : ranges.order) {
    cancel.throw_if_cancelled();
    const auto op = ranges.ops.find(name);
    if (op != ranges.ops.end())
      deriver.add_op(name, op->second);
    else
      deriver.add_moe(name, ranges.moes.at(name));
  }
  RankScales result = deriver.take();
  const auto unmeasured = unmeasured_of(ranges, mod_list);
  for (const auto& module : unmeasured)
    if (deriver.selects(module, OpType::kLinear)) result.unmeasured.push_back(module);
  return result;
}

formats::IncMeasurement unmeasured_modules(const checkpoint::Checkpoint& checkpoint) {
  constexpr std::string_view kWeight = ".weight";
  formats::IncMeasurement measurement;
  for (const auto& name : checkpoint.names()) {
    if (!name.ends_with(kWeight) || checkpoint.info(name).shape.size() != 2) continue;
    const std::string module = name.substr(0, name.size() - kWeight.size());
    if (module.find("embed") != std::string::npos) continue;
    OpRanges op;
    op.inputs = {stats::Range{0}};
    measurement.ranges.order.push_back(module);
    measurement.ranges.ops[module] = std::move(op);
  }
  return measurement;
}

}  // namespace whit::pipeline
