#include "compute/cpu/activation.h"

#include "compute/cpu/lanes.h"

namespace whit::compute::cpu {

namespace {

// erfc(z) for z >= 0, to 1.2e-7 of its value: Chebyshev fit of Press et al., Numerical
// Recipes, 6.2.
WHIT_INLINE void erfc_of(const Floats& z, Floats& out) {
  const Floats t = 1.0F / (1.0F + 0.5F * z);
  Floats p = t * 0.17087277F - 0.82215223F;
  p = p * t + 1.48851587F;
  p = p * t - 1.13520398F;
  p = p * t + 0.27886807F;
  p = p * t - 0.18628806F;
  p = p * t + 0.09678418F;
  p = p * t + 0.37409196F;
  p = p * t + 1.00002368F;
  p = p * t - 1.26551223F;
  exp_of(p - z * z, out);
  out = out * t;
}

WHIT_INLINE void gelu_of(const Floats& x, Floats& out) {
  const Floats size = x < 0.0F ? -x : x;
  Floats tail;
  erfc_of(size * 0.707106781F, tail);
  out = 0.5F * x * (x < 0.0F ? tail : 2.0F - tail);
}

// The two branches meet where the series' first missing term is below 1e-7 of the value.
WHIT_INLINE void tanh_of(const Floats& x, Floats& out) {
  const Floats size = x < 0.0F ? -x : x;
  Floats e;
  exp_of(2.0F * size, e);
  const Floats far = 1.0F - 2.0F / (1.0F + e);
  const Floats s = x * x;
  Floats p = s * 0.0218694885F - 0.0539682540F;
  p = p * s + 0.133333333F;
  p = p * s - 0.333333333F;
  const Floats near = x + x * s * p;
  out = size < 0.3F ? near : (x < 0.0F ? -far : far);
}

WHIT_INLINE void activated(Activation act, const Floats& x, Floats& out) {
  switch (act) {
    case Activation::kSilu:
      exp_of(-x, out);
      out = x / (1.0F + out);
      return;
    case Activation::kGelu:
      gelu_of(x, out);
      return;
    case Activation::kGeluTanh:
      // x/2 (1 + tanh u) = x / (1 + exp(-2u)).
      exp_of(x * (x * x * -0.0713548163F - 1.59576912F), out);
      out = x / (1.0F + out);
      return;
    case Activation::kRelu:
      out = x < 0.0F ? Floats{} : x;
      return;
    case Activation::kTanh:
      tanh_of(x, out);
      return;
  }
}

}  // namespace

WHIT_MULTIVERSION void activate_row(Activation act, const float* x, const float* times, float* out,
                                    std::int64_t size) {
  Floats in;
  Floats factor = Floats{} + 1.0F;
  Floats value{};
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(x + i, in);
    if (times != nullptr) load(times + i, factor);
    activated(act, in, value);
    store(value * factor, out + i);
  }
  if (i == size) return;
  load_part(x + i, size - i, 0.0F, in);
  if (times != nullptr) load_part(times + i, size - i, 0.0F, factor);
  activated(act, in, value);
  store_part(value * factor, size - i, out + i);
}

WHIT_MULTIVERSION void softcap_row(float* a, float cap, std::int64_t size) {
  Floats x;
  std::int64_t i = 0;
  for (; i + kLanes <= size; i += kLanes) {
    load(a + i, x);
    tanh_of(x / cap, x);
    store(cap * x, a + i);
  }
  if (i == size) return;
  load_part(a + i, size - i, 0.0F, x);
  tanh_of(x / cap, x);
  store_part(cap * x, size - i, a + i);
}

}  // namespace whit::compute::cpu
