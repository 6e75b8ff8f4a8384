#include "comm/communicator.h"

#include <cstdint>
#include <cstring>
#include <utility>

#include "base/error.h"

namespace whit::comm {

std::vector<Bytes> Communicator::gather_v(int root, std::span<const std::byte> bytes) {
  std::vector<Bytes> send(static_cast<std::size_t>(size()));
  send[static_cast<std::size_t>(root)].assign(bytes.begin(), bytes.end());
  auto received = all_to_all_v(std::move(send));
  if (rank() != root) received.clear();
  return received;
}

std::vector<Bytes> Communicator::all_gather_v(std::span<const std::byte> bytes) {
  std::vector<Bytes> all(static_cast<std::size_t>(size()));
  for (int from = 0; from < size(); ++from)
    all[static_cast<std::size_t>(from)] = broadcast_v(from, bytes);
  return all;
}

Bytes Communicator::broadcast_v(int root, std::span<const std::byte> bytes) {
  std::uint64_t length = bytes.size();
  broadcast(root, std::as_writable_bytes(std::span(&length, 1)));
  Bytes result(length);
  if (rank() == root) result.assign(bytes.begin(), bytes.end());
  if (length > 0) broadcast(root, result);
  return result;
}

void Communicator::reduce_to(int root, std::span<float> values) {
  const auto all = gather_v(root, std::as_bytes(values));
  if (rank() != root) return;
  for (std::size_t from = 0; from < all.size(); ++from) {
    base::check(all[from].size() == values.size_bytes(), "reduce_to: one length everywhere");
    if (from == 0) {
      std::memcpy(values.data(), all[from].data(), all[from].size());
      continue;
    }
    for (std::size_t i = 0; i < values.size(); ++i) {
      float value = 0;
      std::memcpy(&value, all[from].data() + i * sizeof(float), sizeof value);
      values[i] += value;
    }
  }
}

void Communicator::all_reduce(std::span<float> values) {
  reduce_to(0, values);
  broadcast(0, std::as_writable_bytes(values));
}

}  // namespace whit::comm
