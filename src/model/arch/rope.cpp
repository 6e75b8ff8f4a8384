#include "model/arch/rope.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace whit::model::arch {

using base::ErrorKind;

namespace {

constexpr double kDefaultTheta = 10000.0;
constexpr std::int64_t kDefaultMaxPosition = 2048;
constexpr std::int64_t kMostColumns = 4096;

double positive(const Fields& fields, std::string_view key, double value) {
  if (!(value > 0))
    base::fail(ErrorKind::kInput, fields.subject(key), "found {}; expected a positive number",
               value);
  return value;
}

double factor_of(const Fields& scaling) {
  return positive(scaling, "factor", scaling.number("factor"));
}

// Length that the model was trained at before its context was extended.
double original_length(const Fields& config, const Fields& scaling, std::int64_t max_position) {
  constexpr std::string_view kKey = "original_max_position_embeddings";
  if (config.present(kKey)) return positive(config, kKey, config.number(kKey));
  if (scaling.present(kKey)) return positive(scaling, kKey, scaling.number(kKey));
  return static_cast<double>(max_position);
}

double yarn_mscale(double factor, double mscale) {
  return factor <= 1 ? 1.0 : 0.1 * mscale * std::log(factor) + 1.0;
}

void scale_llama3(const Fields& config, const Fields& scaling, RopeSpec& rope) {
  const double factor = factor_of(scaling);
  const double low = positive(scaling, "low_freq_factor", scaling.number("low_freq_factor"));
  const double high = positive(scaling, "high_freq_factor", scaling.number("high_freq_factor"));
  if (!(high > low))
    base::fail(ErrorKind::kInput, scaling.subject("high_freq_factor"),
               "found {}; expected more than low_freq_factor {}", high, low);
  const double original = original_length(config, scaling, rope.max_position);
  for (double& frequency : rope.inv_freq) {
    const double wavelength = 2 * std::numbers::pi / frequency;
    if (wavelength < original / high) continue;
    if (wavelength > original / low) {
      frequency /= factor;
      continue;
    }
    const double smooth = (original / wavelength - low) / (high - low);
    frequency *= (1 - smooth) / factor + smooth;
  }
}

double yarn_attention_factor(const Fields& scaling, double factor) {
  if (const auto stated = scaling.maybe_number("attention_factor")) return *stated;
  const double mscale = scaling.maybe_number("mscale").value_or(0);
  const double all_dim = scaling.maybe_number("mscale_all_dim").value_or(0);
  if (mscale != 0 && all_dim != 0)
    return yarn_mscale(factor, mscale) / yarn_mscale(factor, all_dim);
  return yarn_mscale(factor, 1);
}

// Zero counts as unstated, as in the models' own code.
double number_or_default(const Fields& fields, std::string_view key, double otherwise) {
  const double value = fields.maybe_number(key).value_or(0);
  return value == 0 ? otherwise : positive(fields, key, value);
}

double yarn_factor(const Fields& scaling, double original, std::int64_t max_position) {
  if (scaling.has("factor") && !scaling.present("factor"))
    return static_cast<double>(max_position) / original;
  return factor_of(scaling);
}

void scale_yarn(const Fields& config, const Fields& scaling, RopeSpec& rope) {
  const double original = original_length(config, scaling, rope.max_position);
  const double factor = yarn_factor(scaling, original, rope.max_position);
  const auto dim = static_cast<double>(rope.dim);
  const auto turning_dim = [&](double rotations) {
    return dim * std::log(original / (rotations * 2 * std::numbers::pi)) /
           (2 * std::log(rope.theta));
  };
  double low = turning_dim(number_or_default(scaling, "beta_fast", 32));
  double high = turning_dim(number_or_default(scaling, "beta_slow", 1));
  if (scaling.boolean_or("truncate", true)) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, dim - 1);
  if (low == high) high += 0.001;
  for (std::size_t i = 0; i < rope.inv_freq.size(); ++i) {
    const double ramp = std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0);
    rope.inv_freq[i] *= ramp / factor + (1 - ramp);
  }
  rope.attention_factor = yarn_attention_factor(scaling, factor);
}

