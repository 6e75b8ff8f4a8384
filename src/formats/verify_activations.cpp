#include <set>

#include "base/error.h"
#include "formats/tally.h"
#include "formats/verify_parts.h"

namespace whit::formats {

namespace {

// Parents of output projections, which is where caches have their scales.
std::set<std::string> attentions_of(const PackedReader& reader) {
  std::set<std::string> found;
  for (const std::string& module : reader.modules()) {
    const auto [parent, last] = split_name(module);
    if (last == "o_proj" || last == "dense" || last == "out_proj" || last == "c_proj")
      if (parent.ends_with("attn") || parent.ends_with("attention")) found.insert(parent);
  }
  return found;
}

}  // namespace

void verify_activations(const checkpoint::Checkpoint& written, const PackedReader& reader,
                        std::vector<Check>* checks) {
  if (!reader.config()) return;
  Tally inputs("scales of static activations", "modules");
  bool any = false;
  for (const std::string& module : reader.modules()) try {
      const auto rounding = reader.input_rounding(module);
      any = any || (rounding && rounding->scale > 0);
      if (rounding && rounding->scale > 0) inputs.pass();
      if (!(rounding && rounding->scale > 0))
        inputs.judge(!written.has(module + ".input_scale"),
                     module + " has an input_scale that the config does not ask for");
    } catch (const base::Error& error) {
      if (error.kind() == base::ErrorKind::kUnsupported) continue;  // other activations than FP8
      any = true;
      inputs.fail(error.what());
    }
  if (any) checks->push_back(inputs.check());
  if (!reader.config()->kv_cache) return;
  Tally cache("scales of the KV cache", "attentions");
  for (const std::string& attention : attentions_of(reader)) try {
      const auto rounding = reader.cache_rounding(attention);
      // INC's config does not say whether there is such a cache.
      if (!rounding && reader.config()->quant_method == "inc") continue;
      cache.judge(rounding && rounding->scaled, attention + " has none");
    } catch (const base::Error& error) {
      cache.fail(error.what());
    }
  checks->push_back(cache.check());
}

}  // namespace whit::formats
