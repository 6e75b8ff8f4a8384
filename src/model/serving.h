#pragma once

#include "model/spec.h"
#include "scheme/scheme.h"

namespace whit::model {

// What a server of a quantized checkpoint rounds besides its weights. Pointers stay valid as long
// as the object does.
class Serving {
 public:
  struct Cache {
    scheme::Float8Rounding key, value;
  };

  virtual ~Serving() = default;
  // How `linear` reads its hidden state; null: as it is.
  virtual const scheme::Float8Rounding* input(const LinearSpec& linear) const = 0;
  // How a layer's KV cache keeps rotated keys and values; in latent attention `key` is of the row
  // that it caches, the latent and the shared key together. Null: as they are.
  virtual const Cache* cache(const LayerSpec& layer) const = 0;
};

}  // namespace whit::model
