#include <filesystem>

#include "formats/format.h"
#include "formats/model_folder.h"

// Files that the compressed-tensors package wrote (scripts/conformance/make_packed_golden.py).
namespace whit::formats {
namespace {

using namespace testing;

class Golden : public ::testing::Test {
 protected:
  const std::filesystem::path folder_ = std::filesystem::path(WHIT_TEST_DATA) / "golden/packed";
  const Checkpoint checkpoint_ = Checkpoint::open(folder_);
  const PackedReader reader_{checkpoint_};
};

TEST_F(Golden, DecodesToTheSameValues) {
  const checkpoint::SafetensorsFile decoded(folder_ / "decoded.bin");
  ASSERT_EQ(reader_.modules().size(), 18U);
  for (const std::string& module : reader_.modules()) {
    SCOPED_TRACE(module);
    const Tensor values = scheme::decode(*reader_.read(module));
    const tensor::TensorView expected = decoded.view(*decoded.find(module));
    ASSERT_EQ(values.shape(), expected.shape);
    EXPECT_EQ(std::memcmp(values.data(), expected.data, values.bytes()), 0);
  }
}

TEST_F(Golden, EncodesToTheSameBytes) {
  const GroupFinder groups(*reader_.config());
  for (const std::string& module : reader_.modules()) {
    SCOPED_TRACE(module);
    const auto weight = reader_.read(module);
    const auto tensors = encode_packed(module, std::get<scheme::GroupedInt>(*weight),
                                       groups.find(module)->scheme.weights.strategy);
    EXPECT_EQ(tensors.size(), reader_.tensors_of(module).size());
    for (const NamedTensor& t : tensors) {
      const tensor::TensorView stored = checkpoint_.view(t.name);
      EXPECT_EQ(t.tensor.dtype(), stored.dtype) << t.name;
      ASSERT_EQ(t.tensor.shape(), stored.shape) << t.name;
      EXPECT_EQ(std::memcmp(t.tensor.data(), stored.data, stored.bytes()), 0) << t.name;
    }
  }
}

}  // namespace
}  // namespace whit::formats
