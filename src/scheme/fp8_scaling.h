#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

// How FP8 scales are chosen, in Intel Neural Compressor's words. A scale is a dequantization
// multiplier: q = fp8(x / scale), x ~ q * scale.
namespace whit::scheme {

enum class Fp8Format : std::uint8_t { kE4M3, kE5M2 };

// Whose FP8 units will read the codes. kGeneric: E4M3FN without scales of its own (CPU, NVIDIA).
enum class Fp8Device : std::uint8_t { kGaudi2, kGaudi3, kGeneric };

struct Fp8Target {
  Fp8Format format = Fp8Format::kE4M3;
  Fp8Device device = Fp8Device::kGaudi3;
  bool operator==(const Fp8Target&) const = default;
};

enum class ScaleGranularity : std::uint8_t { kTensor, kChannel };               // PTS, PCS
enum class ScaleValue : std::uint8_t { kMaxabs, kFixed, kLeastError, kDummy };  // OPT: least error
enum class ScaleRounding : std::uint8_t {
  kIdentity,
  kPow2,            // up to a power of two
  kHwAligned,       // up to a scale that the device multiplies by shifting exponents
  kHwAlignedFixed,  // the largest of those
  kUnit,            // 1
};

// How the scale of one kind of tensor is chosen. `backoff`: the calibrated maximum comes to lie at
// this share of the largest FP8 number. `candidates`: of kLeastError; empty means the method's own.
struct TensorScaling {
  ScaleGranularity granularity = ScaleGranularity::kTensor;
  ScaleValue value = ScaleValue::kMaxabs;
  ScaleRounding rounding = ScaleRounding::kIdentity;
  double backoff = 1;
  std::vector<double> candidates;

  // Whether granularity, value and rounding agree.
  bool same_kind(const TensorScaling& other) const;
  bool operator==(const TensorScaling&) const = default;
};

struct ScaleMethod {
  TensorScaling weight;
  TensorScaling activation;

  bool per_channel() const;
  bool operator==(const ScaleMethod&) const = default;
};

struct NamedScaleMethod {
  std::string_view name;  // "MAXABS_HW"
  bool dynamic_only = false;
  ScaleMethod method;
};

// The 13 methods that have names. Source: neural_compressor_pt 3.10.
std::span<const NamedScaleMethod> named_scale_methods();
const NamedScaleMethod* find_scale_method(std::string_view name);
// The named method of the same kinds, whatever its backoffs; null where there is none.
const NamedScaleMethod* named_like(const ScaleMethod& method);

std::string_view name_of(Fp8Device device);  // "GAUDI2"
std::string_view name_of(ScaleGranularity granularity);
std::string_view name_of(ScaleValue value);
std::string_view name_of(ScaleRounding rounding);
std::optional<ScaleGranularity> scale_granularity_from_name(std::string_view name);
std::optional<ScaleValue> scale_value_from_name(std::string_view name);
std::optional<ScaleRounding> scale_rounding_from_name(std::string_view name);
// "granularity/value/rounding".
std::string to_string(const TensorScaling& scaling);

// The largest number of the target's codes: 240, 448 or 57344.
double full_scale(const Fp8Target& target);

// Scales that a device applies for free, descending; those of E4M3 for E5M2 too. Empty for
// kGeneric.
std::vector<double> hw_aligned_scales(Fp8Device device);

}  // namespace whit::scheme
