#include <algorithm>
#include <array>
#include <cmath>

#include "base/error.h"
#include "formats/bit_packing.h"
#include "formats/tally.h"
#include "formats/verify_parts.h"
#include "formats/vptq.h"

namespace whit::formats {

namespace {

using checkpoint::Checkpoint;
using scheme::GroupedInt;
using scheme::ScaledFloat8;
using tensor::Dtype;

constexpr const char* kUnquantized = "unquantized";

struct ModuleTallies {
  Tally decode{"modules decode", "modules"};
  Tally scales{"no scale is 0, or negative but of symmetric codes", "modules"};
  Tally dtypes{"stored dtypes", "modules"};
  Tally padding{"padding is zero bits", "modules"};
  Tally groups{"groups divide the columns", "modules"};
  Tally codes{"FP8 codes are numbers of the target", "modules"};
};

std::string scheme_of(const GroupedInt& w) {
  return fmt::format("int{} {} {} scales {}", w.bits, w.symmetric() ? "symmetric" : "asymmetric",
                     w.channel ? "channel" : fmt::format("group {}", w.group_size),
                     numeric::name_of(w.scale_dtype));
}

std::string scheme_of(const ScaledFloat8& w) {
  const bool sized =
      w.strategy == scheme::Strategy::kBlock || w.strategy == scheme::Strategy::kGroup;
  return fmt::format("{} {}{}", numeric::name_of(w.codes.dtype()), scheme::name_of(w.strategy),
                     sized ? fmt::format(" {}x{}", w.block_rows, w.block_cols) : "");
}

std::string scheme_of(const scheme::VectorCodes& w) {
  return fmt::format("vectors of {} from {}+{}{}", w.layout.length, w.layout.centroids,
                     w.layout.residuals, w.layout.normed ? ", normed" : "");
}

bool index_padding_is_zero(const Checkpoint& written, const std::string& module,
                           const scheme::VectorCodes& w) {
  const tensor::TensorView packed = written.view(module + ".indices");
  const std::int64_t words = packed.shape[2];
  const std::int64_t used = w.layout.group_size(w.cols()) *
                            (index_bits(w.layout.centroids) + index_bits(w.layout.residuals)) % 32;
  const auto* data = reinterpret_cast<const std::uint32_t*>(packed.data);
  for (std::int64_t row = 0; used > 0 && row < packed.shape[0] * packed.shape[1]; ++row)
    if (data[row * words + words - 1] >> used != 0) return false;
  return true;
}

// Bits behind the last code of each row must be 0: a loader may hash or compare the words.
bool padding_is_zero(const Checkpoint& written, const std::string& module, const GroupedInt& w) {
  const tensor::TensorView packed = written.view(module + ".weight_packed");
  const std::int64_t words = packed.shape[1];
  if (words_of(w.cols(), w.bits, WordPacking::kDense) != words) return true;
  const std::int64_t used = w.cols() % 32 * w.bits % 32;
  if (used == 0) return true;
  const auto* data = reinterpret_cast<const std::uint32_t*>(packed.data);
  for (std::int64_t n = 0; n < w.rows(); ++n)
    if (data[n * words + words - 1] >> used != 0) return false;
  return true;
}

void judge_int(const Checkpoint& written, const std::string& module, const GroupedInt& w,
               ModuleTallies* tallies) {
  tallies->groups.judge(
      w.cols() % w.group_size == 0,
      fmt::format("{} has groups of {} in {} columns", module, w.group_size, w.cols()));
  if (!written.has(module + ".weight_packed")) return;
  tallies->padding.judge(padding_is_zero(written, module, w), module);
  const bool shape_64 = written.info(module + ".weight_shape").dtype == Dtype::kI64;
  const std::string zeros = module + ".weight_zero_point";
  const bool zeros_fit =
      !written.has(zeros) || (!w.symmetric() && (written.info(zeros).dtype == Dtype::kI32 ||
                                                 written.info(zeros).shape.size() == 1));
  tallies->dtypes.judge(
      shape_64 && zeros_fit && !written.has(module + ".weight_g_idx"),
      module + (!shape_64    ? " has a weight_shape that is not I64"
                : !zeros_fit ? " has a weight_zero_point that loaders refuse"
                             : " has a weight_g_idx, which loaders pass over in silence"));
}

bool all_positive(const tensor::Tensor& scales) {
  const auto* values = scales.as<float>();
  return std::all_of(values, values + scales.elements(),
                     [](float s) { return std::isfinite(s) && s > 0; });
}

// A symmetric group may be mirrored: its scale is negative then.
bool none_zero(const tensor::Tensor& scales) {
  const auto* values = scales.as<float>();
  return std::all_of(values, values + scales.elements(),
                     [](float s) { return std::isfinite(s) && s != 0; });
}

// E4M3 codes up to `most`, whatever their sign; codes of other formats pass.
bool within(const tensor::Tensor& codes, std::uint8_t most) {
  const auto* values = codes.as<std::uint8_t>();
  return codes.dtype() != Dtype::kF8E4M3 ||
         std::all_of(values, values + codes.elements(),
                     [most](std::uint8_t code) { return (code & 0x7f) <= most; });
}

std::string judge_module(const Checkpoint& written, const PackedReader& reader,
                         const std::string& module, ModuleTallies* tallies) {
  std::string scheme = "unreadable";
  try {
    const auto weight = reader.read(module);
    tallies->decode.pass();
    if (const auto* ints = std::get_if<GroupedInt>(&*weight)) {
      scheme = scheme_of(*ints);
      tallies->scales.judge(
          ints->symmetric() ? none_zero(ints->scales) : all_positive(ints->scales), module);
      judge_int(written, module, *ints, tallies);
    } else if (const auto* vectors = std::get_if<scheme::VectorCodes>(&*weight)) {
      scheme = scheme_of(*vectors);
      if (vectors->layout.normed) tallies->scales.judge(all_positive(vectors->scale), module);
      tallies->padding.judge(index_padding_is_zero(written, module, *vectors), module);
    } else {
      const auto& floats = std::get<ScaledFloat8>(*weight);
      scheme = scheme_of(floats);
      tallies->scales.judge(all_positive(floats.scales), module);
      const bool gaudi2 = reader.config() && reader.config()->gaudi2_codes;
      tallies->codes.judge(within(floats.codes, gaudi2 ? 0x77 : 0x7e),
                           module + (gaudi2 ? " has codes above 240" : " has codes of NaN"));
    }
  } catch (const base::Error& error) {
    if (error.kind() != base::ErrorKind::kInput) throw;
    tallies->decode.fail(error.what());
  }
  for (const std::string& name : reader.tensors_of(module)) written.release(name);
  return scheme;
}

// "a.experts.17.down_proj" -> "a.experts"; "" where it is no expert.
std::string experts_of(const std::string& module) {
  constexpr std::string_view kExperts = ".experts.";
  const std::size_t at = module.find(kExperts);
  const std::size_t number = at + kExperts.size();
  if (at == std::string::npos || number >= module.size() || module[number] < '0' ||
      module[number] > '9')
    return "";
  return module.substr(0, number - 1);
}

// Whether "MODULE.centroids.weight" is a part of MODULE.
bool is_codebook(const PackedReader& reader, const std::string& name, const std::string& module) {
  const auto tensors = reader.tensors_of(split_name(module).first);
  return std::find(tensors.begin(), tensors.end(), name) != tensors.end();
}

}  // namespace

std::pair<std::string, std::string> split_name(const std::string& name) {
  const std::size_t dot = name.rfind('.');
  if (dot == std::string::npos) return {name, ""};
  return {name.substr(0, dot), name.substr(dot + 1)};
}

SchemeByModule verify_modules(const Checkpoint& written, const PackedReader& reader,
                              std::vector<Check>* checks) {
  ModuleTallies tallies;
  SchemeByModule schemes;
  for (const std::string& module : reader.modules())
    schemes.emplace(module, judge_module(written, reader, module, &tallies));
  for (const std::string& name : written.names()) {
    const auto [module, suffix] = split_name(name);
    if (suffix == "weight" && !is_codebook(reader, name, module))
      schemes.emplace(module, kUnquantized);
  }
  for (const Tally* tally : {&tallies.decode, &tallies.scales, &tallies.dtypes, &tallies.padding,
                             &tallies.groups, &tallies.codes})
    checks->push_back(tally->check());
  return schemes;
}

Check verify_fused(const SchemeByModule& schemes) {
  static constexpr std::array<std::array<std::string_view, 3>, 5> kFused{
      {{"q_proj", "k_proj", "v_proj"},
       {"gate_proj", "up_proj", ""},
       {"w1", "w3", ""},
       {"q_a_proj", "kv_a_proj_with_mqa", ""},
       {"wq_a", "wkv_a_with_mqa", ""}}};
  // What must agree, by the name of what it becomes.
  std::map<std::string, std::map<std::string, std::string>> fused;
  for (const auto& [module, scheme] : schemes) {
    const auto [parent, last] = split_name(module);
    for (const auto& names : kFused)
      if (!last.empty() && std::find(names.begin(), names.end(), last) != names.end())
        fused[parent + "." + std::string(names[0])].emplace(scheme, module);
    if (const std::string experts = experts_of(module); !experts.empty())
      fused[experts].emplace(scheme, module);
  }
  Tally tally("one scheme where loaders fuse", "fused modules");
  for (const auto& [name, found] : fused) {
    std::string members;
    for (const auto& [scheme, module] : found)
      members += fmt::format("{}{} is {}", members.empty() ? "" : ", ", module, scheme);
    tally.judge(found.size() == 1, members);
  }
  return tally.check();
}

}  // namespace whit::formats
