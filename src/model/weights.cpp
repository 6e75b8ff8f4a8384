#include "model/weights.h"

#include <algorithm>
#include <cmath>
#include <utility>
#include <vector>

#include "base/error.h"
#include "model/finite.h"
#include "model/inventory.h"

namespace whit::model {

using base::ErrorKind;
using checkpoint::Checkpoint;
using tensor::Dtype;
using tensor::Tensor;
using tensor::TensorView;

namespace {

bool aligned(const TensorView& view) {
  const auto bytes = static_cast<std::uintptr_t>(std::max(numeric::bits_of(view.dtype) / 8, 1));
  return reinterpret_cast<std::uintptr_t>(view.data) % bytes == 0;
}

// A host matrix of F32 with rows and columns exchanged.
Tensor transposed(const Tensor& matrix) {
  const tensor::ConstMatrixView from = matrix.matrix();
  Tensor out({from.cols, from.rows}, Dtype::kF32);
  for (std::int64_t i = 0; i < from.rows; ++i)
    for (std::int64_t j = 0; j < from.cols; ++j)
      out.as<float>()[j * from.rows + i] = from.row<float>(i)[j];
  return out;
}

class CheckpointWeights final : public WeightSource {
 public:
  CheckpointWeights(const Checkpoint& checkpoint, compute::Backend& backend)
      : checkpoint_(&checkpoint), backend_(&backend) {}

  WeightHandle linear(const LinearSpec& spec) override {
    const WeightHandle stored = f32_matrix(spec.weight(), stored_shape(spec));
    if (!spec.transposed) return stored;
    const Tensor turned = transposed(backend_->memory().download(stored->view()));
    return std::make_shared<Tensor>(backend_->memory().upload(turned.view()));
  }

  WeightHandle bias(const LinearSpec& spec) override {
    if (!spec.bias) return nullptr;
    return f32_vector(spec.module + ".bias", {spec.out_features});
  }

  WeightHandle vector(const VectorSpec& spec) override {
    return f32_vector(spec.name, {spec.size}, spec.offset);
  }

  WeightHandle table(const LinearSpec& spec) override {
    const std::string name = spec.weight();
    const TensorView stored = checkpoint_->view(name);
    require_shape(name, stored, {spec.out_features, spec.in_features});
    require_readable(name, stored.dtype);
    return resident(name, stored);
  }

  void release(int /*layer*/) override {}

 private:
  // A stored tensor where the backend can read it: the mapping itself, or a copy.
  struct OnDevice {
    TensorView view;
    Tensor copy;
  };

  static void require_shape(const std::string& name, const TensorView& stored,
                            const tensor::Shape& expected) {
    if (stored.shape != expected)
      base::fail(ErrorKind::kInput, name, "shape {}; expected {}", tensor::to_string(stored.shape),
                 tensor::to_string(expected));
  }

  static void require_readable(const std::string& name, Dtype dtype) {
    switch (dtype) {
      case Dtype::kF32:
      case Dtype::kBF16:
      case Dtype::kF16:
      case Dtype::kF8E4M3:
        return;
      default:
        base::fail(ErrorKind::kUnsupported, name,
                   "stored as {}; expected F32, BF16, F16 or F8_E4M3", numeric::name_of(dtype));
    }
  }

  TensorView checked(const std::string& name, const tensor::Shape& shape) const {
    const TensorView stored = checkpoint_->view(name);
    require_shape(name, stored, shape);
    require_readable(name, stored.dtype);
    return stored;
  }

  // The host looks at every stored element only where the device met one that is not a number.
  void require_finite_decoded(const std::string& name, const TensorView& stored,
                              tensor::ConstMatrixView decoded) {
    Tensor most = backend_->memory().allocate({1, decoded.rows}, Dtype::kF32);
    backend_->linalg().row_max_abs(decoded, most.matrix());
    const Tensor host = backend_->memory().download(most.view());
    if (!std::all_of(host.as<float>(), host.as<float>() + host.elements(),
                     [](float x) { return std::isfinite(x); }))
      require_finite(name, stored);
  }

  bool in_place(const TensorView& stored) const {
    return stored.device == backend_->device() && aligned(stored);
  }

  OnDevice on_device(const TensorView& stored) {
    if (in_place(stored)) return {stored, {}};
    OnDevice result;
    result.copy = backend_->memory().upload(stored);
    result.view = result.copy.view();
    return result;
  }

  // A handle on the stored bytes; on the host they are the mapping, whose pages go with the handle.
  WeightHandle resident(const std::string& name, const TensorView& stored) {
    if (!in_place(stored)) {
      auto copy = std::make_shared<Tensor>(backend_->memory().upload(stored));
      checkpoint_->release(name);
      return copy;
    }
    const Checkpoint* owner = checkpoint_;
    // Tensor wants writable bytes; the handle that leaves here is const.
    auto* bytes = const_cast<std::byte*>(stored.data);
    Tensor::Release pages(bytes, [owner, name](void*) { owner->release(name); });
    return std::make_shared<Tensor>(stored.shape, stored.dtype, bytes, stored.device,
                                    std::move(pages));
  }

  WeightHandle f32_matrix(const std::string& name, const tensor::Shape& shape) {
    const TensorView stored = checked(name, shape);
    const bool on_host = backend_->device() == tensor::Device{};
    if (on_host || stored.dtype == Dtype::kF32) require_finite(name, stored);
    if (stored.dtype == Dtype::kF32) return resident(name, stored);
    auto weight = std::make_shared<Tensor>(backend_->memory().allocate(shape, Dtype::kF32));
    const OnDevice codes = on_device(stored);
    if (stored.dtype == Dtype::kF8E4M3)
      decode_fp8(name, codes.view, weight->matrix());
    else
      backend_->codec().to_f32(codes.view, weight->matrix());
    if (!on_host) require_finite_decoded(name, stored, std::as_const(*weight).matrix());
    checkpoint_->release(name);
    return weight;
  }

  WeightHandle f32_vector(const std::string& name, const tensor::Shape& shape, float offset = 0) {
    const TensorView stored = checked(name, shape);
    require_finite(name, stored);
    std::vector<float> values = tensor::to_f32_vector(stored);
    for (float& value : values) value += offset;
    const Tensor host = tensor::make_f32(shape, values);
    checkpoint_->release(name);
    return std::make_shared<Tensor>(backend_->memory().upload(host.view()));
  }

  void decode_fp8(const std::string& name, const TensorView& codes, tensor::MatrixView out) {
    const ScaleGrid grid = scale_grid_of(*checkpoint_, name);
    const TensorView stored = checkpoint_->view(grid.name);
    require_finite(grid.name, stored);
    const tensor::ConstMatrixView shape = tensor::as_matrix(stored);
    const bool per_row = grid.block_rows == 1;
    const Tensor host = tensor::make_f32(
        per_row ? tensor::Shape{stored.elements(), 1} : tensor::Shape{shape.rows, shape.cols},
        tensor::to_f32_vector(stored));
    checkpoint_->release(grid.name);
    const Tensor scales = backend_->memory().upload(host.view());
    backend_->codec().decode_scaled_fp8(codes, scales.view(), grid.block_rows, grid.block_cols,
                                        out);
  }

  const Checkpoint* checkpoint_;
  compute::Backend* backend_;
};

}  // namespace

std::unique_ptr<WeightSource> make_checkpoint_weights(const Checkpoint& checkpoint,
                                                      compute::Backend& backend) {
  return std::make_unique<CheckpointWeights>(checkpoint, backend);
}

}  // namespace whit::model
