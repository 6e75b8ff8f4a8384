#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "tensor/tensor.h"

namespace whit::checkpoint {

// A file of tensors whose layout is known before its data: header first, then every tensor's bytes
// in the announced order, without gaps. Writes through base::AtomicFile; "format": "pt" is always
// in the metadata; the same entries and bytes give the same file. Errors: kResource, subject =
// path.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    tensor::Dtype dtype;
    tensor::Shape shape;
  };
  // Further metadata, by key.
  using Metadata = std::map<std::string, std::string>;
  SafetensorsWriter(const std::filesystem::path& path, std::vector<Entry> entries,
                    const Metadata& metadata = {});
  ~SafetensorsWriter();

  // The next announced tensor, on the host; name, dtype and shape must match (else kBug).
  void write(std::string_view name, const tensor::TensorView& data);
  // Durable under its final name; returns the hash (base::hash) of the whole file.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Bytes that such a file will have.
std::uint64_t safetensors_bytes(const std::vector<SafetensorsWriter::Entry>& entries,
                                const SafetensorsWriter::Metadata& metadata = {});

}  // namespace whit::checkpoint
