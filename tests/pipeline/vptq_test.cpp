#include "base/error.h"
#include "formats/format.h"
#include "formats/verify.h"
#include "pipeline/pipeline_demo.h"
#include "pipeline/vptq_recipe.h"

namespace whit::pipeline {
namespace {

// The demo model — MLA, experts, a prediction layer, FP8 blocks on disk — as vector codes.
class VptqRun : public DemoJob {
 protected:
  Recipe vptq() const {
    Recipe result = recipe();
    result.method = Method::kVptq;
    result.format = formats::WeightFormat::kVptq;
    result.vptq.layout.length = 8;
    result.vptq.layout.centroids = 16;
    result.vptq.layout.residuals = 4;
    result.vptq.layout.normed = true;
    result.vptq.kmeans.iterations = 4;
    result.vptq.rounds = 1;
    result.vptq.beam = 2;
    return result;
  }
};

TEST_F(VptqRun, IsVerifiedAndTheSameBytesForAnyThreadsAndResumed) {
  const RunResult result = quantize("one", vptq(), ExistingOutput::kRefuse, 1);
  EXPECT_EQ(result.weights.size(), static_cast<std::size_t>(result.tensors_quantized));
  for (const WeightRecord& record : result.weights)
    EXPECT_LE(*record.proxy_error, *record.proxy_error_rtn) << record.name;
  const auto source = demo();
  const auto written = checkpoint::Checkpoint::open(folder_ / "one");
  for (const auto& check : formats::verify(written, &source))
    EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;
  stop("stopped", vptq(), 100, 3);
  quantize("stopped", vptq(), ExistingOutput::kResume);
  EXPECT_EQ(hashes("one"), hashes("stopped"));
}

// The original model's stream beside the quantized one: weights aim at what it computes.
TEST_F(VptqRun, TheTeacherMovesWhatIsQuantized) {
  Recipe untaught = vptq();
  untaught.targets = {"re:.*layers\\.0\\.self_attn.*", "re:.*\\.experts\\.[01]\\..*"};
  Recipe taught = untaught;
  taught.refinement.teacher = true;
  const RunResult moved = quantize("taught", taught);
  const RunResult plain = quantize("plain", untaught);
  ASSERT_EQ(moved.weights.size(), plain.weights.size());
  EXPECT_NE(hashes("taught"), hashes("plain"));
  taught.refinement.held_out = true;
  EXPECT_THROW(quantize("refused", taught), base::Error);
  taught.refinement.held_out = false;
  taught.calibration.clear();
  taught.vptq.hessians = folder_;
  EXPECT_THROW(quantize("refused", taught), base::Error);
}

TEST(VptqRecipes, BitsBuyWhatTheyCost) {
  for (const double bits : {2.0, 2.3, 3.0, 3.5, 4.0})
    for (const auto& [rows, cols] : {std::pair<std::int64_t, std::int64_t>{14336, 4096},
                                     {1024, 4096},
                                     {1408, 512},
                                     {256, 512}}) {
      const auto layout = layout_for(bits, {{rows, cols}});
      ASSERT_GT(layout.centroids, 0) << bits << " " << rows;
      const double needed =
          static_cast<double>(stored_bits(layout, rows, cols)) / static_cast<double>(rows * cols);
      EXPECT_LE(needed, bits * 1.05);
      EXPECT_GE(needed, bits * 0.75) << rows << "x" << cols;
    }
}

}  // namespace
}  // namespace whit::pipeline