void apply_scaling(const std::string& type, const Fields& config, const Fields& scaling,
                   RopeSpec& rope) {
  if (type == "default") return;
  if (type == "linear") {
    const double factor = factor_of(scaling);
    for (double& frequency : rope.inv_freq) frequency /= factor;
  } else if (type == "dynamic") {
    if (rope.dim <= 2)
      base::fail(ErrorKind::kUnsupported, scaling.subject("rope_type"),
                 "dynamic scaling of {} rotary columns; expected more than 2", rope.dim);
    rope.dynamic_factor = factor_of(scaling);
  } else if (type == "llama3") {
    scale_llama3(config, scaling, rope);
  } else if (type == "yarn") {
    scale_yarn(config, scaling, rope);
  } else {
    base::fail(ErrorKind::kUnsupported,
               scaling.subject(scaling.has("rope_type") ? "rope_type" : "type"),
               "found \"{}\"; expected default, linear, dynamic, llama3 or yarn", type);
  }
}

// rope_scaling (v4) wins over rope_parameters (v5), as transformers reads them.
std::optional<Fields> scaling_of(const Fields& config) {
  for (const std::string_view key : {"rope_scaling", "rope_parameters"})
    if (config.present(key)) return config.object(key);
  return std::nullopt;
}

void refuse_partial(const Fields& fields) {
  const auto partial = fields.maybe_number("partial_rotary_factor");
  if (partial && *partial != 1.0)
    base::fail(ErrorKind::kUnsupported, fields.subject("partial_rotary_factor"),
               "found {}; expected 1", *partial);
}

double theta_of(const Fields& config, const std::optional<Fields>& scaling) {
  if (scaling && scaling->present("rope_theta"))
    return positive(*scaling, "rope_theta", scaling->number("rope_theta"));
  if (!config.present("rope_theta")) return kDefaultTheta;
  return positive(config, "rope_theta", config.number("rope_theta"));
}

// Parameters may each be sound and together not, e.g. a theta next to zero.
void require_finite(const RopeSpec& rope, const Fields& config) {
  bool finite = std::isfinite(static_cast<float>(rope.attention_factor));
  for (const double frequency : rope.inv_freq)
    finite = finite && frequency <= static_cast<double>(std::numeric_limits<float>::max());
  if (!finite)
    base::fail(ErrorKind::kInput, config.subject("rope_theta"),
               "theta {} and its scaling give no finite frequencies; expected finite ones",
               rope.theta);
}

}  // namespace

Rope read_rope(const Fields& config, std::int64_t dim, bool interleaved) {
  if (dim % 2 != 0 || dim > kMostColumns)
    base::fail(ErrorKind::kUnsupported, config.subject("head_dim"),
               "{} rotary columns; expected an even number up to {}", dim, kMostColumns);
  refuse_partial(config);
  const std::optional<Fields> scaling = scaling_of(config);
  Rope rope;
  rope.spec.dim = dim;
  rope.spec.interleaved = interleaved;
  rope.spec.theta = theta_of(config, scaling);
  rope.spec.max_position = config.integer_or("max_position_embeddings", kDefaultMaxPosition);
  for (std::int64_t i = 0; i < dim / 2; ++i)
    rope.spec.inv_freq.push_back(
        std::pow(rope.spec.theta, -2.0 * static_cast<double>(i) / static_cast<double>(dim)));
  require_finite(rope.spec, config);
  if (!scaling) return rope;

  refuse_partial(*scaling);
  const std::string type = scaling->text_or("rope_type", scaling->text_or("type", "default"));
  apply_scaling(type, config, *scaling, rope.spec);
  require_finite(rope.spec, config);
  const double all_dim = scaling->maybe_number("mscale_all_dim").value_or(0);
  if (type != "default" && all_dim != 0) {
    const double original = original_length(config, *scaling, rope.spec.max_position);
    const double m = yarn_mscale(yarn_factor(*scaling, original, rope.spec.max_position), all_dim);
    rope.softmax_factor = m * m;
  }
  return rope;
}

}  // namespace whit::model::arch
