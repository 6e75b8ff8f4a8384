#include "model/arch/rope.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <numbers>

#include "base/error.h"

namespace whit::model::arch {

using base::ErrorKind;

namespace {

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

// 1 / (factor_i theta^(2i/dim)) for one of the two lists of factors.
std::vector<double> divided(const Fields& scaling, std::string_view key, const RopeSpec& rope) {
  std::vector<double> frequencies = rope.inv_freq;
  if (!scaling.present(key))
    base::fail(ErrorKind::kInput, scaling.subject(key), "missing; expected {} numbers",
               frequencies.size());
  const std::vector<double> factors = scaling.numbers(key);
  if (factors.size() != frequencies.size())
    base::fail(ErrorKind::kInput, scaling.subject(key), "{} numbers; expected {}, one a pair",
               factors.size(), frequencies.size());
  for (std::size_t i = 0; i < factors.size(); ++i)
    frequencies[i] /= positive(scaling, key, factors[i]);
  return frequencies;
}

// short_factor up to the original length, long_factor beyond it.
void scale_longrope(const Fields& config, const Fields& scaling, RopeSpec& rope) {
  const double original = original_length(config, scaling, rope.max_position);
  if (original > static_cast<double>(Fields::kLargestExtent))
    base::fail(ErrorKind::kInput, config.subject("original_max_position_embeddings"),
               "found {}; expected at most {}", original, Fields::kLargestExtent);
  const double factor =
      scaling.maybe_number("factor").value_or(static_cast<double>(rope.max_position) / original);
  rope.long_inv_freq = divided(scaling, "long_factor", rope);
  rope.inv_freq = divided(scaling, "short_factor", rope);
  if (const auto stated = scaling.maybe_number("attention_factor"))
    rope.attention_factor = *stated;
  else if (factor > 1)
    rope.attention_factor = std::sqrt(1 + std::log(factor) / std::log(original));
  rope.max_position = static_cast<std::int64_t>(original);
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
  } else if (type == "longrope") {
    scale_longrope(config, scaling, rope);
  } else {
    base::fail(ErrorKind::kUnsupported,
               scaling.subject(scaling.has("rope_type") ? "rope_type" : "type"),
               "found \"{}\"; expected default, linear, dynamic, llama3, yarn or longrope", type);
  }
}

// rope_scaling (v4) wins over rope_parameters (v5), as transformers reads them.
std::optional<Fields> scaling_of(const Fields& config, const RopeShape& shape) {
  if (shape.scaled && config.present("rope_scaling")) return config.object("rope_scaling");
  if (!config.present("rope_parameters")) return std::nullopt;
  Fields parameters = config.object("rope_parameters");
  if (shape.layer_type.empty()) {
    for (const std::string_view type : {"full_attention", "sliding_attention"})
      parameters.refuse_present(type);
    return parameters;
  }
  for (const std::string_view flat : {"rope_type", "type", "rope_theta", "factor"})
    parameters.refuse_present(flat);
  if (!parameters.present(shape.layer_type)) return std::nullopt;
  return parameters.object(shape.layer_type);
}

void refuse_partial(const Fields& fields) {
  const auto partial = fields.maybe_number("partial_rotary_factor");
  if (partial && *partial != 1.0)
    base::fail(ErrorKind::kUnsupported, fields.subject("partial_rotary_factor"),
               "found {}; expected 1", *partial);
}

double theta_of(const Fields& config, const std::optional<Fields>& scaling,
                const RopeShape& shape) {
  if (scaling && scaling->present("rope_theta"))
    return positive(*scaling, "rope_theta", scaling->number("rope_theta"));
  if (!config.present(shape.theta_key)) return shape.theta;
  return positive(config, shape.theta_key, config.number(shape.theta_key));
}

// Parameters may each be sound and together not, e.g. a theta next to zero.
void require_finite(const RopeSpec& rope, const Fields& config) {
  bool finite = std::isfinite(static_cast<float>(rope.attention_factor));
  for (const auto* frequencies : {&rope.inv_freq, &rope.long_inv_freq})
    for (const double frequency : *frequencies)
      finite = finite && frequency <= static_cast<double>(std::numeric_limits<float>::max());
  if (!finite)
    base::fail(ErrorKind::kInput, config.subject("rope_theta"),
               "theta {} and its scaling give no finite frequencies; expected finite ones",
               rope.theta);
}

}  // namespace

std::int64_t rotary_columns(const Fields& config, std::int64_t head_dim, double otherwise,
                            std::string_view older) {
  std::string_view name = "partial_rotary_factor";
  std::optional<Fields> holder;
  if (config.present(name)) holder = config;
  for (const std::string_view key : {"rope_parameters", "rope_scaling"})
    if (config.present(key) && config.object(key).present(name)) holder = config.object(key);
  if (!holder && !older.empty() && config.present(older)) {
    name = older;
    holder = config;
  }
  const double factor = holder ? holder->number(name) : otherwise;
  const auto columns = static_cast<std::int64_t>(static_cast<double>(head_dim) * factor);
  if (!(factor > 0 && factor <= 1) || columns < 2)
    base::fail(ErrorKind::kInput, (holder ? *holder : config).subject(name),
               "found {}; expected more than 0, at most 1, and 2 columns of {}", factor, head_dim);
  return columns;
}

Rope read_rope(const Fields& config, const RopeShape& shape) {
  const std::int64_t dim = shape.rounds_up ? shape.columns + shape.columns % 2 : shape.columns;
  if (dim % 2 != 0 || dim > kMostColumns)
    base::fail(ErrorKind::kUnsupported, config.subject("head_dim"),
               "{} rotary columns; expected an even number up to {}", dim, kMostColumns);
  if (!shape.partial) refuse_partial(config);
  const std::optional<Fields> scaling = scaling_of(config, shape);
  Rope rope;
  rope.spec.dim = dim;
  rope.spec.interleaved = shape.interleaved;
  rope.spec.theta = theta_of(config, scaling, shape);
  rope.spec.max_position = config.integer_or("max_position_embeddings", kDefaultMaxPosition);
  for (std::int64_t i = 0; i < dim / 2; ++i)
    rope.spec.inv_freq.push_back(std::pow(
        rope.spec.theta, -2.0 * static_cast<double>(i) / static_cast<double>(shape.columns)));
  require_finite(rope.spec, config);
  if (!scaling) return rope;

  if (!shape.partial) refuse_partial(*scaling);
  const std::string type = scaling->text_or("rope_type", scaling->text_or("type", "default"));
  if (shape.columns % 2 != 0 && type != "default")
    base::fail(ErrorKind::kUnsupported,
               scaling->subject(scaling->has("rope_type") ? "rope_type" : "type"),
               "found \"{}\" with an odd number of rotary columns, {}; expected default", type,
               shape.columns);
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
