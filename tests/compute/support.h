#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <functional>
#include <memory>
#include <random>
#include <string>
#include <vector>

#include "compute/backend.h"
#include "compute/mirrored.h"

namespace whit::compute::testing {

using tensor::Dtype;
using tensor::Shape;

inline constexpr double kEps = 0x1p-24;  // unit roundoff of fp32

// Backends that a contract is run on.
struct Candidate {
  std::string name;
  std::function<std::unique_ptr<Backend>()> make;
};

inline std::vector<Candidate> host_candidates() {
  return {{"reference", make_reference_backend},
          {"cpu_1_thread", [] { return make_cpu_backend(1); }},
          {"cpu_3_threads", [] { return make_cpu_backend(3); }},
          {"mirrored", [] { return make_mirrored(make_cpu_backend(1)); }}};
}

inline std::vector<Candidate> candidates() {
  std::vector<Candidate> all = host_candidates();
  if (!cuda_devices().empty())
    all.push_back({"cuda", [] { return make_mirrored(make_cuda_backend(0, Precision::kF32)); }});
  return all;
}

// A contract test: the backend under test, and the oracle.
class Contract : public ::testing::TestWithParam<Candidate> {
 protected:
  std::unique_ptr<Backend> backend = GetParam().make();
  std::unique_ptr<Backend> oracle = make_reference_backend();
};

#define WHIT_ON_EVERY_BACKEND(Suite)                                           \
  INSTANTIATE_TEST_SUITE_P(Backends, Suite, ::testing::ValuesIn(candidates()), \
                           [](const auto& param_info) { return param_info.param.name; })

// Normal numbers from a fixed seed.
inline Tensor random_f32(Shape shape, unsigned seed, float scale = 1.0F) {
  Tensor out(std::move(shape), Dtype::kF32);
  std::mt19937 generator(seed);
  std::normal_distribution<float> normal(0.0F, scale);
  for (std::int64_t i = 0; i < out.elements(); ++i) out.as<float>()[i] = normal(generator);
  return out;
}

inline Tensor random_bytes(Shape shape, Dtype dtype, unsigned seed, unsigned mask = 0xff) {
  Tensor out(std::move(shape), dtype);
  std::mt19937 generator(seed);
  for (std::size_t i = 0; i < out.bytes(); ++i)
    out.as<std::uint8_t>()[i] = static_cast<std::uint8_t>(generator() & mask);
  return out;
}

inline Tensor clone(const Tensor& t) {
  Tensor out(t.shape(), t.dtype());
  std::memcpy(out.data(), t.data(), static_cast<std::size_t>(t.bytes()));
  return out;
}

inline Tensor absolute(const Tensor& t) {
  Tensor out = clone(t);
  for (std::int64_t i = 0; i < t.elements(); ++i) out.as<float>()[i] = std::abs(out.as<float>()[i]);
  return out;
}

// |a - b| <= factor * bound + floor, elementwise.
inline void expect_within(const Tensor& actual, const Tensor& expected, const Tensor& bound,
                          double factor, double floor = 1e-30) {
  ASSERT_EQ(actual.shape(), expected.shape());
  for (std::int64_t i = 0; i < actual.elements(); ++i) {
    const double a = static_cast<double>(actual.as<float>()[i]);
    const double e = static_cast<double>(expected.as<float>()[i]);
    const double allowed = factor * std::abs(static_cast<double>(bound.as<float>()[i])) + floor;
    ASSERT_LE(std::abs(a - e), allowed) << "element " << i << ": " << a << " against " << e;
  }
}

inline void expect_same_bytes(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.bytes(), b.bytes());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), static_cast<std::size_t>(a.bytes())), 0);
}

// A well-conditioned symmetric positive definite matrix: xᵀx + ridge.
inline Tensor random_spd(std::int64_t size, unsigned seed) {
  const Tensor x = random_f32({size + 8, size}, seed);
  Tensor g({size, size}, Dtype::kF32);
  const auto backend = make_cpu_backend(1);
  backend->linalg().gram(x.matrix(), {}, g.matrix());
  for (std::int64_t i = 0; i < size; ++i)
    g.as<float>()[i * size + i] += 0.1F * static_cast<float>(size);
  return g;
}

}  // namespace whit::compute::testing
