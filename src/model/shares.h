#pragma once

#include <cstdint>
#include <vector>

#include "comm/communicator.h"
#include "compute/backend.h"
#include "model/activations.h"

namespace whit::model {

// How the ranks of one job divide a forward. Tiles of tokens lie in strands, runs of neighbouring
// tiles that depend on the sequences alone: sums over tokens are made within a strand, then over
// strands in their order, whoever has which. Strand s belongs to rank s mod N, expert e to rank
// e mod N. Between layers every rank has every hidden state; within one, those of its own tiles.
// See docs/adr/0009-ranks.md.
inline constexpr std::int64_t kStrands = 16;

class Shares {
 public:
  // ranks: null where one process has all.
  Shares(comm::Communicator* ranks, const Sequences& sequences,
         std::int64_t tile_tokens = kTileTokens);

  bool shared() const { return ranks_ != nullptr && ranks_->size() > 1; }
  comm::Communicator& ranks() const { return *ranks_; }
  int count() const { return shared() ? ranks_->size() : 1; }
  int rank() const { return shared() ? ranks_->rank() : 0; }

  const std::vector<Tile>& tiles() const { return tiles_; }
  std::int64_t strands() const { return strands_; }
  // Of tile i.
  std::int64_t strand_of(std::size_t i) const;
  int owner_of_tile(std::size_t i) const;
  int owner_of_row(std::int32_t row) const;
  int owner_of_expert(std::size_t expert) const {
    return static_cast<int>(expert % static_cast<std::size_t>(count()));
  }
  // Indices of this rank's tiles, ascending.
  std::vector<std::size_t> own() const;

  // Afterwards every rank has the slot's rows of all tiles.
  void gather_rows(compute::Backend& backend, ActivationStore& store, Slot slot) const;

 private:
  comm::Communicator* ranks_;
  std::vector<Tile> tiles_;
  std::int64_t strands_;
};

}  // namespace whit::model
