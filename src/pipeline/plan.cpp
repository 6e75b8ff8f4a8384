#include "pipeline/plan.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <map>

#include "base/error.h"
#include "base/memory.h"
#include "formats/format.h"
#include "formats/vptq.h"
#include "model/attention_metric.h"
#include "model/inventory.h"
#include "pipeline/embedding_refit.h"
#include "pipeline/memory_plan.h"
#include "quant/fp8.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;
using checkpoint::Checkpoint;

namespace {

// Files larger than this are split between modules.
constexpr std::uint64_t kShardBytes = 5'000'000'000;

void refuse_quantized_source(const Checkpoint& source) {
  const auto& config = source.config();
  const auto found = config.find("quantization_config");
  if (found == config.end() || found->is_null()) return;
  const std::string method = found->value("quant_method", "");
  if (method == "fp8") return;
  throw base::Error(ErrorKind::kUnsupported, (source.folder() / "config.json").string(),
                    fmt::format("quantization_config.quant_method is '{}'; expected an unquantized "
                                "or an fp8 checkpoint",
                                method))
      .suggest("'whit convert MODEL OUT --to bf16' writes the decoded weights");
}

std::string config_dtype(const nlohmann::json& config) {
  for (const char* key : {"dtype", "torch_dtype"})
    if (const auto found = config.find(key); found != config.end() && found->is_string())
      return found->get<std::string>();
  return {};
}

// Whether the token embeddings are corrected for what the first layer loses.
bool moves_table(const Plan& plan) {
  const Refinement& refinement = plan.bound.recipe.refinement;
  if (!refinement.teacher || !refinement.embedding || plan.tokens == 0) return false;
  const bool worth_it = can_refit_embedding(plan.spec);
  const auto linears = model::linears_of(plan.spec.layers.front());
  return worth_it && std::any_of(linears.begin(), linears.end(),
                                 [&](const auto* linear) { return plan.bound.quantizes(*linear); });
}

// Builds the list of output tensors, step by step, and says what became of every source tensor.
class Ledger {
 public:
  Ledger(Plan& plan, const Checkpoint& source) : plan_(plan), source_(source) {
    for (const auto* layers : {&plan.spec.layers, &plan.spec.mtp_layers})
      for (const auto& layer : *layers)
        for (const auto* linear : model::linears_of(layer)) linears_[linear->weight()] = linear;
  }

  // One tensor of the inventory, unless an optional one is not stored.
  void add(const model::TensorSpec& spec) {
    if (!source_.has(spec.name)) return;
    const auto linear = linears_.find(spec.name);
    const auto& info = source_.info(spec.name);
    plan_.parameters += tensor::element_count(info.shape);
    if (linear != linears_.end() && plan_.bound.quantizes(*linear->second)) {
      pack(*linear->second);
    } else if (refits(spec)) {
      const auto dtype = numeric::bits_of(info.dtype) == 8 ? plan_.bound.recipe.dtype : info.dtype;
      tensors_.push_back({{spec.name, dtype, info.shape}, Origin::kRefitted, nullptr});
      plan_.refitted.push_back(spec.name);
    } else if (linear != linears_.end() && numeric::bits_of(info.dtype) == 8) {
      tensors_.push_back({{spec.name, plan_.bound.recipe.dtype, info.shape},
                          Origin::kDequantized,
                          linear->second});
      plan_.dequantized.push_back(spec.name);
      plan_.copied.push_back(spec.name);
    } else {
      tensors_.push_back({{spec.name, info.dtype, info.shape}, Origin::kCopied, nullptr});
      plan_.copied.push_back(spec.name);
    }
  }

  // Scales of what a layer's KV cache keeps.
  void add_cache_scales(const model::LayerSpec& layer) {
    for (auto& entry : formats::cache_layout(plan_.bound.recipe.format, attention_module(layer),
                                             caches_latent(layer)))
      tensors_.push_back({std::move(entry), Origin::kPacked, nullptr});
  }

  // The tensors gathered since the last call become the shards of `step`.
  void close_step(std::size_t step) {
    std::size_t begin = 0;
    std::uint64_t bytes = 0;
    for (std::size_t i = 0; i < tensors_.size(); ++i) {
      const auto& entry = tensors_[i].entry;
      const std::uint64_t size = tensor::byte_size(entry.shape, entry.dtype);
      const bool same_module = i > begin && tensors_[i].linear != nullptr &&
                               tensors_[i].linear == tensors_[i - 1].linear;
      if (i > begin && bytes + size > kShardBytes && !same_module) {
        close_shard(step, begin, i);
        begin = i;
        bytes = 0;
      }
      bytes += size;
    }
    close_shard(step, begin, tensors_.size());
    tensors_.clear();
  }

