#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <string>

#include "checkpoint/checkpoint.h"
#include "compute/backend.h"
#include "model/spec.h"
#include "model/weights.h"
#include "scheme/scheme.h"

namespace whit::runtime {

namespace fs = std::filesystem;

// A model folder, opened and understood.
struct OpenModel {
  checkpoint::Checkpoint checkpoint;
  model::ModelSpec spec;
};

// Errors: those of Checkpoint::open and model::load_spec.
OpenModel open_model(const fs::path& folder);

// Weights of any checkpoint that whit reads: plain, FP8 blocks, or packed in one of its formats.
// Decoded anew at each use; `checkpoint` and `backend` outlive the source. Errors: kInput, subject
// = tensor name.
std::unique_ptr<model::WeightSource> make_stored_weights(const checkpoint::Checkpoint& checkpoint,
                                                         compute::Backend& backend);

// Keeps what another source decoded, first come first kept, up to `budget_bytes`; what does not fit
// is decoded at each use. For generation, which visits every layer once a token.
class ResidentWeights final : public model::WeightSource {
 public:
  ResidentWeights(std::unique_ptr<model::WeightSource> source, std::uint64_t budget_bytes);

  model::WeightHandle linear(const model::LinearSpec& spec) override;
  model::WeightHandle bias(const model::LinearSpec& spec) override;
  model::WeightHandle vector(const model::VectorSpec& spec) override;
  model::WeightHandle table(const model::LinearSpec& spec) override;
  void release(int layer) override;

  std::uint64_t kept_bytes() const { return kept_bytes_; }

 private:
  model::WeightHandle keep(const std::string& key, model::WeightHandle handle);

  std::unique_ptr<model::WeightSource> source_;
  std::uint64_t budget_bytes_;
  std::uint64_t kept_bytes_ = 0;
  std::map<std::string, model::WeightHandle, std::less<>> kept_;
};

}  // namespace whit::runtime
