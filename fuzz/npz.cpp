#include "formats/npz.h"

#include "expect.h"
#include "formats/inc_tree.h"

// An .npz of Intel Neural Compressor's: what is accepted is written as something that is read as
// the same.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const std::string bytes(reinterpret_cast<const char*>(data), size);
  accepts([&] { formats::parse_npy(bytes, "npy"); });
  accepts([&] {
    const auto tree = formats::parse_inc_npz(bytes, "fuzz.npz");
    formats::to_inc_json(tree);
    formats::parse_inc_npz(formats::to_inc_npz(tree), "written");
  });
  return 0;
}
