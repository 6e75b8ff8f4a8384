#include "model/activations.h"

#include <exception>
#include <map>
#include <utility>

#include "base/error.h"

namespace whit::model {

void Sequences::append(std::span<const std::int32_t> sequence, std::int32_t first_position) {
  ids.insert(ids.end(), sequence.begin(), sequence.end());
  for (std::size_t i = 0; i < sequence.size(); ++i)
    positions.push_back(first_position + static_cast<std::int32_t>(i));
  starts.push_back(tokens());
}

std::vector<Tile> tiles_of(const Sequences& sequences, std::int64_t min_tokens) {
  std::vector<Tile> tiles;
  Tile tile;
  for (std::int64_t s = 0; s < sequences.count(); ++s) {
    tile.sequences += 1;
    tile.rows = sequences.starts[static_cast<std::size_t>(s) + 1] - tile.first_row;
    if (tile.rows < min_tokens && s + 1 < sequences.count()) continue;
    tiles.push_back(tile);
    tile = {s + 1, 0, tile.first_row + tile.rows, 0};
  }
  return tiles;
}

namespace {

class MemoryLease final : public Lease {
 public:
  explicit MemoryLease(tensor::MatrixView view) : view_(view) {}
  tensor::MatrixView view() override { return view_; }

 private:
  tensor::MatrixView view_;
};

// Rows of a BF16 slot, as floats for as long as the lease lives.
class WidenedLease final : public Lease {
 public:
  using Access = ActivationStore::Access;
  WidenedLease(compute::Backend& backend, tensor::MatrixView stored, Access access,
               std::exception_ptr& failure)
      : backend_(backend),
        stored_(stored),
        access_(access),
        failure_(failure),
        rows_(backend.memory().allocate({stored.rows, stored.cols}, tensor::Dtype::kF32)) {
    if (access != Access::kWrite)
      backend.codec().to_f32({stored.data, stored.dtype, {stored.rows, stored.cols}, stored.device},
                             rows_.matrix());
  }
  WidenedLease(const WidenedLease&) = delete;
  WidenedLease& operator=(const WidenedLease&) = delete;
  // A destructor cannot report a failure; the store does, at its next call.
  ~WidenedLease() override {
    if (access_ == Access::kRead) return;
    try {
      backend_.codec().narrow(rows_.matrix(), stored_);
    } catch (...) {
      failure_ = std::current_exception();
    }
  }
  tensor::MatrixView view() override { return rows_.matrix(); }

 private:
  compute::Backend& backend_;
  tensor::MatrixView stored_;
  Access access_;
  std::exception_ptr& failure_;
  tensor::Tensor rows_;
};

class MemoryStore final : public ActivationStore {
 public:
  MemoryStore(compute::Backend& backend, tensor::Dtype dtype) : backend_(&backend), dtype_(dtype) {
    base::check(dtype == tensor::Dtype::kF32 || dtype == tensor::Dtype::kBF16,
                "activations are F32 or BF16");
  }

  void create(Slot slot, std::int64_t rows, std::int64_t width) override {
    slots_.erase(slot);
    slots_.emplace(slot, backend_->memory().allocate({rows, width}, dtype_));
  }

  void drop(Slot slot) override { slots_.erase(slot); }

  bool has(Slot slot) const override { return slots_.contains(slot); }

  std::unique_ptr<Lease> lease(Slot slot, std::int64_t row0, std::int64_t rows,
                               Access access) override {
    const tensor::MatrixView stored = at(slot).rows_of(row0, rows);
    if (dtype_ == tensor::Dtype::kF32) return std::make_unique<MemoryLease>(stored);
    return std::make_unique<WidenedLease>(*backend_, stored, access, failure_);
  }

  void gather(Slot slot, std::span<const std::int32_t> rows, tensor::MatrixView out) override {
    backend_->neural().gather_rows(at(slot), rows, out);
  }

  void scatter_add(Slot slot, std::span<const std::int32_t> rows, std::span<const float> weights,
                   tensor::ConstMatrixView x) override {
    backend_->neural().scatter_add_rows(x, rows, weights, at(slot));
  }

 private:
  tensor::MatrixView at(Slot slot) {
    if (failure_) std::rethrow_exception(std::exchange(failure_, nullptr));
    const auto found = slots_.find(slot);
    base::check(found != slots_.end(), "activation slot exists");
    return found->second.matrix();
  }

  compute::Backend* backend_;
  tensor::Dtype dtype_;
  std::exception_ptr failure_;
  std::map<Slot, tensor::Tensor> slots_;
};

}  // namespace

std::unique_ptr<ActivationStore> make_memory_store(compute::Backend& backend, tensor::Dtype dtype) {
  return std::make_unique<MemoryStore>(backend, dtype);
}

}  // namespace whit::model
