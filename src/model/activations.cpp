#include "model/activations.h"

#include <map>

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

class MemoryStore final : public ActivationStore {
 public:
  explicit MemoryStore(compute::Backend& backend) : backend_(&backend) {}

  void create(Slot slot, std::int64_t rows, std::int64_t width) override {
    slots_.erase(slot);
    slots_.emplace(slot, backend_->memory().allocate({rows, width}, tensor::Dtype::kF32));
  }

  void drop(Slot slot) override { slots_.erase(slot); }

  bool has(Slot slot) const override { return slots_.contains(slot); }

  std::unique_ptr<Lease> lease(Slot slot, std::int64_t row0, std::int64_t rows,
                               Access /*access*/) override {
    return std::make_unique<MemoryLease>(at(slot).rows_of(row0, rows));
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
    const auto found = slots_.find(slot);
    base::check(found != slots_.end(), "activation slot exists");
    return found->second.matrix();
  }

  compute::Backend* backend_;
  std::map<Slot, tensor::Tensor> slots_;
};

}  // namespace

std::unique_ptr<ActivationStore> make_memory_store(compute::Backend& backend) {
  return std::make_unique<MemoryStore>(backend);
}

}  // namespace whit::model
