#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <set>
#include <sstream>

#include "base/error.h"
#include "base/file.h"
#include "formats/format.h"
#include "formats/tally.h"
#include "formats/verify_parts.h"
#include "numeric/float_codec.h"

namespace whit::formats {

namespace {

using checkpoint::Checkpoint;
using tensor::Dtype;
using tensor::TensorView;

// Computed from the config by every loader; exports of old releases still carry them.
constexpr std::array<std::string_view, 5> kBuffers{"rotary_emb.inv_freq", ".attn.bias",
                                                   ".attn.masked_bias", ".attention.bias",
                                                   ".attention.masked_bias"};

// Rounding leaves less than this of a weight's norm; another expert's weight leaves 1.4 of it.
constexpr double kFarthest = 1.2;

bool is_buffer(const std::string& name) {
  return std::any_of(kBuffers.begin(), kBuffers.end(),
                     [&](std::string_view buffer) { return name.ends_with(buffer); });
}

bool same_tensor(const TensorView& a, const TensorView& b) {
  return a.dtype == b.dtype && a.shape == b.shape &&
         (a.bytes() == 0 || std::memcmp(a.data, b.data, static_cast<std::size_t>(a.bytes())) == 0);
}

// `values` rounded once to the dtype of `stored` are its bytes.
bool rounds_to(const std::vector<float>& values, const TensorView& stored) {
  for (std::size_t i = 0; i < values.size(); ++i) {
    std::uint16_t half = 0;
    std::uint32_t word = 0;
    if (stored.dtype == Dtype::kF32) {
      std::memcpy(&word, stored.data + 4 * i, 4);
      if (word != std::bit_cast<std::uint32_t>(values[i])) return false;
      continue;
    }
    std::memcpy(&half, stored.data + 2 * i, 2);
    if (half != (stored.dtype == Dtype::kBF16 ? numeric::f32_to_bf16(values[i])
                                              : numeric::f32_to_f16(values[i])))
      return false;
  }
  return true;
}

class Ledger {
 public:
  Ledger(const Checkpoint& written, const PackedReader& reader, const Checkpoint& source)
      : written_(written), reader_(reader), source_(source), source_reader_(source) {
    for (std::string& name : reader.cache_tensors()) cache_.insert(std::move(name));
  }

  void walk() {
    for (const auto& file : written_.files()) {
      const auto found = file->metadata().find(std::string(kRefittedKey));
      if (found == file->metadata().end()) continue;
      std::istringstream names(found->second);
      for (std::string name; std::getline(names, name, ',');) refitted_.insert(name);
    }
    for (const std::string& module : source_reader_.modules())
      for (const std::string& name : source_reader_.tensors_of(module))
        if (name != module + ".weight") companions_.emplace(name, module);
    for (const std::string& name : source_.names()) {
      account(name);
      source_.release(name);
    }
    for (const std::string& name : written_.names())
      unknown_.judge(source_.has(name) || belongs_to_packed(name) || cache_.contains(name), name);
  }

  void report(std::vector<Check>* checks) const {
    Check every = missing_.check();
    if (every.ok)
      every.detail +=
          fmt::format(" ({} packed, {} copied, {}{} decoded, {} consumed, {} buffers left out)",
                      packed_, copied_, moved_ > 0 ? fmt::format("{} refitted, ", moved_) : "",
                      decoded_, consumed_, buffers_);
    checks->push_back(std::move(every));
    checks->push_back(copies_.check());
    checks->push_back(near_.check());
    checks->push_back(unknown_.check());
  }

 private:
  void account(const std::string& name) {
    const auto [module, suffix] = split_name(name);
    const auto companion = companions_.find(name);
    // A packed module's scales may bear the name of the source's own.
    if (companion != companions_.end() && packed(companion->second)) {
      missing_.pass();
      ++consumed_;
    } else if (written_.has(name) && (suffix != "weight" || !packed(module))) {
      missing_.pass();
      compare(name, module);
    } else if (suffix == "weight" && packed(module)) {
      missing_.pass();
      ++packed_;
      compare_packed(module);
    } else if (companion != companions_.end() && written_or_packed(companion->second)) {
      missing_.pass();
      ++consumed_;
    } else if (is_buffer(name)) {
      missing_.pass();
      ++buffers_;
    } else {
      missing_.fail(name);
    }
  }

  // Codes in what was written: integers, or FP8.
  bool packed(const std::string& module) const {
    return written_.has(module + ".weight_packed") || reader_.is_quantized(module);
  }
  bool written_or_packed(const std::string& module) const {
    return packed(module) || written_.has(module + ".weight");
  }

  bool belongs_to_packed(const std::string& name) const {
    std::string module = split_name(name).first;
    for (const std::string_view nested : {".quant_input.scale_inv", ".centroids.weight",
                                          ".res_centroids.weight", ".outlier_centroids.weight"})
      if (name.ends_with(nested)) module = name.substr(0, name.size() - nested.size());
    const auto tensors = reader_.tensors_of(module);
    return source_.has(module + ".weight") &&
           std::find(tensors.begin(), tensors.end(), name) != tensors.end();
  }

  // Bit for bit, or what was FP8 decoded in fp32 and rounded once.
  void compare(const std::string& name, const std::string& module) {
    if (refitted_.contains(name)) return compare_refitted(name, module);
    const TensorView before = source_.view(name);
    const TensorView after = written_.view(name);
    const bool widened =
        source_reader_.is_quantized(module) && name == module + ".weight" &&
        (after.dtype == Dtype::kBF16 || after.dtype == Dtype::kF16 || after.dtype == Dtype::kF32);
    if (!widened) {
      ++copied_;
      copies_.judge(same_tensor(before, after), name + " differs from the source");
    } else {
      ++decoded_;
      copies_.judge(before.shape == after.shape && rounds_to(source_values(module), after),
                    name + " is not the source's weight decoded");
    }
    written_.release(name);
  }

