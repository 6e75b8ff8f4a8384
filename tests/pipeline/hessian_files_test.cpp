#include "pipeline/hessian_files.h"

#include <cmath>

#include "base/error.h"
#include "formats/torch_file.h"
#include "pipeline/measure_hessians.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

using formats::TorchEntries;
using tensor::Dtype;
using tensor::Tensor;

class HessianFiles : public DemoJob {
 protected:
  void SetUp() override {
    DemoJob::SetUp();
    fs::create_directories(folder_ / "h");
    fs::create_directories(folder_ / "inverse");
    fs::copy_file(golden("0_up.pt"), folder_ / "h/0_up.pt");
    fs::copy_file(golden("0_up_inverse.pt"), folder_ / "inverse/0_up.pt");
    linear_.module = "model.layers.0.mlp.up_proj";
    linear_.in_features = 3;
    linear_.out_features = 2;
    linear_.reads = {0, stats::Site::kMlpIn, -1};
  }

  static fs::path golden(const char* name) {
    return fs::path(WHIT_TEST_DATA) / "golden/vptq" / name;
  }
  static std::string bytes_of(const fs::path& file) {
    const base::MappedFile mapped(file);
    return {reinterpret_cast<const char*>(mapped.bytes().data()), mapped.bytes().size()};
  }
  static TorchEntries entries_of(const fs::path& file) {
    return formats::read_torch_dict(bytes_of(file), "entries");
  }
  static void write(const fs::path& file, const TorchEntries& entries) {
    base::write_file_atomic(file, formats::write_torch_dict(entries, "entries"));
  }

  std::vector<float> read(bool inverse = false) const {
    HessianFolder folder(*backend_, folder_ / "h", inverse ? folder_ / "inverse" : fs::path());
    const tensor::ConstMatrixView sum = folder.of(linear_).gram.sum();
    return tensor::to_f32_vector({sum.data, Dtype::kF32, {sum.rows, sum.cols}, {}});
  }
  void expect_refused(const std::string& words, bool inverse = false) const {
    try {
      read(inverse);
      ADD_FAILURE() << "taken; expected: " << words;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInput) << error.what();
      EXPECT_NE(std::string(error.what()).find(words), std::string::npos) << error.what();
      EXPECT_NE(error.subject().find("0_up.pt"), std::string::npos) << error.subject();
    }
  }
  // The golden Hessian with other values of its triangle.
  void set_triangle(const std::vector<float>& values) const {
    TorchEntries entries = entries_of(golden("0_up.pt"));
    entries.at("flatH") = tensor::make_f32({static_cast<std::int64_t>(values.size())}, values);
    entries.at("mu") = Tensor({3}, Dtype::kF32);
    write(folder_ / "h/0_up.pt", entries);
  }

  std::unique_ptr<compute::Backend> backend_ = compute::make_cpu_backend(1);
  model::LinearSpec linear_;
};

TEST_F(HessianFiles, TheSecondMomentOfEitherLayout) {
  const std::vector<float> expected{2.25F, 0, 0.75F, 0, 4, -1.25F, 0.75F, -1.25F, 5};
  EXPECT_EQ(read(), expected);
  EXPECT_EQ(read(true), expected);
  fs::copy_file(golden("0_up_plain.pt"), folder_ / "h/0_up.pt",
                fs::copy_options::overwrite_existing);
  EXPECT_EQ(read(true), expected);
  fs::rename(folder_ / "h/0_up.pt", folder_ / "h/model.layers.0.mlp.up_proj.pt");
  EXPECT_EQ(read(true), expected);
}

TEST_F(HessianFiles, OfAnotherWidth) {
  linear_.in_features = 4;
  expect_refused("n: 3; expected 4, the inputs of model.layers.0.mlp.up_proj");
  linear_.in_features = 3;
  set_triangle({1, 0, 1, 0, 0});
  expect_refused("expected F32 with 6 elements");
}

TEST_F(HessianFiles, ThatAreNoCovariances) {
  set_triangle({1, 2, 1, 0, 0, 1});  // a pivot of -3
  expect_refused("not positive definite");
  set_triangle({1, 0, -1, 0, 0, 1});
  expect_refused("entry [1, 1] with the mean is -1");
  set_triangle({1, NAN, 1, 0, 0, 1});
  expect_refused("entry [1, 0] with the mean is nan");
  set_triangle({0, 0, 0, 0, 0, 0});
  expect_refused("0 on the whole diagonal");
  TorchEntries entries = entries_of(golden("0_up.pt"));
  entries.erase("mu");
  write(folder_ / "h/0_up.pt", entries);
  expect_refused("has no mu; expected flatH, mu, n and ct");
}

