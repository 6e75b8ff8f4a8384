#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <vector>

#include "compute/backend.h"
#include "tensor/tensor.h"

namespace whit::model {

// Sequences laid end to end: sequence s owns token rows [starts[s], starts[s+1]).
struct Sequences {
  std::vector<std::int32_t> ids;        // token ids of all rows
  std::vector<std::int64_t> starts{0};  // S+1 row offsets
  std::vector<std::int32_t> positions;  // position of each row in its sequence

  std::int64_t tokens() const { return static_cast<std::int64_t>(ids.size()); }
  std::int64_t count() const { return static_cast<std::int64_t>(starts.size()) - 1; }
  void append(std::span<const std::int32_t> sequence, std::int32_t first_position = 0);
};

// A run of whole sequences that is computed at once. Tiles depend on the sequences alone, never on
// memory or threads, so that results do not either.
struct Tile {
  std::int64_t first_sequence = 0, sequences = 0;
  std::int64_t first_row = 0, rows = 0;
};
inline constexpr std::int64_t kTileTokens = 2048;
std::vector<Tile> tiles_of(const Sequences& sequences, std::int64_t min_tokens = kTileTokens);

// Values per token that outlive one tile.
enum class Slot : std::uint8_t {
  kHidden,       // the residual stream
  kQueryLatent,  // MLA: normed, what q_b reads
  kKvLatent,     // MLA: normed, what kv_b reads; then the rotated key that all heads share
  kQuery,        // the attention's output; in MLA the rotated queries first, in the same rows
  kMlpIn,        // a mixture's normed input
  kMid,          // silu(gate) * up
  kMoeOut,       // what the routed experts add, where somebody observes it
};

// Rows of a slot, on the device, for as long as the lease lives. A written lease is stored when it
// is destroyed.
class Lease {
 public:
  virtual ~Lease() = default;
  virtual tensor::MatrixView view() = 0;
};

// Holds slots in memory or in a file. Rows are F32 to whoever leases or gathers them.
class ActivationStore {
 public:
  enum class Access : std::uint8_t { kRead, kWrite, kUpdate };  // kWrite: contents start undefined

  virtual ~ActivationStore() = default;
  virtual void create(Slot slot, std::int64_t rows, std::int64_t width) = 0;  // zero-filled
  virtual void drop(Slot slot) = 0;
  virtual bool has(Slot slot) const = 0;
  virtual std::unique_ptr<Lease> lease(Slot slot, std::int64_t row0, std::int64_t rows,
                                       Access access) = 0;
  // out[i] = slot[rows[i]].
  virtual void gather(Slot slot, std::span<const std::int32_t> rows, tensor::MatrixView out) = 0;
  // slot[rows[i]] += weights[i] * x[i]; rows distinct and ascending.
  virtual void scatter_add(Slot slot, std::span<const std::int32_t> rows,
                           std::span<const float> weights, tensor::ConstMatrixView x) = 0;
};

// dtype: F32, or BF16, to which every row is rounded that is written or added to.
std::unique_ptr<ActivationStore> make_memory_store(compute::Backend& backend,
                                                   tensor::Dtype dtype = tensor::Dtype::kF32);

}  // namespace whit::model
