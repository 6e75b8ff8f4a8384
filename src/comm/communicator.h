#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <vector>

#include "tensor/tensor.h"

namespace whit::comm {

// The ranks that share one job. Reductions add in rank order, so that results do not depend on
// timing. Ranks are numbered from 0.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // values of `root` += those of the others, in rank order.
  virtual void reduce_to(int root, std::span<float> values) = 0;
  virtual void all_reduce(std::span<float> values) = 0;
  virtual void broadcast(int root, std::span<std::byte> bytes) = 0;
  // send[r] goes to rank r; the result's [r] came from rank r.
  virtual std::vector<std::vector<std::byte>> all_to_all_v(
      std::vector<std::vector<std::byte>> send) = 0;
  // At root: every rank's bytes, by rank; elsewhere empty.
  virtual std::vector<std::vector<std::byte>> gather_v(int root,
                                                       std::span<const std::byte> bytes) = 0;
  virtual void barrier() = 0;
  // Ends every rank; for errors that leave the others waiting.
  [[noreturn]] virtual void abort(int exit_code) = 0;
};

// One rank: every collective is the identity.
std::unique_ptr<Communicator> make_single();

}  // namespace whit::comm
