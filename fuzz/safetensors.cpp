#include "checkpoint/safetensors.h"

#include "expect.h"

// A header that is accepted covers the data exactly.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::span<const std::byte> file(reinterpret_cast<const std::byte*>(data), size);
  accepts([&] {
    const auto header = whit::checkpoint::parse_safetensors_header(file, "fuzz");
    std::uint64_t end = size;
    for (auto it = header.tensors.rbegin(); it != header.tensors.rend(); ++it) {
      require(it->offset + it->bytes == end);
      require(it->bytes == whit::tensor::byte_size(it->shape, it->dtype));
      end = it->offset;
    }
    require(end >= 8);
  });
  return 0;
}
