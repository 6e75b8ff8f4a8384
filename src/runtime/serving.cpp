#include "runtime/serving.h"

#include <fmt/format.h>

#include <map>
#include <utility>

#include "base/error.h"
#include "formats/format.h"
#include "pipeline/plan.h"

namespace whit::runtime {

namespace {

class ConfiguredServing final : public model::Serving {
 public:
  ConfiguredServing(const checkpoint::Checkpoint& checkpoint, const formats::PackedReader& reader,
                    const model::ModelSpec& spec, bool strict)
      : strict_(strict) {
    for (const auto* linear : model::outer_linears(spec)) add_input(reader, *linear);
    for (const auto& layer : spec.layers) {
      for (const auto* linear : model::linears_of(layer)) add_input(reader, *linear);
      add_cache(checkpoint, reader, layer);
    }
  }

  const scheme::Float8Rounding* input(const model::LinearSpec& linear) const override {
    const auto found = inputs_.find(linear.module);
    return found == inputs_.end() ? nullptr : &found->second;
  }
  const Cache* cache(const model::LayerSpec& layer) const override {
    const auto found = caches_.find(layer.index);
    return found == caches_.end() ? nullptr : &found->second;
  }

  bool empty() const { return inputs_.empty() && caches_.empty(); }
  std::vector<std::string> notes() const {
    std::vector<std::string> notes = notes_;
    if (!inputs_.empty())
      notes.push_back(fmt::format("activations of {} linears are rounded to FP8 ({})",
                                  inputs_.size(), describe(inputs_.begin()->second)));
    if (!caches_.empty())
      notes.push_back(fmt::format("KV caches of {} layers are kept in FP8", caches_.size()));
    return notes;
  }

 private:
  static std::string describe(const scheme::Float8Rounding& rounding) {
    if (rounding.scale > 0) return "static scales";
    return rounding.piece > 0 ? fmt::format("scaled per token and {} columns", rounding.piece)
                              : "scaled per token";
  }

  // Activations that are not FP8 are left alone, and said once.
  template <typename Read>
  auto reading(const Read& read) -> decltype(read()) {
    try {
      return read();
    } catch (const base::Error& error) {
      if (strict_ || error.kind() != base::ErrorKind::kUnsupported) throw;
      if (notes_.empty()) notes_.push_back(fmt::format("not rounded: {}", error.what()));
      return std::nullopt;
    }
  }

  void add_input(const formats::PackedReader& reader, const model::LinearSpec& linear) {
    if (const auto rounding = reading([&] { return reader.input_rounding(linear.module); }))
      inputs_.emplace(linear.module, *rounding);
  }

  void add_cache(const checkpoint::Checkpoint& checkpoint, const formats::PackedReader& reader,
                 const model::LayerSpec& layer) {
    const std::string attention = pipeline::attention_module(layer);
    const auto rounding = reading([&] { return reader.cache_rounding(attention); });
    if (!rounding) return;
    if (!rounding->scaled)
      notes_.push_back(fmt::format("{}: {} has no scales of its KV cache; servers take 1",
                                   checkpoint.folder().string(), attention));
    caches_.emplace(layer.index, Cache{rounding->key, rounding->value});
  }

  bool strict_;
  std::map<std::string, scheme::Float8Rounding, std::less<>> inputs_;
  std::map<int, Cache> caches_;
  std::vector<std::string> notes_;
};

}  // namespace

ServedModel make_serving(const checkpoint::Checkpoint& checkpoint, const model::ModelSpec& spec,
                         ServeMode mode) {
  ServedModel served;
  if (mode == ServeMode::kWeightsOnly) return served;
  const formats::PackedReader reader(checkpoint);
  if (!reader.config()) return served;
  // Originals are published so; what is judged of them is what their weights say.
  if (mode == ServeMode::kAuto && reader.config()->quant_method == "fp8") {
    served.notes.push_back(
        "activations are not rounded: weights of quant_method fp8 alone; --served rounds them too");
    return served;
  }
  auto serving =
      std::make_unique<ConfiguredServing>(checkpoint, reader, spec, mode == ServeMode::kFull);
  served.notes = serving->notes();
  if (!serving->empty()) served.serving = std::move(serving);
  return served;
}

}  // namespace whit::runtime
