#include "pipeline/module_weights.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>

#include "base/checked.h"
#include "base/error.h"
#include "formats/inc_modules.h"
#include "pipeline/inc_nodes.h"

namespace whit::pipeline {

namespace {

using base::ErrorKind;
using base::fail;
using checkpoint::Checkpoint;
using tensor::Dtype;
using tensor::TensorView;

constexpr std::int64_t kBlock = 128;  // of DeepSeek's weight_scale_inv
constexpr std::int64_t kRowsAtOnce = 256;

using Names = std::vector<std::string>;

bool all_there(const Checkpoint& checkpoint, const Names& names) {
  return std::all_of(names.begin(), names.end(),
                     [&](const std::string& name) { return checkpoint.has(name); });
}

Names fused_names(const std::string& module) {
  struct Fused {
    std::string_view name;
    std::vector<std::string_view> parts;
  };
  static const std::array<Fused, 3> kFused{
      {{"qkv_proj", {"q_proj", "k_proj", "v_proj"}},
       {"gate_up_proj", {"gate_proj", "up_proj"}},
       {"fused_qkv_a_proj", {"q_a_proj", "kv_a_proj_with_mqa"}}}};
  for (const auto& fused : kFused) {
    if (!module.ends_with(fused.name)) continue;
    const std::string prefix = module.substr(0, module.size() - fused.name.size());
    if (!prefix.empty() && prefix.back() != '.') continue;
    Names names;
    for (const auto part : fused.parts) names.push_back(prefix + std::string(part) + ".weight");
    return names;
  }
  return {};
}

// The two ways in which models name an expert's matrices.
std::vector<Names> expert_names(const formats::ExpertMatrixName& matrix, std::int64_t expert) {
  constexpr std::string_view kExperts = ".experts";
  const auto at = matrix.moe.rfind(kExperts);
  if (at == std::string::npos) return {};
  const std::string prefix =
      fmt::format("{}.{}.", matrix.moe.substr(0, at + kExperts.size()), expert);
  if (matrix.list == "w13_list")
    return {{prefix + "gate_proj.weight", prefix + "up_proj.weight"},
            {prefix + "w1.weight", prefix + "w3.weight"}};
  return {{prefix + "down_proj.weight"}, {prefix + "w2.weight"}};
}

// Files do not tell a prediction layer's decoder block from the layer.
std::string stored_module(std::string module) {
  const auto at = module.find(std::string(".") + kPredictionBlock);
  if (at != std::string::npos) module.erase(at + 1, std::string_view(kPredictionBlock).size());
  return module;
}

std::vector<Names> candidates(const Checkpoint& checkpoint, const std::string& served,
                              std::int64_t first_expert) {
  const std::string module = stored_module(served);
  std::vector<Names> found{{module + ".weight"}};
  if (const auto fused = fused_names(module); !fused.empty()) found.push_back(fused);
  if (const auto matrix = formats::parse_expert_matrix(module))
    for (auto& names : expert_names(*matrix, first_expert + matrix->expert))
      found.push_back(std::move(names));
  const auto& config = checkpoint.config();
  const auto tied = config.is_object() ? config.find("tie_word_embeddings") : config.end();
  if (module == "lm_head" && tied != config.end() && tied->is_boolean() && tied->get<bool>())
    found.push_back({"model.embed_tokens.weight"});
  return found;
}

// Scales beside an FP8 tensor, as a grid over its rows and columns.
struct ScaleGrid {
  std::vector<float> values;
  std::int64_t cols = 1;
  std::int64_t block_rows = 1;
  std::int64_t block_cols = 1;