 private:
  // What stays unquantized and may still aim at the teacher's output: routers, and the head or,
  // where the head is the embedding, the norm before it.
  bool refits(const model::TensorSpec& tensor) const {
    const Refinement& refinement = plan_.bound.recipe.refinement;
    if (!refinement.teacher || plan_.tokens == 0) return false;
    if (tensor.name == plan_.spec.embedding.weight() && moves_table(plan_)) return true;
    if (!refinement.unquantized) return false;
    if (tensor.role == model::Role::kRouter) return true;
    const model::ModelSpec& spec = plan_.spec;
    // A correction of the norm's rows would be one of its bias as well.
    if (!spec.final_norm || spec.head_proj || (spec.tied && spec.final_norm->bias)) return false;
    return tensor.name == (spec.tied ? spec.final_norm->weight.name : spec.head.weight());
  }

  void pack(const model::LinearSpec& spec) {
    if (const auto found = plan_.bound.vectors.find(spec.module);
        found != plan_.bound.vectors.end())
      return pack(spec, formats::vptq_layout(spec.module, spec.out_features, spec.in_features,
                                             found->second, plan_.bound.scale_dtype));
    pack(spec,
         formats::weight_layout(plan_.bound.recipe.format, spec.module, spec.out_features,
                                spec.in_features, plan_.bound.scheme(), plan_.bound.scale_dtype,
                                quant::code_dtype(plan_.bound.recipe.fp8.target)));
  }

  void pack(const model::LinearSpec& spec,
            std::vector<checkpoint::SafetensorsWriter::Entry> entries) {
    for (auto& entry : entries) tensors_.push_back({std::move(entry), Origin::kPacked, &spec});
    plan_.quantized.push_back(spec.weight());
  }

  void close_shard(std::size_t step, std::size_t begin, std::size_t end) {
    if (begin == end) return;
    OutputShard shard;
    shard.step = step;
    shard.tensors.assign(tensors_.begin() + static_cast<std::ptrdiff_t>(begin),
                         tensors_.begin() + static_cast<std::ptrdiff_t>(end));
    plan_.shards.push_back(std::move(shard));
  }

  Plan& plan_;
  const Checkpoint& source_;
  std::map<std::string, const model::LinearSpec*, std::less<>> linears_;
  std::vector<OutputTensor> tensors_;
};

// Searches of the nearest centroids, which look at about a tenth of a codebook, and what refines
// codes and codebooks: per round a descent and a dozen products with H.
double vector_flops(const Plan& plan, const model::LinearSpec& linear) {
  const VptqRecipe& vptq = plan.bound.recipe.vptq;
  const scheme::VectorLayout& layout = plan.bound.vectors.find(linear.module)->second;
  const auto n = static_cast<double>(linear.out_features);
  const auto k = static_cast<double>(linear.in_features);
  const double searches = static_cast<double>(vptq.kmeans.iterations) + 3 + vptq.rounds;
  return searches * n * k * static_cast<double>(layout.centroids + layout.residuals) / 5 +
         vptq.rounds * 26 * n * k * k;
}

// Factorizations that an expert needs to lean on its layer.
int leaning_factors(const Refinement& refinement, const model::LinearSpec& linear) {
  if (!refinement.lean || linear.reads.site != stats::Site::kExpertIn) return 0;
  return refinement.held_out ? 6 : 1;
}

// Multiply-adds count twice: forward of every token, the teacher's beside it, Gram, factor, sweep
// and what refines it. A refit of the scales is worth about two passes over N K², a descent's pass
// as well, the teacher's target four.
double linear_flops(const Plan& plan, const model::LayerSpec& layer,
                    const model::LinearSpec& linear, double seen, bool first_of_site) {
  const Refinement& refinement = plan.bound.recipe.refinement;
  const auto n = static_cast<double>(linear.out_features);
  const auto k = static_cast<double>(linear.in_features);
  const double taught = refinement.teacher ? refinement.teacher_part * seen : 0;
  double flops = 2 * n * k * (seen + (linear.reads.expert >= 0 ? 2 : 1) * taught);
  if (!plan.bound.quantizes(linear)) return flops;
  const bool metric = refinement.output_metric && model::metric_block(layer, linear) > 0;
  const double refining = (refinement.refit_scales ? 4 : 0) + 2 * refinement.descent_passes;
  const double sweeps =
      1 + refining + (metric ? 1 + 4 * refinement.descent_passes : 0) +
      (refinement.teacher ? 4 : 0) + (refinement.held_out ? 3 + (refinement.teacher ? 8 : 0) : 0) +
      (leaning_factors(refinement, linear) > 1 ? 2 + (refinement.teacher ? 15 : 0) : 0);
  if (plan.bound.recipe.method == Method::kFp8) return flops;
  flops += sweeps * n * k * k;
  if (plan.bound.recipe.method == Method::kVptq) flops += vector_flops(plan, linear);
  if (first_of_site)
    flops += seen * k * k + 2 * taught * k * k +
             k * k * k / 3 * ((refinement.held_out ? 5 : 1) + leaning_factors(refinement, linear));
  return flops;
}

double layer_flops(const Plan& plan, const model::LayerSpec& layer) {
  double flops = 0;
  const auto tokens = static_cast<double>(plan.tokens);
  const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp);
  const double share = moe == nullptr ? 1
                                      : static_cast<double>(moe->router.top_k) /
                                            static_cast<double>(moe->experts.size());
  stats::TapId last{-1, stats::Site::kAttnIn, -1};
  for (const auto* linear : model::linears_of(layer)) {
    flops += linear_flops(plan, layer, *linear, linear->reads.expert >= 0 ? tokens * share : tokens,
                          linear->reads != last);
    if (plan.bound.quantizes(*linear)) last = linear->reads;
  }
  return flops;
}

