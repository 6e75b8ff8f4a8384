#include "pipeline/job.h"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"
#include "base/memory.h"
#include "formats/format.h"
#include "pipeline/carry_over.h"

namespace whit::pipeline {

namespace fs = std::filesystem;
using base::ErrorKind;
using nlohmann::ordered_json;

namespace {

// The source as far as its headers tell: names, dtypes, shapes, sizes and config.json. Weights are
// not hashed, which would read the whole checkpoint once more.
std::string fingerprint(const checkpoint::Checkpoint& source) {
  base::Hasher hasher;
  hasher.update(source.config().dump());
  for (const auto& name : source.names()) {
    const auto& info = source.info(name);
    hasher.update(fmt::format("{} {} {} {}\n", name, numeric::name_of(info.dtype),
                              tensor::to_string(info.shape), info.offset));
  }
  return hasher.hex();
}

// Names and sizes of the files of a folder; "" for none.
std::string fingerprint(const fs::path& folder) {
  if (folder.empty()) return "";
  std::set<std::string> lines;
  for (const auto& entry : fs::directory_iterator(folder))
    if (entry.is_regular_file())
      lines.insert(fmt::format("{} {}\n", entry.path().filename().string(), entry.file_size()));
  base::Hasher hasher;
  for (const auto& line : lines) hasher.update(line);
  return hasher.hex();
}

// Files that whit itself writes into an output folder, and nothing else.
bool is_output_file(const std::string& name) {
  return name.ends_with(".safetensors") || name.ends_with(".partial") || name == "config.json" ||
         name == "model.safetensors.index.json" || name == "quantization_config.json" ||
         name == Journal::kFile;
}

bool is_empty_or_absent(const fs::path& folder) {
  return !fs::exists(folder) || fs::is_empty(folder);
}

}  // namespace

ordered_json describe_job(const checkpoint::Checkpoint& source, const Plan& plan,
                          const model::Sequences& sequences, const std::string& backend) {
  const Recipe& recipe = plan.bound.recipe;
  base::Hasher text;
  text.update(std::as_bytes(std::span(sequences.ids)));
  text.update(std::as_bytes(std::span(sequences.starts)));
  // A backend's threads do not change its bytes; what stands before them in its name does.
  return {
      {"whit", 1},
      {"source", fingerprint(source)},
      {"backend", backend.substr(0, backend.find(','))},
      {"method", name_of(recipe.method)},
      {"bits", recipe.bits},
      {"group_size", plan.bound.weights.group_size},
      {"channel", recipe.channel},
      {"symmetric", recipe.symmetric},
      {"rel_damp", recipe.rel_damp},
      {"block_size", recipe.block_size},
      {"activation_order", recipe.order == quant::ColumnOrder::kActivation},
      {"mse_scales", recipe.search == compute::ScaleSearch::kMse},
      {"min_expert_tokens", recipe.min_expert_tokens},
      {"signed_scales", recipe.refinement.signed_scales},
      {"weighted_scales", recipe.refinement.weighted_scales},
      {"refit_scales", recipe.refinement.refit_scales},
      {"descent_passes", recipe.refinement.descent_passes},
      {"teacher", recipe.refinement.teacher},
      {"teacher_share", recipe.refinement.teacher_share},
      {"residual", recipe.refinement.residual},
      {"teacher_part", recipe.refinement.teacher_part},
      {"held_out", recipe.refinement.held_out},
      {"output_metric", recipe.refinement.output_metric},
      {"unquantized", recipe.refinement.unquantized},
      {"embedding", recipe.refinement.embedding},
      {"route_weights", recipe.refinement.route_weights},
      {"hidden_states", numeric::name_of(recipe.hidden_states)},
      {"lean", recipe.refinement.lean},
      {"dtype", numeric::name_of(recipe.dtype)},
      {"scale_dtype", numeric::name_of(plan.bound.scale_dtype)},
      {"mtp", recipe.mtp == MtpMode::kQuantize ? "quantize" : "keep"},
      {"ignore", plan.bound.ignore},
      {"format", formats::name_of(recipe.format)},
      {"config", formats::to_json(formats::uniform_config(recipe.format, plan.bound.scheme(), {}))},
      {"kv_cache", recipe.fp8.kv_cache},
      {"fp8_device", scheme::name_of(recipe.fp8.target.device)},
      {"scale_method", recipe.fp8.scale_method},
      {"stored_scales", recipe.fp8.stored_scales},
      {"vectors", recipe.method == Method::kVptq ? formats::to_json(quantization_of(plan))
                                                 : ordered_json(nullptr)},
      {"kmeans",
       {recipe.vptq.kmeans.iterations, recipe.vptq.kmeans.tolerance, recipe.vptq.kmeans.least_gain,
        static_cast<int>(recipe.vptq.kmeans.start), recipe.vptq.kmeans.seed}},
      {"vector_permute", recipe.vptq.permute},
      {"vector_fold_norm", recipe.vptq.fold_norm},
      {"vector_beam", recipe.vptq.beam},
      {"hessians", fingerprint(recipe.vptq.hessians)},
      {"inverse_hessians", fingerprint(recipe.vptq.inverses)},
      {"vector_rounds", recipe.vptq.rounds},
      {"calibration_tokens", sequences.tokens()},
      {"calibration", text.hex()}};
}

void prepare_output(const fs::path& output, const fs::path& source, ExistingOutput existing) {
  std::error_code code;
  if (fs::exists(output) && fs::equivalent(output, source, code))
    base::fail(ErrorKind::kUsage, output.string(),
               "the output is the source; expected another folder");
  if (fs::exists(output) && !fs::is_directory(output))
    base::fail(ErrorKind::kUsage, output.string(), "a file; expected a folder, or nothing");
  const bool begun = fs::exists(output / Journal::kFile);
  if (existing == ExistingOutput::kRefuse && !is_empty_or_absent(output))
    throw base::Error(ErrorKind::kUsage, output.string(),
                      begun ? "holds an unfinished job; expected an empty folder, or none"
                            : "is not empty; expected an empty folder, or none")
        .suggest(begun ? "--resume goes on with it, --overwrite starts anew"
                       : "--overwrite replaces the checkpoint in it");
  if (existing == ExistingOutput::kResume && !begun && !is_empty_or_absent(output))
    throw base::Error(ErrorKind::kUsage, output.string(),
                      "holds no unfinished job of whit; expected one, an empty folder, or none")
        .suggest("--overwrite replaces what is in it");
  base::ensure_writable_directory(output);
  if (existing != ExistingOutput::kOverwrite) return;
  for (const auto& entry : fs::directory_iterator(output))
    if (entry.is_regular_file() && is_output_file(entry.path().filename().string()))
      fs::remove(entry.path());
}

bool is_finished(const Plan& plan, const checkpoint::Checkpoint& source, const fs::path& output) {
  const fs::path config = output / "config.json";
  if (!fs::exists(config) || fs::exists(output / Journal::kFile)) return false;
  const bool whole =
      std::all_of(plan.shards.begin(), plan.shards.end(), [&](const OutputShard& shard) {
        std::error_code code;
        return fs::file_size(output / shard.file, code) == shard.bytes && !code;
      });
  return whole && base::read_text_file(config) == config_text(plan, source);
}

void check_free_space(const fs::path& output, const Plan& plan,
                      const std::vector<StepRecord>& finished) {
  std::uint64_t needed = plan.disk_bytes;
  for (const auto& step : finished)
    for (const auto& shard : step.shards) needed -= std::min(needed, shard.bytes);
  const std::uint64_t available = fs::space(output).available;
  if (available < needed)
    throw base::Error(ErrorKind::kResource, output.string(),
                      fmt::format("the disk has {} free; expected at least {}",
                                  base::format_bytes(available), base::format_bytes(needed)));
}

void emit_weight(const WeightRecord& record, base::EventSink& events) {
  base::Event event{"weight",
                    {{"name", record.name},
                     {"method", record.method},
                     {"tokens", record.tokens},
                     {"extra_tokens", record.extra_tokens},
                     {"damping", record.damping},
                     {"reach", record.reach},
                     {"seconds", record.seconds}}};
  if (record.proxy_error) event.fields.emplace_back("proxy_error", *record.proxy_error);
  if (record.proxy_error_rtn) event.fields.emplace_back("proxy_error_rtn", *record.proxy_error_rtn);
  events.emit(event);
}

void gather_record(const Ranks& ranks, const model::LayerSpec* layer, StepRecord& record,
                   base::EventSink& events) {
  if (!ranks.several()) return;
  ordered_json own{{"weights", ordered_json::array()}, {"warnings", record.warnings}};
  for (const auto& weight : record.weights) own["weights"].push_back(to_json(weight));
  const std::string text = own.dump();
  const auto all = ranks.communicator().gather_v(0, std::as_bytes(std::span(text)));
  for (std::size_t from = 1; from < all.size(); ++from) {
    const auto* data = reinterpret_cast<const char*>(all[from].data());
    const auto theirs = nlohmann::json::parse(data, data + all[from].size());
    for (const auto& weight : theirs.at("weights")) {
      record.weights.push_back(weight_from_json(weight));
      emit_weight(record.weights.back(), events);
    }
    for (const auto& text_of : theirs.at("warnings")) {
      record.warnings.push_back(text_of.get<std::string>());
      events.emit({"warning", {{"text", record.warnings.back()}}});
    }
  }
  if (layer == nullptr) return;
  std::map<std::string, std::size_t, std::less<>> places;
  for (const auto* linear : model::linears_of(*layer))
    places.emplace(linear->module, places.size());
  std::stable_sort(record.weights.begin(), record.weights.end(),
                   [&](const WeightRecord& a, const WeightRecord& b) {
                     return places[a.name] < places[b.name];
                   });
}

FinishedSteps broadcast_finished(const Ranks& ranks, const std::vector<StepRecord>& records) {
  FinishedSteps finished;
  finished.count = records.size();
  for (const auto& record : records)
    for (const auto& shard : record.shards) finished.files.push_back(shard.file);
  if (!ranks.several()) return finished;
  const std::string text =
      ordered_json{{"count", finished.count}, {"files", finished.files}}.dump();
  const auto bytes = ranks.communicator().broadcast_v(0, std::as_bytes(std::span(text)));
  const auto* data = reinterpret_cast<const char*>(bytes.data());
  const auto received = nlohmann::json::parse(data, data + bytes.size());
  received.at("count").get_to(finished.count);
  received.at("files").get_to(finished.files);
  return finished;
}

}  // namespace whit::pipeline
