#include <functional>

#include "compute/remote.h"
#include "pipeline/pipeline_demo.h"

// The pipeline on a device whose memory the host cannot reach: the same bytes as on the host.
namespace whit::pipeline {
namespace {

class DeviceTest : public DemoJob {
 protected:
  void expect_same(const std::function<void(Recipe&)>& change) {
    Recipe job = recipe();
    job.samples.samples = 3;
    change(job);
    quantize("host", job, ExistingOutput::kRefuse, 1);
    const auto backend = compute::testing::make_remote(compute::make_cpu_backend(1));
    base::NullSink silent;
    const base::CancelToken never;
    const auto source = demo();
    run(source, {job, folder_ / "device", ExistingOutput::kRefuse}, *backend, silent, never);
    EXPECT_EQ(hashes("host"), hashes("device"));
  }
};

TEST_F(DeviceTest, Gptq) {
  expect_same([](Recipe&) {});
}

TEST_F(DeviceTest, NarrowHiddenStates) {
  expect_same([](Recipe& job) { job.hidden_states = tensor::Dtype::kBF16; });
}

TEST_F(DeviceTest, EveryRefinement) {
  expect_same([](Recipe& job) {
    job.refinement = refinement_of(Quality::kBest);
    job.refinement.output_metric = true;
    job.offload_activations = true;
  });
}

TEST_F(DeviceTest, Rtn) {
  expect_same([](Recipe& job) { job.method = Method::kRtn; });
}

TEST_F(DeviceTest, Vptq) {
  expect_same([](Recipe& job) {
    job.method = Method::kVptq;
    job.format = formats::WeightFormat::kVptq;
    job.vptq.layout.length = 8;
    job.vptq.layout.centroids = 8;
    job.vptq.layout.residuals = 2;
    job.vptq.layout.normed = true;
    job.vptq.kmeans.iterations = 1;
    job.vptq.rounds = 1;
    job.vptq.beam = 2;
  });
}

TEST_F(DeviceTest, StaticFp8) {
  expect_same([](Recipe& job) {
    job.method = Method::kFp8;
    job.fp8.activations = Fp8Activations::kStatic;
    job.fp8.kv_cache = true;
    job.format = formats::WeightFormat::kFloatQuantized;
  });
}

}  // namespace
}  // namespace whit::pipeline
