#include "formats/torch_file.h"

#include "expect.h"

// A file of torch.save is read as tensors, or refused.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  accepts([&] {
    const std::string_view bytes(reinterpret_cast<const char*>(data), size);
    for (const auto& [key, tensor] : formats::read_torch_dict(bytes, "fuzz"))
      require(tensor.elements() >= 0);
  });
  return 0;
}
