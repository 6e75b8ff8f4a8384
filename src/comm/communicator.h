#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <string_view>
#include <vector>

namespace whit::comm {

using Bytes = std::vector<std::byte>;

// The ranks that share one job, numbered from 0. Every rank calls the same collectives in the same
// order. Reductions add in rank order, so that results do not depend on timing.
class Communicator {
 public:
  virtual ~Communicator() = default;
  virtual int rank() const = 0;
  virtual int size() const = 0;
  // Ranks on this rank's machine, itself included: they share its memory and processors.
  virtual int local_size() const = 0;
  // The bytes of `root`, of the same length everywhere.
  virtual void broadcast(int root, std::span<std::byte> bytes) = 0;
  // send[r] goes to rank r; the result's [r] came from rank r. Lengths may differ.
  virtual std::vector<Bytes> all_to_all_v(std::vector<Bytes> send) = 0;
  virtual void barrier() = 0;
  // Ends every rank; for errors that leave the others waiting.
  [[noreturn]] virtual void abort(int exit_code) = 0;

  // At root: every rank's bytes, by rank; elsewhere empty.
  std::vector<Bytes> gather_v(int root, std::span<const std::byte> bytes);
  // Everywhere: every rank's bytes, by rank.
  std::vector<Bytes> all_gather_v(std::span<const std::byte> bytes);
  // The bytes of `root`, whose length the others need not know.
  Bytes broadcast_v(int root, std::span<const std::byte> bytes);
  // values of `root` = the sum of everyone's, added in rank order.
  void reduce_to(int root, std::span<float> values);
  void all_reduce(std::span<float> values);
};

// One rank: every collective is the identity.
std::unique_ptr<Communicator> make_single();

// `ranks` ranks in one process, for a thread each; abort() on one makes the others' collectives
// throw base::Error (kInterrupted).
std::vector<std::unique_ptr<Communicator>> make_threads(int ranks);

// What this program was built with: "Open MPI v4.1.4", or nothing.
std::string_view mpi_library();
// All ranks that the launcher started (MPI_COMM_WORLD). Initializes MPI, and finalizes it where it
// is destroyed. Errors: kUnsupported where this program was built without MPI.
std::unique_ptr<Communicator> make_mpi();

}  // namespace whit::comm