  float at(std::int64_t row, std::int64_t col) const {
    return values[static_cast<std::size_t>(row / block_rows * cols + col / block_cols)];
  }
};

std::optional<ScaleGrid> scales_of(const Checkpoint& checkpoint, const std::string& name,
                                   std::int64_t rows, std::int64_t cols) {
  std::string scale = name + "_scale_inv";
  if (!checkpoint.has(scale)) scale = name + "_scale";
  if (!checkpoint.has(scale)) return std::nullopt;
  const TensorView view = checkpoint.view(scale);
  const std::int64_t count = view.elements();
  const std::int64_t grid_rows = base::ceil_div(rows, kBlock);
  const std::int64_t grid_cols = base::ceil_div(cols, kBlock);
  ScaleGrid grid;
  if (count == 1) {
    grid.block_rows = rows;
    grid.block_cols = cols;
  } else if (count == rows && (view.shape.size() == 1 || view.shape.back() == 1)) {
    grid.block_cols = cols;
  } else if (view.shape == tensor::Shape{grid_rows, grid_cols}) {
    grid.cols = grid_cols;
    grid.block_rows = grid.block_cols = kBlock;
  } else {
    fail(ErrorKind::kInput, scale, "shape {} for a weight of [{}, {}]; expected 1, {} or [{}, {}]",
         tensor::to_string(view.shape), rows, cols, rows, grid_rows, grid_cols);
  }
  grid.values = tensor::to_f32_vector(view);
  return grid;
}

TensorView row_block(const TensorView& view, std::int64_t cols, std::int64_t row,
                     std::int64_t rows) {
  TensorView block = view;
  block.data += row * cols * numeric::bits_of(view.dtype) / 8;
  block.shape = {rows, cols};
  return block;
}

void check_dtype(const std::string& name, Dtype dtype, bool scaled) {
  const bool fp8 = dtype == Dtype::kF8E4M3 || dtype == Dtype::kF8E5M2;
  if (fp8 && !scaled)
    fail(ErrorKind::kInput, name, "FP8 without {}_scale_inv or {}_scale; expected one", name, name);
  if (!fp8 && dtype != Dtype::kF32 && dtype != Dtype::kBF16 && dtype != Dtype::kF16)
    fail(ErrorKind::kUnsupported, name, "dtype {}; expected F32, BF16, F16 or FP8",
         numeric::name_of(dtype));
}

}  // namespace

ModuleWeight find_module_weight(const Checkpoint& checkpoint, const std::string& module,
                                std::int64_t first_expert) {
  for (const auto& names : candidates(checkpoint, module, first_expert)) {
    if (!all_there(checkpoint, names)) continue;
    ModuleWeight weight;
    weight.tensors = names;
    for (const auto& name : names) {
      const auto& info = checkpoint.info(name);
      if (info.shape.size() < 2 || tensor::element_count(info.shape) == 0)
        fail(ErrorKind::kInput, name, "shape {}; expected a matrix", tensor::to_string(info.shape));
      // A convolution's channels are its first extent; all others are reduced together.
      const std::int64_t cols = tensor::element_count(info.shape) / info.shape[0];
      if (weight.cols != 0 && weight.cols != cols)
        fail(ErrorKind::kInput, name, "{} columns; expected {}, as {} has", cols, weight.cols,
             names.front());
      weight.cols = cols;
      weight.rows += info.shape[0];
      if (info.dtype == Dtype::kF32) weight.dtype = Dtype::kF32;
    }
    return weight;
  }
  return {};
}

void visit_rows(const Checkpoint& checkpoint, const ModuleWeight& weight,
                const std::function<void(std::span<const float>)>& visit) {
  const std::int64_t cols = weight.cols;
  for (const auto& name : weight.tensors) {
    const TensorView view = checkpoint.view(name);
    const std::int64_t rows = view.shape[0];
    const auto scales = scales_of(checkpoint, name, rows, cols);
    check_dtype(name, view.dtype, scales.has_value());
    const bool fp8 = numeric::bits_of(view.dtype) == 8;
    for (std::int64_t first = 0; first < rows; first += kRowsAtOnce) {
      const std::int64_t count = std::min(kRowsAtOnce, rows - first);
      auto values = tensor::to_f32_vector(row_block(view, cols, first, count));
      for (std::int64_t i = 0; i < count; ++i) {
        const std::span<float> row(values.data() + i * cols, static_cast<std::size_t>(cols));
        if (fp8)
          for (std::int64_t k = 0; k < cols; ++k)
            row[static_cast<std::size_t>(k)] *= scales->at(first + i, k);
        if (!std::all_of(row.begin(), row.end(), [](float x) { return std::isfinite(x); }))
          fail(ErrorKind::kInput, name, "NaN or infinity in row {}; expected numbers", first + i);
        visit(row);
      }
    }
    checkpoint.release(name);
  }
}

}  // namespace whit::pipeline
