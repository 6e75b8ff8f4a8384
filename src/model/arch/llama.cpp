#include "model/arch/dense_decoder.h"

namespace whit::model::arch {

ModelSpec llama(const nlohmann::json& json) {
  const Fields config(json);
  return dense_decoder(config, "llama", read_dense_decoder(config));
}

}  // namespace whit::model::arch