TEST_F(HessianFiles, TruncatedOrAbsent) {
  const std::string whole = bytes_of(golden("0_up.pt"));
  base::write_file_atomic(folder_ / "h/0_up.pt", whole.substr(0, whole.size() / 2));
  expect_refused("");
  base::write_file_atomic(folder_ / "h/0_up.pt", "not a file of torch");
  expect_refused("expected what torch.save writes");
  fs::remove(folder_ / "h/0_up.pt");
  expect_refused("is not there; expected the Hessian of what model.layers.0.mlp.up_proj reads");
}

TEST_F(HessianFiles, AFactorOfAnotherHessian) {
  TorchEntries entries = entries_of(golden("0_up_inverse.pt"));
  entries.erase("zero_idx");
  entries.at("perm").as<std::int64_t>()[0] = 1;
  write(folder_ / "inverse/0_up.pt", entries);
  expect_refused("expected each column once", true);
  entries.at("perm").as<std::int64_t>()[0] = 2;
  write(folder_ / "inverse/0_up.pt", entries);
  EXPECT_EQ(read(true).size(), 9U);
  entries.at("invH").as<float>()[4] *= 1.2F;
  write(folder_ / "inverse/0_up.pt", entries);
  expect_refused("expected its upper Cholesky factor", true);
  fs::remove(folder_ / "inverse/0_up.pt");
  expect_refused("is not there", true);
}

// Hidden states of the demo model, measured into files, quantize it as the text itself does where
// every linear is on its own.
TEST_F(HessianFiles, MeasuredAndQuantizedFrom) {
  HessianJob job;
  job.model = fs::path(WHIT_SOURCE_DIR) / "demo/moe-15m";
  job.out = folder_ / "measured";
  job.calibration = folder_ / "ids.jsonl";
  job.samples = recipe().samples;
  base::NullSink silent;
  const base::CancelToken never;
  const HessianResult result = measure_hessians(job, *backend_, silent, never);
  EXPECT_EQ(result.tokens, 6 * 48);
  for (const char* name : {"0_qkv.pt", "0_o.pt", "model.layers.0.self_attn.q_b_proj.pt"}) {
    SCOPED_TRACE(name);
    const TorchEntries entries = entries_of(folder_ / "measured" / name);
    const std::int64_t n = entries.at("n").as<std::int64_t>()[0];
    EXPECT_EQ(entries.at("ct").as<std::int64_t>()[0], 6 * 48);
    EXPECT_EQ(entries.at("flatH").elements(), n * (n + 1) / 2);
    EXPECT_EQ(entries.at("mu").elements(), n);
  }
  EXPECT_THROW(measure_hessians(job, *backend_, silent, never), base::Error);

  Recipe files = recipe();
  files.method = Method::kVptq;
  files.format = formats::WeightFormat::kVptq;
  files.vptq.layout.length = 8;
  files.vptq.layout.centroids = 16;
  files.vptq.kmeans.iterations = 2;
  files.vptq.rounds = 0;
  files.mtp = MtpMode::kKeep;
  files.targets = {"re:.*layers\\.0\\.self_attn.*"};
  Recipe text = files;
  files.calibration.clear();
  files.vptq.hessians = folder_ / "measured";
  const RunResult from_files = quantize("files", files);
  const RunResult from_text = quantize("text", text);
  ASSERT_EQ(from_files.weights.size(), from_text.weights.size());
  // What comes first reads the same; a mean that is taken off and added again costs some bits.
  int first = 0;
  for (std::size_t i = 0; i < from_files.weights.size(); ++i) {
    const WeightRecord& record = from_files.weights[i];
    EXPECT_EQ(record.tokens, 6 * 48) << record.name;
    if (!record.name.ends_with("_a_proj") && !record.name.ends_with("_a_proj_with_mqa")) continue;
    ++first;
    EXPECT_NEAR(*record.proxy_error, *from_text.weights[i].proxy_error,
                0.05 * *from_text.weights[i].proxy_error)
        << record.name;
  }
  EXPECT_EQ(first, 2);
}

}  // namespace
}  // namespace whit::pipeline
