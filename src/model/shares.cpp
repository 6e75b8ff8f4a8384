#include "model/shares.h"

#include <algorithm>

#include "base/error.h"

namespace whit::model {

Shares::Shares(comm::Communicator* ranks, const Sequences& sequences, std::int64_t tile_tokens)
    : ranks_(ranks),
      tiles_(tiles_of(sequences, tile_tokens)),
      strands_(std::min(kStrands, static_cast<std::int64_t>(tiles_.size()))) {}

std::int64_t Shares::strand_of(std::size_t i) const {
  return static_cast<std::int64_t>(i) * strands_ / static_cast<std::int64_t>(tiles_.size());
}

int Shares::owner_of_tile(std::size_t i) const {
  return static_cast<int>(strand_of(i) % count());
}

int Shares::owner_of_row(std::int32_t row) const {
  if (!shared()) return 0;
  const auto next =
      std::upper_bound(tiles_.begin(), tiles_.end(), std::int64_t{row},
                       [](std::int64_t value, const Tile& tile) { return value < tile.first_row; });
  base::check(next != tiles_.begin(), "a row lies in a tile");
  return owner_of_tile(static_cast<std::size_t>(next - tiles_.begin() - 1));
}

std::vector<std::size_t> Shares::own() const {
  std::vector<std::size_t> own;
  for (std::size_t i = 0; i < tiles_.size(); ++i)
    if (owner_of_tile(i) == rank()) own.push_back(i);
  return own;
}

void Shares::gather_rows(compute::Backend& backend, ActivationStore& store, Slot slot) const {
  if (!shared()) return;
  compute::Memory& memory = backend.memory();
  for (std::size_t i = 0; i < tiles_.size(); ++i) {
    const Tile& tile = tiles_[i];
    const bool own = owner_of_tile(i) == rank();
    const auto lease =
        store.lease(slot, tile.first_row, tile.rows,
                    own ? ActivationStore::Access::kRead : ActivationStore::Access::kWrite);
    const tensor::MatrixView view = lease->view();
    tensor::Tensor rows({view.rows, view.cols}, tensor::Dtype::kF32);
    if (own) {
      tensor::Tensor dense = memory.allocate(rows.shape(), tensor::Dtype::kF32);
      memory.copy(view, dense.matrix());
      rows = memory.download(dense.view());
    }
    ranks_->broadcast(owner_of_tile(i), {rows.data(), static_cast<std::size_t>(rows.bytes())});
    if (!own) memory.copy(memory.upload(rows.view()).matrix(), view);
  }
}

}  // namespace whit::model
