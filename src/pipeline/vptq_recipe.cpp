#include "pipeline/vptq_recipe.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cmath>
#include <limits>
#include <map>
#include <tuple>

#include "base/error.h"
#include "formats/vptq.h"
#include "quant/vptq.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;
using scheme::VectorLayout;

namespace {

using Shapes = std::vector<std::pair<std::int64_t, std::int64_t>>;

constexpr std::int64_t kMostPosition = 65535;

// What a codebook of vectors of so many entries loses beside Shannon's bound on Gaussian values,
// measured with k-means.
struct LengthLoss {
  std::int64_t length;
  double factor;
};
constexpr std::array<LengthLoss, 5> kLengths{
    {{2, 1.73}, {4, 1.58}, {6, 1.46}, {8, 1.37}, {12, 1.27}}};
// Two codebooks one after the other are worse than one of all their pairs.
constexpr double kTwoStages = 1.18;
// Indices that VPTQ's kernels know.
constexpr std::array<int, 8> kMainBits{4, 8, 10, 12, 13, 14, 15, 16};
constexpr std::array<int, 14> kResidualBits{0, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 15, 16};
// Codebooks may claim a twentieth more than what was asked for.
constexpr double kOverrun = 1.05;

// Columns of different sizes that one codebook serves as they are.
constexpr double kNoNorm = 1.25;

double expected_error(const LengthLoss& length, int main_bits, int residual_bits, bool normed) {
  const double rate =
      static_cast<double>(main_bits + residual_bits) / static_cast<double>(length.length);
  return length.factor * (residual_bits > 0 ? kTwoStages : 1.0) * (normed ? 1.0 : kNoNorm) *
         std::exp2(-2 * rate);
}

bool fits(const VectorLayout& layout, const Shapes& shapes, double bits) {
  double needed = 0;
  double weights = 0;
  for (const auto& [rows, cols] : shapes) {
    const std::int64_t vectors = layout.chunks(rows) * cols;
    if (layout.length > rows || layout.centroids * 2 > vectors || layout.residuals * 2 > vectors)
      return false;
    needed += static_cast<double>(stored_bits(layout, rows, cols));
    weights += static_cast<double>(rows * cols);
  }
  return needed <= bits * kOverrun * weights;
}

// Loaders that fuse linears want the same sizes in what reads one hidden state, and in all that a
// layer's experts consist of.
using Fused = std::tuple<int, stats::Site>;

Fused fused_of(const model::LinearSpec& linear) {
  const bool expert = linear.reads.expert >= 0;
  return {linear.reads.layer, expert ? stats::Site::kExpertIn : linear.reads.site};
}

VectorLayout asked_layout(const VptqRecipe& vptq, const model::LinearSpec& linear) {
  VectorLayout layout = vptq.layout;
  const auto cols = static_cast<double>(linear.in_features);
  layout.outliers = static_cast<std::int64_t>(std::ceil(vptq.outlier_percent / 100 * cols));
  if (vptq.group_size > 0) {
    layout.outliers += (linear.in_features - layout.outliers) % vptq.group_size;
    layout.groups =
        std::max<std::int64_t>(1, (linear.in_features - layout.outliers) / vptq.group_size);
  } else {
    layout.outliers += (linear.in_features - layout.outliers) % layout.groups;
  }
  if (layout.outliers > 0 && layout.outlier_centroids == 0 && vptq.outlier_percent == 0)
    fail(ErrorKind::kUsage, vptq.group_size > 0 ? "--group-size" : "--group-num",
         "{} leaves {} of the {} columns of {} over; expected a divisor, or a codebook of outliers "
         "for them (--num-centroids)",
         vptq.group_size > 0 ? vptq.group_size : layout.groups, layout.outliers, linear.in_features,
         linear.module);
  if (layout.outliers > 0 && layout.outlier_centroids == 0)
    fail(ErrorKind::kUsage, "--num-centroids",
         "-1 for the {} outlier columns of {}; expected a codebook for them", layout.outliers,
         linear.module);
  if (layout.outliers == 0) layout.outlier_length = layout.outlier_centroids = 0;
  return layout;
}

}  // namespace

int rounds_of(Quality quality) {
  switch (quality) {
    case Quality::kFast:
      return 0;
    case Quality::kDefault:
      return 8;
    case Quality::kBest:
      break;
  }
  return 16;
}

