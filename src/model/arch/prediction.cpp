#include "model/arch/prediction.h"

#include "model/arch/architectures.h"

namespace whit::model::arch {

std::int64_t read_prediction_layers(const Fields& config, std::int64_t otherwise) {
  constexpr std::int64_t kMost = 64;
  for (const char* key : {"num_nextn_predict_layers", "num_mtp_layers"})
    if (config.present(key)) return config.integer(key, 0, kMost);
  return otherwise;
}

MtpSpec prediction(const LayerSpec& layer, const ModelSpec& spec, float eps) {
  MtpSpec mtp;
  mtp.enorm = norm(layer.prefix + "enorm", spec.hidden, eps);
  mtp.hnorm = norm(layer.prefix + "hnorm", spec.hidden, eps);
  mtp.eh_proj = linear(layer.prefix + "eh_proj", Role::kMtpProj, spec.hidden, 2 * spec.hidden,
                       {layer.index, stats::Site::kMtpIn});
  mtp.eh_proj.quantizable = false;
  mtp.head_norm = norm(layer.prefix + "shared_head.norm", spec.hidden, eps);
  mtp.head = spec.head;
  mtp.head->module = layer.prefix + "shared_head.head";
  mtp.head->reads.layer = layer.index;
  mtp.embedding = spec.embedding;
  mtp.embedding->module = layer.prefix + "embed_tokens";
  return mtp;
}

}  // namespace whit::model::arch
