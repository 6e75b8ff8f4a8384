#include "pipeline/vector_quantizer.h"

#include <span>

#include "base/hash.h"
#include "quant/vptq.h"

namespace whit::pipeline {

namespace {

base::Event event_of(const std::string& module, const quant::VptqStage& stage) {
  if (stage.clusters > 0)
    return {"kmeans",
            {{"name", module},
             {"stage", std::string(stage.name)},
             {"codebook", stage.codebook},
             {"clusters", stage.clusters},
             {"iterations", stage.iterations},
             {"inertia", stage.inertia},
             {"seconds", stage.seconds}}};
  return {"proxy_error",
          {{"name", module},
           {"stage", std::string(stage.name)},
           {"error", stage.error},
           {"base", stage.base},
           {"ratio", stage.ratio()},
           {"seconds", stage.seconds}}};
}

// One seed of the job for every linear.
std::uint64_t seed_of(std::uint64_t seed, const std::string& module) {
  return seed ^
         std::stoull(base::hash_hex(std::as_bytes(std::span(module))).substr(0, 16), nullptr, 16);
}

}  // namespace

VectorRecord quantize_to_vectors(compute::Backend& backend, const BoundRecipe& bound,
                                 const model::LinearSpec& linear, tensor::ConstMatrixView weight,
                                 const stats::Gram& gram, base::EventSink& events) {
  const VptqRecipe& vptq = bound.recipe.vptq;
  quant::VptqArgs args;
  args.layout = bound.vectors.at(linear.module);
  args.dtype = bound.scale_dtype;
  args.rel_damp = bound.recipe.rel_damp;
  args.permute = vptq.permute;
  args.absorb = vptq.absorb;
  args.fold_norm = vptq.fold_norm;
  args.kmeans = vptq.kmeans;
  args.kmeans.seed = seed_of(vptq.kmeans.seed, linear.module);
  args.block_size = bound.recipe.block_size;
  args.beam = vptq.beam;
  args.rounds = vptq.rounds;
  quant::VptqReport report;
  VectorRecord made;
  made.codes = quant::vptq(
      backend, weight, gram, args, &report,
      [&](const quant::VptqStage& stage) { events.emit(event_of(linear.module, stage)); });
  made.factor_attempts = report.factor_attempts;
  made.record.name = linear.module;
  made.record.method = name_of(Method::kVptq);
  made.record.tokens = gram.tokens();
  made.record.proxy_error = report.proxy_error;
  made.record.proxy_error_rtn = report.proxy_error_kmeans;
  made.record.damping = report.damping;
  return made;
}

}  // namespace whit::pipeline