// Two turns: the first layer's forward over the vocabulary in four contexts, by both models, and 9
// products with its MLP, there and back. Then what the moved table makes of the text.
double table_flops(const Plan& plan) {
  const model::LayerSpec& layer = plan.spec.layers.front();
  double weights = 0;
  double mlp = 0;
  for (const auto* linear : model::linears_of(layer)) {
    const double count =
        static_cast<double>(linear->out_features) * static_cast<double>(linear->in_features);
    weights += count;
    if (linear->reads.site == stats::Site::kMlpIn || linear->reads.site == stats::Site::kMlpMid)
      mlp += count;
  }
  return 2 * static_cast<double>(plan.spec.vocabulary) * (16 * weights + 18 * mlp) +
         2 * static_cast<double>(plan.tokens) * weights;
}

void add_steps(Plan& plan, const Checkpoint& source) {
  Ledger ledger(plan, source);
  const auto tensors = model::inventory(plan.spec);
  const auto add_step = [&](Step step, const auto& belongs) {
    for (const auto& tensor : tensors)
      if (belongs(tensor)) ledger.add(tensor);
    const bool kept = step.mtp && plan.bound.recipe.mtp == MtpMode::kKeep;
    if (step.layer != nullptr && plan.bound.recipe.fp8.kv_cache && !kept)
      ledger.add_cache_scales(*step.layer);
    plan.steps.push_back(std::move(step));
    ledger.close_step(plan.steps.size() - 1);
  };
  const auto add_layer = [&](const model::LayerSpec& layer, bool mtp) {
    Step step{fmt::format("layer {}{}", layer.index, mtp ? " (MTP)" : ""), &layer, mtp};
    step.flops = layer_flops(plan, layer);
    add_step(std::move(step),
             [&](const model::TensorSpec& tensor) { return tensor.layer == layer.index; });
  };
  const auto of_head = [&](const model::TensorSpec& tensor) {
    return (plan.spec.final_norm && tensor.name == plan.spec.final_norm->weight.name) ||
           tensor.name == plan.spec.head_module + ".weight";
  };
  const auto of_table = [&](const model::TensorSpec& tensor) {
    return tensor.name == plan.spec.embedding.weight() && moves_table(plan);
  };
  add_step({"embedding", nullptr}, [&](const model::TensorSpec& tensor) {
    return tensor.layer == -1 && !of_head(tensor) && !of_table(tensor);
  });
  for (const auto& layer : plan.spec.layers) {
    add_layer(layer, false);
    if (plan.steps.size() == 2 && moves_table(plan)) {
      Step step{"token embeddings", nullptr};
      step.table = true;
      step.flops = table_flops(plan);
      add_step(std::move(step), of_table);
    }
  }
  Step head{"norm and head", nullptr};
  head.head = true;
  add_step(std::move(head), of_head);
  for (const auto& layer : plan.spec.mtp_layers) add_layer(layer, true);
}

