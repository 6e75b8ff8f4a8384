#include "quant/samples.h"

#include <cmath>
#include <random>

namespace whit::quant::testing {

namespace {

// Drawn by hand: the distributions of <random> differ between libraries.
class Draw {
 public:
  explicit Draw(std::uint64_t seed) : engine_(seed) {}
  double uniform() { return (static_cast<double>(engine_() >> 11) + 0.5) * 0x1p-53; }
  double normal() {
    return std::sqrt(-2 * std::log(uniform())) * std::cos(2 * 3.14159265358979 * uniform());
  }

 private:
  std::mt19937_64 engine_;
};

}  // namespace

std::vector<float> heavy_weights(std::int64_t rows, std::int64_t cols, std::uint64_t seed) {
  Draw draw(seed);
  std::vector<float> w(static_cast<std::size_t>(rows * cols));
  for (float& value : w) {
    double chi = 0;
    for (int i = 0; i < 4; ++i) chi += std::pow(draw.normal(), 2);
    value = static_cast<float>(0.02 * draw.normal() / std::sqrt(chi / 4));
  }
  return w;
}

std::vector<float> correlated_inputs(std::int64_t tokens, std::int64_t width, std::uint64_t seed) {
  Draw draw(seed);
  const std::int64_t hidden = std::max<std::int64_t>(width / 4, 1);
  std::vector<double> mix(static_cast<std::size_t>(hidden * width));
  for (double& value : mix) value = draw.normal() / std::sqrt(static_cast<double>(hidden));
  std::vector<double> size(static_cast<std::size_t>(width));
  for (double& value : size) value = std::exp(0.7 * draw.normal());
  std::vector<float> x(static_cast<std::size_t>(tokens * width));
  std::vector<double> source(static_cast<std::size_t>(hidden));
  for (std::int64_t t = 0; t < tokens; ++t) {
    for (double& value : source) value = draw.normal();
    for (std::int64_t k = 0; k < width; ++k) {
      double value = 0.3 * draw.normal();
      for (std::int64_t h = 0; h < hidden; ++h)
        value += source[static_cast<std::size_t>(h)] * mix[static_cast<std::size_t>(h * width + k)];
      x[static_cast<std::size_t>(t * width + k)] =
          static_cast<float>(value * size[static_cast<std::size_t>(k)]);
    }
  }
  return x;
}

void kill_columns(std::vector<float>& x, std::int64_t width,
                  const std::vector<std::int32_t>& columns) {
  for (std::size_t t = 0; t < x.size(); t += static_cast<std::size_t>(width))
    for (const std::int32_t column : columns) x[t + static_cast<std::size_t>(column)] = 0;
}

tensor::Tensor upload(compute::Backend& backend, const std::vector<float>& values,
                      std::int64_t cols) {
  const auto rows = static_cast<std::int64_t>(values.size()) / cols;
  return backend.memory().upload(tensor::make_f32({rows, cols}, values).view());
}

stats::Gram gram_of(compute::Backend& backend, const std::vector<float>& x, std::int64_t width) {
  stats::Gram gram(backend, width);
  const tensor::Tensor tokens = upload(backend, x, width);
  gram.observe(tokens.matrix());
  gram.freeze();
  return gram;
}

std::unique_ptr<compute::Backend> make_backend(const std::string& name) {
  if (name == "reference") return compute::make_reference_backend();
  return compute::make_cpu_backend(std::stoi(name.substr(3)));
}

std::vector<std::int8_t> codes_of(compute::Backend& backend, const tensor::Tensor& codes) {
  const tensor::Tensor host = backend.memory().download(codes.view());
  return {host.as<std::int8_t>(), host.as<std::int8_t>() + host.elements()};
}

double share_equal(const std::vector<std::int8_t>& codes, const std::vector<int>& expected) {
  std::size_t equal = 0;
  for (std::size_t i = 0; i < codes.size(); ++i) equal += codes[i] == expected[i] ? 1 : 0;
  return static_cast<double>(equal) / static_cast<double>(codes.size());
}

oracle::Args oracle_args(const compute::GridArgs& grid, const FactorArgs& factor) {
  oracle::Args args;
  args.bits = grid.bits;
  args.symmetric = grid.symmetric;
  args.group_size = grid.group_size;
  args.mse = grid.search == compute::ScaleSearch::kMse;
  args.activation_order = factor.order == ColumnOrder::kActivation;
  args.rel_damp = factor.rel_damp;
  args.bf16_scales = grid.scale_dtype == tensor::Dtype::kBF16;
  return args;
}

}  // namespace whit::quant::testing
