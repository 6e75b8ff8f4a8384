#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "compute/backend.h"
#include "quant/gptq.h"
#include "quant/oracle.h"
#include "stats/statistic.h"

namespace whit::quant::testing {

// Weights with heavy tails (Student's t, 4 degrees of freedom) and inputs that are correlated, with
// channels of very different size.
std::vector<float> heavy_weights(std::int64_t rows, std::int64_t cols, std::uint64_t seed);
std::vector<float> correlated_inputs(std::int64_t tokens, std::int64_t width, std::uint64_t seed);
void kill_columns(std::vector<float>& x, std::int64_t width,
                  const std::vector<std::int32_t>& columns);

tensor::Tensor upload(compute::Backend& backend, const std::vector<float>& values,
                      std::int64_t cols);
stats::Gram gram_of(compute::Backend& backend, const std::vector<float>& x, std::int64_t width);

// "reference", "cpu1", "cpu2", "cpu7".
std::unique_ptr<compute::Backend> make_backend(const std::string& name);

std::vector<std::int8_t> codes_of(compute::Backend& backend, const tensor::Tensor& codes);
double share_equal(const std::vector<std::int8_t>& codes, const std::vector<int>& expected);

oracle::Args oracle_args(const compute::GridArgs& grid, const FactorArgs& factor);

}  // namespace whit::quant::testing
