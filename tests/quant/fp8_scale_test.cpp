#include "quant/fp8_scale.h"

#include <gtest/gtest.h>

#include <cmath>

#include "base/error.h"
#include "numeric/float_codec.h"

// Numbers of neural_compressor_pt 3.10 and of published Gaudi calibrations, re-derived from its
// formulas (the columns named inc reproduce it bit for bit).
namespace whit::quant {
namespace {

using scheme::Fp8Device;
using scheme::Fp8Format;
using scheme::Fp8Target;
using tensor::Dtype;
constexpr auto kExact = ScaleArithmetic::kExact;
constexpr auto kInc = ScaleArithmetic::kInc;
constexpr Fp8Target kG2{Fp8Format::kE4M3, Fp8Device::kGaudi2};
constexpr Fp8Target kG3{Fp8Format::kE4M3, Fp8Device::kGaudi3};

Fp8ScaleArgs activation(const char* method, const Fp8Target& target, ScaleArithmetic arithmetic) {
  return {scheme::find_scale_method(method)->method.activation, target, arithmetic, Dtype::kBF16};
}
Fp8ScaleArgs weight(const char* method, const Fp8Target& target, ScaleArithmetic arithmetic) {
  return {scheme::find_scale_method(method)->method.weight, target, arithmetic, Dtype::kBF16};
}

// A published number of ten digits, or an exact power of two.
void expect_published(double found, double published, const std::string& what) {
  EXPECT_LE(std::abs(found - published), std::abs(published) * 1e-8) << what << " " << found;
}

struct Cell {
  double exact;
  double inc;
};
struct Row {
  double amax;
  Cell g2_arbitrary, g2_pow2, g2_hw, g3_arbitrary, g3_pow2, g3_hw;
};

const double kLeast = std::ldexp(1.0, -55);
const std::vector<Row> kActivationRows{
    {0, {0, 0}, {0, 0}, {0.00390625, 0.00390625}, {0, 0}, {0, 0}, {kLeast, kLeast}},
    {0.234375,
     {0.00390625, 0.00390625},
     {0.00390625, 0.00390625},
     {0.00390625, 0.00390625},
     {0.00209263392857, 0.002090454102},
     {0.00390625, 0.00390625},
     {0.00390625, 0.00390625}},
    {0.236328125,
     {0.00393880208333, 0.003936767578},
     {0.0078125, 0.00390625},
     {0.0625, 0.00390625},
     {0.00211007254464, 0.002105712891},
     {0.00390625, 0.00390625},
     {0.00390625, 0.00390625}},
    {0.4296875,
     {0.00716145833333, 0.007171630859},
     {0.0078125, 0.0078125},
     {0.0625, 0.0625},
     {0.00383649553571, 0.003829956055},
     {0.00390625, 0.00390625},
     {0.00390625, 0.00390625}},
    {1.0,
     {0.0166666666667, 0.01672363281},
     {0.03125, 0.03125},
     {0.0625, 0.0625},
     {0.00892857142857, 0.00891113281},
     {0.015625, 0.015625},
     {0.015625, 0.015625}},
    {6.34375,
     {0.105729166667, 0.1059570312},
     {0.125, 0.125},
     {1, 1},
     {0.056640625, 0.056640625},
     {0.0625, 0.0625},
     {0.0625, 0.0625}},
    {60, {1, 1}, {1, 1}, {1, 1}, {0.535714285714, 0.53515625}, {1, 1}, {1, 1}},
    {62.75,
     {1.04583333333, 1.046875},
     {2, 2},
     {16, 16},
     {0.560267857143, 0.55859375},
     {1, 1},
     {1, 1}},
    {112, {1.86666666667, 1.8671875}, {2, 2}, {16, 16}, {1, 1}, {1, 1}, {1, 1}},
    {1000,
     {16.6666666667, 16.625},
     {32, 32},
     {16, 16},
     {8.92857142857, 8.9375},
     {16, 16},
     {16, 16}},
    {20000,
     {333.333333333, 332},
     {512, 512},
     {16, 16},
     {178.571428571, 178},
     {256, 256},
     {128, 128}},
};

TEST(Fp8Scale, ActivationsOfEveryRounding) {
  for (const auto& row : kActivationRows) {
    const auto expect = [&](const char* method, const Fp8Target& target, Cell cell) {
      const std::string what = fmt::format("{} {}", method, row.amax);
      expect_published(tensor_scale(row.amax, activation(method, target, kExact)), cell.exact,
                       what);
      expect_published(tensor_scale(row.amax, activation(method, target, kInc)), cell.inc,
                       what + " inc");
    };
    expect("MAXABS_ARBITRARY", kG2, row.g2_arbitrary);
    expect("MAXABS_POW2", kG2, row.g2_pow2);
    expect("MAXABS_HW", kG2, row.g2_hw);
    expect("MAXABS_ARBITRARY", kG3, row.g3_arbitrary);
    expect("MAXABS_POW2", kG3, row.g3_pow2);
    expect("MAXABS_HW", kG3, row.g3_hw);
  }
}

struct WeightRow {
  double amax;
  Cell g2_pow2, g2_hw;
  double g3;
};

TEST(Fp8Scale, WeightsOfEveryRounding) {
  const std::vector<WeightRow> rows{
      {0.02, {0.000244140625, 0.000244140625}, {0.00390625, 0.00390625}, 0.0001220703125},
      {0.23828125, {0.00390625, 0.001953125}, {0.00390625, 0.00390625}, 0.001953125},
      {0.46875, {0.00390625, 0.00390625}, {0.00390625, 0.00390625}, 0.00390625},
      {0.470703125, {0.0078125, 0.00390625}, {0.0625, 0.00390625}, 0.00390625},
      {0.47265625, {0.0078125, 0.00390625}, {0.0625, 0.00390625}, 0.00390625},
      {0.474609375, {0.0078125, 0.0078125}, {0.0625, 0.0625}, 0.00390625},
      {0.84765625, {0.0078125, 0.0078125}, {0.0625, 0.0625}, 0.00390625},
      {2.0, {0.03125, 0.03125}, {0.0625, 0.0625}, 0.015625},
      {224, {2, 2}, {16, 16}, 1},
  };
  for (const auto& row : rows) {
    EXPECT_EQ(tensor_scale(row.amax, weight("MAXABS_POW2", kG2, kExact)), row.g2_pow2.exact);
    EXPECT_EQ(tensor_scale(row.amax, weight("MAXABS_POW2", kG2, kInc)), row.g2_pow2.inc)
        << row.amax;
    EXPECT_EQ(tensor_scale(row.amax, weight("MAXABS_HW", kG2, kExact)), row.g2_hw.exact);
    EXPECT_EQ(tensor_scale(row.amax, weight("MAXABS_HW", kG2, kInc)), row.g2_hw.inc) << row.amax;
    for (const auto arithmetic : {kExact, kInc})
      for (const char* method : {"MAXABS_POW2", "MAXABS_HW"})
        EXPECT_EQ(tensor_scale(row.amax, weight(method, kG3, arithmetic)), row.g3) << row.amax;
  }
}

// From files that were published with their measurements.
TEST(Fp8Scale, PublishedPairs) {
  const double s4 = std::ldexp(1.0, -4);
  const double s8 = std::ldexp(1.0, -8);
  const std::vector<std::pair<double, double>> activations{
      {6.34375, 1},         {16.875, 1},       {0.4296875, s4},
      {0.025146484375, s8}, {1.6640625, s4},   {27.5, 1},
      {0.07861328125, s8},  {58.5, 1},         {62.75, 16},
      {64.5, 16},           {304, 16},         {2.3125, s4},
      {4.40625, 1},         {0.283203125, s4}, {0.271484375, s4},
      {0.228515625, s8},    {0.13671875, s8},  {0, s8}};
  for (const auto& [amax, scale] : activations)
    EXPECT_EQ(tensor_scale(amax, activation("MAXABS_HW", kG2, kInc)), scale) << amax;
  const std::vector<std::pair<double, double>> weights{
      {0.26171875, s8}, {0.84765625, s4}, {0.470703125, s8}, {0.4921875, s4},
      {0.50390625, s4}, {0.4453125, s8},  {0.56640625, s4}};
  for (const auto& [amax, scale] : weights)
    EXPECT_EQ(tensor_scale(amax, weight("MAXABS_HW", kG2, kInc)), scale) << amax;
  EXPECT_EQ(scale_product(1, s8, kInc, Dtype::kBF16), s8);
  EXPECT_EQ(scale_product(s8, s8, kInc, Dtype::kBF16), 1.52587890625e-05);
  const double none = tensor_scale(0, activation("MAXABS_HW", kG3, kInc));
  EXPECT_EQ(none, 2.7755575615628914e-17);
  EXPECT_EQ(scale_product(none, std::ldexp(1.0, -10), kInc, Dtype::kBF16), 2.710505431213761e-20);
}

TEST(Fp8Scale, FixedScales) {
  EXPECT_EQ(tensor_scale(7, weight("UNIT_SCALE", kG2, kInc)), 1);
  EXPECT_EQ(tensor_scale(7, weight("HW_ALIGNED_SINGLE_SCALE", kG2, kInc)), 16);
  EXPECT_EQ(tensor_scale(7, activation("HW_ALIGNED_SINGLE_SCALE", kG3, kExact)), 128);
  Fp8ScaleArgs dummy;
  dummy.scaling.value = scheme::ScaleValue::kDummy;
  EXPECT_EQ(tensor_scale(7, dummy), 1);
}

TEST(Fp8Scale, Fp16Underflows) {
  auto args = activation("MAXABS_HW", kG3, kInc);
  args.hp_dtype = Dtype::kF16;
  EXPECT_EQ(tensor_scale(0, args), 0);
  EXPECT_EQ(tensor_scale(1, args), 0.015625);
  args.scaling.rounding = scheme::ScaleRounding::kIdentity;
  EXPECT_THROW(tensor_scale(70000, args), base::Error);
}

TEST(Fp8Scale, RefusesWhatIsNoMaximum) {
  const auto args = activation("MAXABS_POW2", kG2, kExact);
  for (const double amax : {-1.0, std::nan(""), HUGE_VAL})
    EXPECT_THROW(tensor_scale(amax, args), base::Error) << amax;
  const Fp8Target generic{Fp8Format::kE4M3, Fp8Device::kGeneric};
  EXPECT_EQ(tensor_scale(112, activation("MAXABS_POW2", generic, kExact)), 1);
  try {
    tensor_scale(1, activation("MAXABS_HW", generic, kExact));
    FAIL();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kUnsupported);
  }
}

std::vector<float> bf16(std::vector<float> values) {
  for (float& value : values) value = numeric::round_to_bf16(value);
  return values;
}

double searched(const std::vector<float>& w, const char* method, const Fp8Target& target,
                std::vector<double>* errors_out = nullptr) {
  const auto args = weight(method, target, kExact);
  const auto candidates = tensor_candidates(args.scaling, target);
  ScaleErrors errors(target, false);
  errors.add_row(w, candidates);
  if (errors_out != nullptr) *errors_out = errors.sums();
  return least_error_scale(candidates, errors.sums(), args);
}

TEST(Fp8Scale, LeastErrorOfATensorAndItsTies) {
  const auto w = bf16({0.5F, -0.3F, 0.12F, 0.02F, -0.0077F, 0.001F});
  std::vector<double> errors;
  EXPECT_EQ(searched(w, "MAXABS_HW_OPT_WEIGHT", kG2, &errors), 0.00390625);
  const std::vector<double> published{0.018639635, 0.012127448, 0.012089914, 0.012089914};
  ASSERT_EQ(errors.size(), published.size());
  for (std::size_t i = 0; i < errors.size(); ++i)
    EXPECT_NEAR(std::sqrt(errors[i]), published[i], 5e-10);
  EXPECT_EQ(searched(w, "MAXABS_HW_OPT_WEIGHT", kG3), 0.001953125);
  EXPECT_EQ(searched(w, "MAXABS_POW2_OPT_WEIGHT", kG2, &errors), 0.5);
  EXPECT_EQ(searched(w, "MAXABS_POW2_OPT_WEIGHT", kG3), 0.5);
  const std::vector<float> exact{1, -0.5F, 0.25F, 2};
  EXPECT_EQ(searched(exact, "MAXABS_HW_OPT_WEIGHT", kG2), 0.0625);
  EXPECT_EQ(searched(exact, "MAXABS_HW_OPT_WEIGHT", kG3), 0.0078125);
  EXPECT_EQ(searched(exact, "MAXABS_POW2_OPT_WEIGHT", kG2), 128);
}

const std::vector<std::vector<float>>& channel_rows() {
  static const std::vector<std::vector<float>> kRows{
      {0.5F, -0.30078125F, 0.1201171875F, 0.02001953125F},
      {0.031005859375F, -0.003997802734375F, 0.0002002716064453125F, 0.000701904296875F},
      {3, 1, -2, 0.10009765625F},
      {0, 0, 0, 0}};
  return kRows;
}

std::vector<double> row_maxima() {
  std::vector<double> maxima;
  for (const auto& row : channel_rows()) {
    double most = 0;
    for (const float x : row) most = std::max(most, double{std::abs(x)});
    maxima.push_back(most);
  }
  return maxima;
}

TEST(Fp8Scale, MaximaOfChannels) {
  const double none = std::ldexp(1.0, -126);
  for (const auto arithmetic : {kExact, kInc}) {
    const char* method = "ACT_MAXABS_HW_WEIGHTS_PCS_MAXABS_POW2";
    EXPECT_EQ(channel_scales(row_maxima(), Dtype::kBF16, weight(method, kG2, arithmetic)),
              (std::vector<double>{0.0078125, 0.00048828125, 0.03125, none}));
    EXPECT_EQ(channel_scales(row_maxima(), Dtype::kBF16, weight(method, kG3, arithmetic)),
              (std::vector<double>{0.00390625, 0.000244140625, 0.015625, none}));
  }
}

std::vector<double> searched_channels(const Fp8Target& target, std::vector<double>* errors_out) {
  const auto args = weight("ACT_MAXABS_HW_WEIGHTS_PCS_OPT_POW2", target, kInc);
  auto reference_args = args;
  reference_args.scaling.value = scheme::ScaleValue::kMaxabs;
  const auto references = channel_scales(row_maxima(), Dtype::kBF16, reference_args);
  const auto multipliers = channel_multipliers(args.scaling);
  ScaleErrors errors(target, true);
  for (std::size_t i = 0; i < references.size(); ++i) {
    std::vector<double> scales;
    for (const double multiplier : multipliers) scales.push_back(multiplier * references[i]);
    errors.add_row(channel_rows()[i], scales);
  }
  if (errors_out != nullptr) *errors_out = errors.sums();
  return least_error_channel_scales(references, multipliers, errors.sums(), Dtype::kBF16, args);
}

TEST(Fp8Scale, LeastErrorOfChannels) {
  const double none = std::ldexp(1.0, -129);
  std::vector<double> errors;
  EXPECT_EQ(searched_channels(kG2, &errors),
            (std::vector<double>{0.00390625, 0.000244140625, 0.015625, none}));
  EXPECT_EQ(searched_channels(kG3, nullptr),
            (std::vector<double>{0.001953125, 0.0001220703125, 0.0078125, none}));
  EXPECT_NEAR(errors[0], 0.07498, 5e-6);
  EXPECT_NEAR(errors[1], 0.001123, 5e-7);
  for (int i = 2; i < 8; ++i) EXPECT_NEAR(errors[static_cast<std::size_t>(i)], 0.0001462, 5e-8);
}

TEST(Fp8Scale, ChannelsOfFp32WeightsStayFp32) {
  Fp8ScaleArgs args = weight("MAXABS_ARBITRARY", kG3, kInc);
  const std::vector<double> amax{0.1};
  EXPECT_EQ(channel_scales(amax, Dtype::kF32, args)[0], double{0.1F / 224.0F});
  EXPECT_EQ(channel_scales(amax, Dtype::kBF16, args)[0],
            double{numeric::round_to_bf16(0.1F / 224.0F)});
}

// Per token at run time: POW2 with backoff 0.5.
TEST(Fp8Scale, TokensOfADynamicMethod) {
  const std::vector<std::vector<float>> tokens{
      {1, -3, 0.5F, 2}, {100, -7, 60, 1}, {0.001F, 0.0002F, -0.0009F, 0}};
  const std::vector<double> maxima{3, 100, double{0.001F}};
  const auto check = [&](const Fp8Target& target, const std::vector<double>& scales,
                         const std::vector<std::vector<float>>& codes) {
    const auto args = activation("MAXABS_PCS_POW2", target, kExact);
    EXPECT_EQ(args.scaling.backoff, 0.5);
    const auto found = channel_scales(maxima, Dtype::kF32, args);
    EXPECT_EQ(found, scales);
    for (std::size_t t = 0; t < tokens.size(); ++t)
      for (std::size_t i = 0; i < 4; ++i) {
        const auto scaled = static_cast<float>(double{tokens[t][i]} / found[t]);
        EXPECT_EQ(decode_fp8(encode_fp8(scaled, target), target.format), codes[t][i]);
      }
  };
  check(kG2, {0.03125, 1, std::ldexp(1.0, -16)},
        {{32, -96, 16, 64}, {96, -7, 60, 1}, {64, 13, -60, 0}});
  check(kG3, {0.015625, 0.5, std::ldexp(1.0, -17)},
        {{64, -192, 32, 128}, {192, -14, 120, 2}, {128, 26, -120, 0}});
}

}  // namespace
}  // namespace whit::quant