// Refuses tensors that the inventory does not know: nothing is dropped in silence.
void account_for_the_rest(Plan& plan, const Checkpoint& source) {
  model::InventoryReport report = model::check_inventory(plan.spec, source);
  if (!report.unknown.empty())
    fail(ErrorKind::kUnsupported, report.unknown.front(),
         "no part of a {} model ({} such tensors); expected only tensors of its inventory",
         plan.spec.architecture, report.unknown.size());
  plan.ignored = std::move(report.ignorable);
}

void name_shards(Plan& plan) {
  for (std::size_t i = 0; i < plan.shards.size(); ++i) {
    OutputShard& shard = plan.shards[i];
    shard.file = fmt::format("model-{:05}-of-{:05}.safetensors", i + 1, plan.shards.size());
    for (const auto& tensor : shard.tensors)
      plan.bits_per_weight +=
          8 * static_cast<double>(tensor::byte_size(tensor.entry.shape, tensor.entry.dtype));
    shard.bytes = checkpoint::safetensors_bytes(shard.entries(), shard.metadata());
    plan.output_bytes += shard.bytes;
  }
  plan.bits_per_weight /= static_cast<double>(std::max<std::int64_t>(plan.parameters, 1));
}

}  // namespace

std::string attention_module(const model::LayerSpec& layer) {
  const std::string& o =
      std::visit([](const auto& attention) -> const std::string& { return attention.o.module; },
                 layer.attention);
  return o.substr(0, o.rfind('.'));
}

bool caches_latent(const model::LayerSpec& layer) {
  return std::holds_alternative<model::MlaSpec>(layer.attention);
}

std::vector<checkpoint::SafetensorsWriter::Entry> OutputShard::entries() const {
  std::vector<checkpoint::SafetensorsWriter::Entry> result;
  for (const auto& tensor : tensors) result.push_back(tensor.entry);
  return result;
}

checkpoint::SafetensorsWriter::Metadata OutputShard::metadata() const {
  std::vector<std::string> names;
  for (const auto& tensor : tensors)
    if (tensor.origin == Origin::kRefitted) names.push_back(tensor.entry.name);
  if (names.empty()) return {};
  return {{std::string(formats::kRefittedKey), fmt::format("{}", fmt::join(names, ","))}};
}

bool Plan::refits(const std::string& tensor) const {
  return std::binary_search(refitted.begin(), refitted.end(), tensor);
}

const model::LayerSpec& Plan::layer(int index) const {
  for (const auto* layers : {&spec.layers, &spec.mtp_layers})
    for (const auto& layer : *layers)
      if (layer.index == index) return layer;
  fail(ErrorKind::kBug, fmt::format("layer {}", index), "is no layer of the model");
}

bool Plan::has_experts(int index) const {
  return std::holds_alternative<model::MoeSpec>(layer(index).mlp);
}

std::unique_ptr<Plan> make_plan(const Checkpoint& checkpoint, const Recipe& recipe) {
  refuse_quantized_source(checkpoint);
  auto plan = std::make_unique<Plan>();
  plan->spec = model::load_spec(checkpoint);
  account_for_the_rest(*plan, checkpoint);
  plan->bound = bind_recipe(recipe, plan->spec, config_dtype(checkpoint.config()));
  const bool forward = recipe.method != Method::kFp8 || plan->bound.sees_maxima();
  plan->tokens = recipe.calibration.empty() || !forward
                     ? 0
                     : recipe.samples.samples * recipe.samples.max_length;
  add_steps(*plan, checkpoint);
  name_shards(*plan);
  for (auto* list :
       {&plan->quantized, &plan->copied, &plan->dequantized, &plan->refitted, &plan->ignored})
    std::sort(list->begin(), list->end());
  for (const auto& step : plan->steps) plan->flops += step.flops;

  const std::uint64_t limit =
      recipe.max_memory > 0 ? recipe.max_memory : base::available_memory_bytes() / 10 * 9;
  plan_memory(*plan, limit);
  plan->disk_bytes = plan->output_bytes + plan->spill_bytes;
  return plan;
}

}  // namespace whit::pipeline
