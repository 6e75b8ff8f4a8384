#pragma once

#include <filesystem>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "base/error.h"
#include "model/forward.h"
#include "model/inventory.h"

namespace whit::model::testing {

namespace fs = std::filesystem;

inline const fs::path kData = WHIT_TEST_DATA;
inline const fs::path kDemo = fs::path(WHIT_SOURCE_DIR) / "demo" / "moe-15m";
inline const fs::path kShared = fs::path(WHIT_SOURCE_DIR).parent_path() / "shared";

// The tiny checkpoints of scripts/goldens/make_tiny_models.py, by name.
std::vector<std::string> tiny_models();
fs::path tiny_model(const std::string& name);

std::unique_ptr<compute::Backend> make_backend(const std::string& name);  // "reference", "cpu"

// A checkpoint with all that a forward needs. `spec` may be changed before a forward.
struct Model {
  Model(const fs::path& folder, compute::Backend& backend_in);

  checkpoint::Checkpoint checkpoint;
  compute::Backend& backend;
  ModelSpec spec;
  std::unique_ptr<WeightSource> weights;

  // Logits [T,V] of whole sequences, through `runner` or a plain one.
  std::vector<float> logits(const Sequences& sequences, StageRunner* runner = nullptr);
  std::vector<float> logits(std::span<const std::int32_t> ids);
  // Logits of one sequence that is fed in chunks of the given lengths over a cache.
  std::vector<float> chunked_logits(std::span<const std::int32_t> ids,
                                    std::span<const std::int64_t> chunks);
  // Logits [T,V] of every MTP layer.
  std::vector<std::vector<float>> mtp_logits(std::span<const std::int32_t> ids);
};

struct Golden {
  std::vector<std::int32_t> ids;
  std::vector<float> logits;
  std::vector<float> mtp_logits;
};
Golden golden_of(const std::string& name);
std::vector<float> read_npy_f32(const fs::path& path);

// Largest |a - b| relative to the largest |b|.
double relative_difference(std::span<const float> a, std::span<const float> b);

// A folder that goes with the object.
class Folder {
 public:
  Folder();
  ~Folder();
  Folder(const Folder&) = delete;
  Folder& operator=(const Folder&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

// One tensor on its way into an altered copy of a checkpoint.
struct Stored {
  std::string name;
  tensor::Dtype dtype = tensor::Dtype::kF32;
  tensor::Shape shape;
  std::vector<std::byte> bytes;
};
using Tensors = std::vector<Stored>;

// A copy of a tiny model, its tensors changed by `alter`.
void write_altered(const std::string& name, const fs::path& to,
                   const std::function<void(Tensors&)>& alter);
Stored& named(Tensors& tensors, const std::string& name);

// `run` throws base::Error of this kind and subject, whose detail contains `detail`.
void expect_error(base::ErrorKind kind, const std::string& subject, const std::string& detail,
                  const std::function<void()>& run);

}  // namespace whit::model::testing