void validate_vptq(const Recipe& recipe) {
  if (recipe.method != Method::kVptq) return;
  const VptqRecipe& vptq = recipe.vptq;
  if (recipe.format != formats::WeightFormat::kVptq)
    fail(ErrorKind::kUsage, "--format", "{} with --method vptq; expected vptq",
         formats::name_of(recipe.format));
  if (!vptq.hessians.empty() && !recipe.calibration.empty())
    fail(ErrorKind::kUsage, "--hessian-path",
         "given together with --calibration; expected one of them");
  if (recipe.calibration.empty() && vptq.hessians.empty())
    throw base::Error(ErrorKind::kUsage, "--calibration",
                      "absent; expected a file of text for vptq")
        .suggest("give --calibration FILE.jsonl, or --hessian-path DIR of VPTQ's Hessians");
  if (vptq.bits && (!(*vptq.bits >= 1) || *vptq.bits > 8))
    fail(ErrorKind::kUsage, "--bits", "{}; expected 1 to 8", *vptq.bits);
  if (!(vptq.outlier_percent >= 0) || vptq.outlier_percent >= 100)
    fail(ErrorKind::kUsage, "--npercent", "{}; expected from 0 to less than 100",
         vptq.outlier_percent);
  if (vptq.layout.groups < 1)
    fail(ErrorKind::kUsage, "--group-num", "{}; expected 1 or more", vptq.layout.groups);
  if (!vptq.permute && vptq.outlier_percent > 0)
    fail(ErrorKind::kUsage, "--npercent",
         "{} without --enable-perm, which puts the columns of largest inputs first; expected both",
         vptq.outlier_percent);
  if (vptq.kmeans.iterations < 0)
    fail(ErrorKind::kUsage, "--kiter", "{}; expected 0 or more", vptq.kmeans.iterations);
  if (!(vptq.kmeans.tolerance >= 0))
    fail(ErrorKind::kUsage, "--ktol", "{}; expected 0 or more", vptq.kmeans.tolerance);
  if (!(vptq.kmeans.least_gain >= 0) || vptq.kmeans.least_gain >= 1)
    fail(ErrorKind::kUsage, "--kmeans-stop", "{}; expected from 0 to less than 1",
         vptq.kmeans.least_gain);
  const Refinement& refinement = recipe.refinement;
  const std::array<std::pair<bool, const char*>, 6> others{
      {{refinement.output_metric, "--output-metric"},
       {refinement.held_out, "--held-out"},
       {refinement.signed_scales, "--signed-scales"},
       {refinement.weighted_scales, "--weighted-scales"},
       {refinement.refit_scales, "--refit-scales"},
       {refinement.descent_passes > 0, "--descent-passes"}}};
  for (const auto& [asked, flag] : others)
    if (asked)
      fail(ErrorKind::kUnsupported, flag,
           "with --method vptq, whose codes it does not know; expected --beam and --rounds");
  if (refinement.teacher && recipe.calibration.empty())
    fail(ErrorKind::kUsage, "--teacher-share",
         "with --hessian-path, which holds nothing of the original model's activations; expected "
         "--calibration");
  if (vptq.beam < 1) fail(ErrorKind::kUsage, "--beam", "{}; expected 1 or more", vptq.beam);
  if (vptq.rounds < 0) fail(ErrorKind::kUsage, "--rounds", "{}; expected 0 or more", vptq.rounds);
}

std::int64_t stored_bits(const VectorLayout& layout, std::int64_t rows, std::int64_t cols) {
  std::int64_t bits = 0;
  for (const auto& entry : formats::vptq_layout("", rows, cols, layout, tensor::Dtype::kBF16))
    bits += 8 * static_cast<std::int64_t>(tensor::byte_size(entry.shape, entry.dtype));
  return bits;
}

VectorLayout layout_for(double bits, const Shapes& shapes) {
  VectorLayout best;
  double least = std::numeric_limits<double>::infinity();
  const auto consider = [&](const LengthLoss& length, int main, int residual, bool normed) {
    const double error = expected_error(length, main, residual, normed);
    if (residual > main || error >= least) return;
    VectorLayout layout;
    layout.length = length.length;
    layout.centroids = std::int64_t{1} << main;
    layout.residuals = residual == 0 ? 0 : std::int64_t{1} << residual;
    layout.normed = normed;
    if (!fits(layout, shapes, bits)) return;
    best = layout;
    least = error;
  };
  for (const LengthLoss& length : kLengths)
    for (const int main : kMainBits)
      for (const int residual : kResidualBits)
        for (const bool normed : {true, false}) consider(length, main, residual, normed);
  return best;
}

void bind_vptq(BoundRecipe& bound, const std::vector<const model::LinearSpec*>& selected,
               std::string_view model_dtype) {
  const VptqRecipe& vptq = bound.recipe.vptq;
  bound.scale_dtype = model_dtype == "float16" ? tensor::Dtype::kF16 : tensor::Dtype::kBF16;
  std::map<Fused, Shapes> fused;
  for (const auto* linear : selected) {
    Shapes& shapes = fused[fused_of(*linear)];
    const std::pair shape{linear->out_features, linear->in_features};
    if (linear->reads.expert <= 0) shapes.push_back(shape);
  }
  std::map<Fused, VectorLayout> chosen;
  for (const auto* linear : selected) {
    VectorLayout layout;
    if (vptq.bits) {
      const Fused key = fused_of(*linear);
      Shapes& shapes = fused[key];
      if (shapes.empty()) shapes.push_back({linear->out_features, linear->in_features});
      if (!chosen.contains(key)) chosen[key] = layout_for(*vptq.bits, shapes);
      layout = chosen[key];
      if (layout.centroids == 0)
        throw base::Error(
            ErrorKind::kUsage, "--bits",
            fmt::format("{} for {} [{}, {}], whose codebooks alone need more; "
                        "expected more bits",
                        *vptq.bits, linear->module, linear->out_features, linear->in_features))
            .suggest("or leave such weights out with --ignore");
    } else {
      layout = asked_layout(vptq, *linear);
      layout.normed = vptq.layout.normed;
    }
    try {
      quant::check_layout(layout, linear->out_features, linear->in_features);
    } catch (base::Error& error) {
      throw error.add_context("for " + linear->module);
    }
    const bool absorbed = vptq.absorb && layout.groups == 1 && layout.outliers == 0;
    layout.permuted = vptq.permute && !absorbed;
    if (layout.permuted && linear->in_features > kMostPosition)
      fail(ErrorKind::kUnsupported, linear->module,
           "{} columns in an order that 16 bits store; expected at most {}", linear->in_features,
           kMostPosition);
    bound.vectors.emplace(linear->module, layout);
  }
}

}  // namespace whit::pipeline