  // Unquantized, but moved by the quantizer: near the source's, like what is packed.
  void compare_refitted(const std::string& name, const std::string& module) {
    ++moved_;
    const TensorView after = written_.view(name);
    if (after.shape != source_.info(name).shape) {
      near_.fail(fmt::format("{} is {}; the source has {}", name, tensor::to_string(after.shape),
                             tensor::to_string(source_.info(name).shape)));
    } else {
      const bool weight = name == module + ".weight";
      judge_distance(name,
                     weight ? source_values(module) : tensor::to_f32_vector(source_.view(name)),
                     tensor::to_f32_vector(after));
    }
    written_.release(name);
  }

  void judge_distance(const std::string& name, const std::vector<float>& before,
                      std::span<const float> after) {
    double error = 0;
    double norm = 0;
    for (std::size_t i = 0; i < before.size(); ++i) {
      const double w = before[i];
      error += (after[i] - w) * (after[i] - w);
      norm += w * w;
    }
    near_.judge(error <= kFarthest * kFarthest * norm,
                fmt::format("{} is {:.2f} of its norm away from the source", name,
                            std::sqrt(error / norm)));
  }

  std::vector<float> source_values(const std::string& module) const {
    const auto weight = source_reader_.read(module);
    return weight ? tensor::to_f32_vector(scheme::decode(*weight).view())
                  : tensor::to_f32_vector(source_.view(module + ".weight"));
  }

  void compare_packed(const std::string& module) {
    try {
      const tensor::Tensor after = scheme::decode(*reader_.read(module));
      if (after.shape() != source_.info(module + ".weight").shape) {
        near_.fail(fmt::format("{} is {}; the source has {}", module,
                               tensor::to_string(after.shape()),
                               tensor::to_string(source_.info(module + ".weight").shape)));
        return;
      }
      judge_distance(module, source_values(module),
                     {after.as<float>(), static_cast<std::size_t>(after.elements())});
    } catch (const base::Error& fault) {
      if (fault.kind() != base::ErrorKind::kInput) throw;
      near_.fail(fault.what());
    }
    for (const std::string& name : reader_.tensors_of(module)) written_.release(name);
  }

  const Checkpoint& written_;
  const PackedReader& reader_;
  const Checkpoint& source_;
  PackedReader source_reader_;
  std::map<std::string, std::string> companions_;  // scales of the source -> module
  std::set<std::string, std::less<>> refitted_, cache_;
  std::int64_t packed_ = 0, copied_ = 0, moved_ = 0, decoded_ = 0, consumed_ = 0, buffers_ = 0;
  Tally missing_{"every source tensor is there", "tensors"};
  Tally copies_{"copies are exact", "tensors"};
  Tally near_{"packed and refitted weights are the source's", "modules"};
  Tally unknown_{"nothing besides the source's tensors", "tensors"};
};

// Names of files that a loader reads beside weights and config.
bool carried(const std::string& name) {
  constexpr std::array<std::string_view, 5> kStems{"tokenizer", "generation_config.json",
                                                   "chat_template", "special_tokens_map.json",
                                                   "added_tokens.json"};
  constexpr std::array<std::string_view, 4> kEndings{".py", ".model", ".tiktoken", ".jinja"};
  return name == "vocab.json" || name == "merges.txt" || name == "tekken.json" ||
         std::any_of(kEndings.begin(), kEndings.end(),
                     [&](std::string_view ending) { return name.ends_with(ending); }) ||
         std::any_of(kStems.begin(), kStems.end(),
                     [&](std::string_view stem) { return name.starts_with(stem); });
}

Check carried_files(const Checkpoint& written, const Checkpoint& source) {
  namespace fs = std::filesystem;
  Tally tally("tokenizer and other files are carried over", "files");
  std::set<std::string> names;
  for (const fs::path& folder : {fs::path(), fs::path("additional_chat_templates")}) {
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(source.folder() / folder, none))
      if (entry.is_regular_file() && carried(entry.path().filename().string()))
        names.insert((folder / entry.path().filename()).string());
  }
  for (const std::string& name : names) {
    std::error_code code;
    const fs::path copy = written.folder() / name;
    if (!fs::exists(copy, code)) {
      tally.fail(name + " is missing");
      continue;
    }
    const base::MappedFile a(source.folder() / name);
    const base::MappedFile b(copy);
    tally.judge(std::ranges::equal(a.bytes(), b.bytes()), name + " differs from the source");
  }
  return tally.check();
}

Check carried_config(const Checkpoint& written, const Checkpoint& source) {
  Tally tally("config.json is the source's", "fields");
  const auto may_change = [](const std::string& key) {
    return key == "quantization_config" || key == "compression_config" || key == "torch_dtype" ||
           key == "dtype";
  };
  for (const auto& [key, value] : source.config().items())
    if (!may_change(key))
      tally.judge(written.config().contains(key) && written.config()[key] == value,
                  key + " differs");
  for (const auto& [key, value] : written.config().items())
    if (!may_change(key) && !source.config().contains(key))
      tally.fail(key + " is not in the source");
  return tally.check();
}

}  // namespace

void verify_ledger(const Checkpoint& written, const PackedReader& reader, const Checkpoint& source,
                   std::vector<Check>* checks) {
  Ledger ledger(written, reader, source);
  ledger.walk();
  ledger.report(checks);
  checks->push_back(carried_config(written, source));
  checks->push_back(carried_files(written, source));
}

}  // namespace whit::formats
