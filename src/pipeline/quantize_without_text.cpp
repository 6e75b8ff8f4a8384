#include "pipeline/quantize_without_text.h"

#include <chrono>
#include <optional>
#include <utility>

#include "model/inventory.h"
#include "pipeline/hessian_files.h"
#include "pipeline/vector_quantizer.h"
#include "quant/gptq.h"

namespace whit::pipeline {

namespace {

WeightRecord round_one(const WithoutText& job, const model::LinearSpec& linear) {
  const auto weight = job.source.linear(linear);
  scheme::GroupedInt quantized =
      quant::rtn(job.backend, weight->matrix(), job.plan.bound.grid(linear));
  quantized.channel = job.plan.bound.recipe.channel;
  job.writer.packed(linear, std::move(quantized));
  WeightRecord record;
  record.name = linear.module;
  record.method = name_of(job.plan.bound.recipe.method);
  return record;
}

WeightRecord to_vectors(const WithoutText& job, const model::LinearSpec& linear,
                        HessianFolder& folder) {
  const auto begin = std::chrono::steady_clock::now();
  const StoredHessian& hessian = folder.of(linear);
  const auto weight = job.source.linear(linear);
  VectorRecord made = quantize_to_vectors(job.backend, job.plan.bound, linear, weight->matrix(),
                                          hessian.gram, job.events);
  job.writer.packed(linear, std::move(made.codes));
  made.record.tokens = hessian.tokens;
  made.record.seconds =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return std::move(made.record);
}

}  // namespace

std::vector<WeightRecord> quantize_without_text(const WithoutText& job,
                                                const model::LayerSpec& layer) {
  std::vector<WeightRecord> records;
  std::optional<HessianFolder> folder;
  if (job.plan.bound.recipe.method == Method::kVptq) {
    const VptqRecipe& vptq = job.plan.bound.recipe.vptq;
    folder.emplace(job.backend, vptq.hessians, vptq.inverses);
  }
  std::size_t turn = 0;
  for (const auto* linear : model::linears_of(layer)) {
    if (!job.plan.bound.quantizes(*linear) || job.ranks.turn(turn++) != job.ranks.rank()) continue;
    job.cancel.throw_if_cancelled();
    records.push_back(folder ? to_vectors(job, *linear, *folder) : round_one(job, *linear));
  }
  job.source.release(layer.index);
  return records;
}

}  // namespace whit::pipeline
