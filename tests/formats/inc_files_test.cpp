#include <gtest/gtest.h>

#include "base/error.h"
#include "base/file.h"
#include "checkpoint/raw_files.h"
#include "formats/inc_measurement.h"
#include "formats/inc_names.h"
#include "formats/inc_scales.h"
#include "formats/npz.h"
#include "pickle/writer.h"

namespace whit::formats {
namespace {

namespace fs = std::filesystem;
using checkpoint::testing::expect_error;
using checkpoint::testing::Folder;

std::string golden(const std::string& name) {
  return base::read_text_file(fs::path(WHIT_TEST_DATA) / "golden/inc" / name);
}

TEST(IncNames, AsTheSpecificationHasThem) {
  IncFileName name{"run", "maxabs", "", RankOf{3, 16}, false, "npz"};
  EXPECT_EQ(name.to_string(), "run_hooks_maxabs_3_16.npz");
  EXPECT_EQ(parse_inc_file_name("run_hooks_maxabs_3_16.npz"), name);
  name.method = "MAXABS_POW2";
  EXPECT_EQ(name.to_string(), "run_hooks_maxabs_MAXABS_POW2_3_16.npz");
  EXPECT_EQ(parse_inc_file_name("run_hooks_maxabs_MAXABS_POW2_3_16.npz"), name);
  const IncFileName list{"run-1", "maxabs", "", RankOf{0, 16}, true, "json"};
  EXPECT_EQ(list.to_string(), "run-1_hooks_maxabs_0_16_mod_list.json");
  EXPECT_EQ(parse_inc_file_name("run-1_hooks_maxabs_0_16_mod_list.json"), list);
  const IncFileName plain{"a.b_hooks_c", "maxabs_per_channel", "", {}, false, "json"};
  EXPECT_EQ(plain.to_string(), "a.b_hooks_c_hooks_maxabs_per_channel.json");
  EXPECT_EQ(parse_inc_file_name(plain.to_string()), plain);
  const auto scales = parse_inc_file_name("inc_output_hooks_maxabs_MAXABS_POW2.json");
  ASSERT_TRUE(scales);
  EXPECT_EQ(scales->method, "MAXABS_POW2");
  EXPECT_FALSE(scales->rank);
}

TEST(IncNames, OthersAreNone) {
  for (const char* name : {"config.json", "run_hooks_minmax.json", "run_hooks_maxabs_16_3.json",
                           "run_hooks_maxabs_3.json", "run_hooks_maxabs_0_1.txt", "run_hooks_.npz",
                           "run_hooks_maxabs_lower_0_1.json", "run_hooks_maxabs_0_1_mod_list.npz"})
    EXPECT_FALSE(parse_inc_file_name(name)) << name;
}

void touch(const fs::path& path) {
  base::write_file_atomic(path, "{}");
}

TEST(IncNames, FindsOneRun) {
  const Folder folder;
  for (int rank = 0; rank < 10; ++rank)
    touch(folder.path() / fmt::format("run_hooks_maxabs_{}_10.json", rank));
  touch(folder.path() / "run_hooks_maxabs_MAXABS_HW_0_10.json");
  touch(folder.path() / "run_hooks_maxabs_0_10_mod_list.json");
  touch(folder.path() / "run_hooks_shape.json");
  const IncRun run = find_measurements(folder.path(), {});
  EXPECT_EQ(run.world, 10);
  EXPECT_EQ(run.prefix, "run");
  EXPECT_THROW(find_scale_files(run), base::Error);  // of one rank only
  // Unified files beside them, as the documentation of others recommends.
  touch(folder.path() / "run_hooks_maxabs_0_1.npz");
  expect_error(base::ErrorKind::kInput, folder.path().string(), "10 ranks",
               [&] { find_measurements(folder.path(), {}); });
  EXPECT_EQ(find_measurements(folder.path(), {"", "", 1}).world, 1);
  fs::remove(folder.path() / "run_hooks_maxabs_6_10.json");
  expect_error(base::ErrorKind::kInput, (folder.path() / "run_hooks_maxabs_6_10.json").string(),
               "expected all of 0 to 9", [&] {
                 find_measurements(folder.path(), {"", "", 10});
               });
  expect_error(base::ErrorKind::kInput, folder.path().string(), "other_hooks_maxabs", [&] {
    find_measurements(folder.path(), {"other", "", 0});
  });
}

// Files of both generations of NumPy, and the JSON beside them.
TEST(IncFiles, NumpysAreRead) {
  for (const std::string numpy : {"numpy1", "numpy2"}) {
    for (const std::string name : {"measured", "measured-f8"}) {
      const auto json = read_measurement(parse_inc_json(golden(name + ".json"), "j"), {0, 1}, "j");
      const auto npz =
          read_measurement(parse_inc_npz(golden(name + "-" + numpy + ".npz"), "n"), {0, 1}, "n");
      EXPECT_EQ(json.ranges.order, npz.ranges.order);
      EXPECT_EQ(json.ranges.ops, npz.ranges.ops);
      EXPECT_EQ(json.ranges.moes, npz.ranges.moes);
      EXPECT_EQ(npz.samples, 3);
    }
    EXPECT_EQ(parse_inc_npz(golden("deflated-" + numpy + ".npz"), "d"),
              parse_inc_npz(golden("measured-" + numpy + ".npz"), "m"));
    const auto json = read_scale_file(parse_inc_json(golden("scales.json"), "j"), "j");
    const auto npz = read_scale_file(parse_inc_npz(golden("scales-" + numpy + ".npz"), "n"), "n");
    EXPECT_EQ(json.modules, npz.modules);
  }
}

TEST(IncFiles, NodesAreTyped) {
  using stats::OpType;
  const auto ranges =
      read_measurement(parse_inc_json(golden("measured.json"), "j"), {0, 1}, "j").ranges;
  const std::string layer = "model.layers.0.self_attn.";
  EXPECT_EQ(ranges.ops.at(layer + "qkv_proj").op, OpType::kLinear);
  EXPECT_EQ(ranges.ops.at(layer + "attn.impl.matmul_qk").op, OpType::kMatmul);
  EXPECT_EQ(ranges.ops.at(layer + "attn.impl.k_cache").op, OpType::kKvCache);
  EXPECT_EQ(ranges.ops.at(layer + "attn.impl.fused_scaled_dot_product_attention").op,
            OpType::kFusedSdpa);
  const auto& moe = ranges.moes.at("model.layers.0.mlp.experts.moe_op");
  ASSERT_EQ(moe.experts.size(), 2U);
  EXPECT_EQ(moe.experts[1].intermediate, stats::Range{3.265625});
  EXPECT_EQ(moe.experts[1].matrices.at("w13_list").params.at("weight"), stats::Range{double{0.1F}});
  const auto read_node = [](const std::string& name, const std::string& node) {
    return read_measurement(
               parse_inc_json(
                   R"({"Mode": "DynamicRange", "Nodes": {")" + name + R"(": )" + node + "}}", "j"),
               {0, 1}, "j")
        .ranges.ops.at(name)
        .op;
  };
  EXPECT_EQ(read_node("o_proj", R"({"inputs": [[[1]]], "outputs": [[[1]], [[2]]],
                                   "params": {"weight": [[1]]}})"),
            OpType::kRowParallelLinear);
  EXPECT_EQ(read_node("a.batch2block_matmul", R"({"inputs": [[[1]], [[9]]], "outputs": [[[2]]]})"),
            OpType::kBatchMatmul);
  EXPECT_EQ(read_node("a.batch2block_matmul", R"({"input": [[[1]], [[9]]]})"), OpType::kMatmul);
  EXPECT_EQ(read_node("a.block_softmax", R"({"inputs": [[[1]]], "output": [[[2]]]})"),
            OpType::kSoftmax);
}

TEST(IncFiles, RoundTripsKeepEveryNumber) {
  for (const std::string name : {"measured", "measured-f8"}) {
    const std::string text = golden(name + ".json");
    const auto measurement = read_measurement(parse_inc_json(text, "j"), {0, 1}, "j");
    const auto tree = to_tree(measurement, 0);
    EXPECT_EQ(to_inc_json(tree), text);
    const auto again = read_measurement(parse_inc_npz(to_inc_npz(tree), "n"), {0, 1}, "n");
    EXPECT_EQ(to_inc_json(to_tree(again, 0)), text);
  }
  const auto scales = read_scale_file(parse_inc_json(golden("scales.json"), "j"), "j");
  EXPECT_EQ(to_inc_json(to_tree(scales)), golden("scales.json"));
  const auto again = read_scale_file(parse_inc_npz(to_inc_npz(to_tree(scales)), "n"), "n");
  EXPECT_EQ(again.modules, scales.modules);
  // Numbers beyond fp32 are kept in fp64.
  const IncTree wide{IncTree::Dict{{"a", {IncArray{{2}, {0.1, 1e300}}}}}};
  EXPECT_EQ(parse_inc_npz(to_inc_npz(wide), "n"), wide);
}

TEST(IncFiles, PicklesAreNotRun) {
  for (const std::string numpy : {"numpy1", "numpy2"}) {
    try {
      parse_inc_npz(golden("malicious-" + numpy + ".npz"), "m.npz");
      FAIL();
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
      EXPECT_NE(std::string(error.what()).find("posix system"), std::string::npos) << error.what();
    }
  }
}

void refuse_json(const std::string& text, const std::string& subject, const std::string& found) {
  try {
    read_measurement(parse_inc_json(text, "f.json"), {0, 1}, "f.json");
    ADD_FAILURE() << text;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), base::ErrorKind::kInput);
    EXPECT_EQ(error.subject(), subject) << error.what();
    EXPECT_NE(error.detail().find(found), std::string::npos) << error.what();
  }
}

TEST(IncFiles, BrokenJsonSaysWhere) {
  const auto nodes = [](const std::string& node) {
    return R"({"Mode": "DynamicRange", "Nodes": {"a.b": )" + node + "}}";
  };
  refuse_json(nodes(R"({"inputs": [[[NaN]]]})"), "f.json: Nodes: a.b: inputs", "NaN");
  refuse_json(nodes(R"({"inputs": [[[Infinity]]]})"), "f.json: Nodes: a.b: inputs", "Infinity");
  refuse_json(nodes(R"({"inputs": [[[-Infinity]]]})"), "f.json: Nodes: a.b: inputs", "-Infinity");
  refuse_json(nodes(R"({"inputs": [[[-1]]]})"), "f.json: a.b: inputs", "-1");
  refuse_json(nodes(R"({"inputs": [[["x"]]]})"), "f.json: a.b: inputs[0]", "a text");
  refuse_json(nodes(R"({"inputs": [[]]})"), "f.json: a.b: inputs[0]", "no numbers");
  refuse_json(nodes(R"({"inputs": [[[1]]], "extra": 1})"), "f.json: a.b: extra", "unknown");
  refuse_json(nodes(R"({"inputs": []})"), "f.json: a.b", "0 inputs");
  refuse_json(R"({"Mode": "Scale", "Nodes": {}})", "f.json: Mode", "Scale");
  refuse_json(R"({"Mode": "DynamicRange"})", "f.json", "no Nodes");
  refuse_json(R"({"Nodes": {}, "Nodes": {}})", "f.json", "stands twice");
  refuse_json(R"([1, 2)", "f.json", "no valid JSON");
  refuse_json(std::string(40, '['), "f.json", "nested deeper");
}

TEST(IncFiles, BrokenArchivesAreRefused) {
  const std::string whole = golden("measured-numpy2.npz");
  for (const std::size_t size :
       {std::size_t{0}, std::size_t{20}, whole.size() / 2, whole.size() - 1})
    EXPECT_THROW(parse_inc_npz(whole.substr(0, size), "n"), base::Error) << size;
  std::string flipped = whole;
  flipped[whole.size() / 3] = static_cast<char>(flipped[whole.size() / 3] ^ 0x40);
  EXPECT_THROW(parse_inc_npz(flipped, "n"), base::Error);
  EXPECT_THROW(parse_inc_npz(make_zip("other.npy", "x"), "n"), base::Error);
  EXPECT_THROW(parse_inc_npz(make_zip("arr_0.npy", "\x93NUMPY\x01"), "n"), base::Error);
  EXPECT_EQ(read_zip_member(make_zip("a", "content"), "a", "z"), "content");
  EXPECT_EQ(make_zip("a", "content"), make_zip("a", "content"));
}

TEST(IncFiles, BothFilesOfARankMustAgree) {
  const Folder folder;
  IncRun run{folder.path(), "run", "maxabs", "", true, 1};
  const auto tree = parse_inc_json(golden("measured.json"), "j");
  const auto measurement = read_measurement(tree, {0, 1}, "j");
  write_inc_files(run, 0, to_tree(measurement, 0));
  EXPECT_EQ(read_measurements(run).front().ranges.ops, measurement.ranges.ops);
  auto other = measurement;
  other.ranges.ops.at("model.layers.0.self_attn.qkv_proj").inputs[0] = {9};
  base::write_file_atomic(run.path(0, "npz"), to_inc_npz(to_tree(other, 0)));
  EXPECT_THROW(read_measurements(run), base::Error);
  fs::remove(run.path(0, "json"));
  EXPECT_EQ(read_measurements(run).front().ranges.ops, other.ranges.ops);
  write_mod_list(run, 0, {"a", "b"});
  EXPECT_EQ(read_mod_list(run, 0), (std::vector<std::string>{"a", "b"}));
}

// As INC's expand script leaves them: every rank's file holds the matrices of all experts.
TEST(IncFiles, ForeignMatricesAreLeftOut) {
  const std::string text = R"({"Mode": "DynamicRange", "Nodes": {
    "m.moe_op": {"inputs": [[[1]]], "outputs": [[[1]], [[5]]]},
    "m.moe_op.w2_list.0": {"inputs": [[[0]]], "params": {"weight": [[0.1]]}},
    "m.moe_op.w2_list.1": {"inputs": [[[0]]], "params": {"weight": [[0.2]]}}}})";
  const auto rank = read_measurement(parse_inc_json(text, "j"), {1, 2}, "j").ranges;
  const auto& moe = rank.moes.at("m.moe_op");
  ASSERT_EQ(moe.experts.size(), 1U);
  EXPECT_EQ(moe.first_expert, 1);
  EXPECT_TRUE(moe.numbered);
  EXPECT_EQ(moe.experts[0].matrices.at("w2_list").params.at("weight"), stats::Range{0.2});
  EXPECT_THROW(read_measurement(parse_inc_json(text, "j"), {0, 4}, "j"), base::Error);
}

IncModuleScales linear(const std::string& name, double input, double weight) {
  IncModuleScales scales;
  scales.module = name;
  scales.inputs = {IncScale::one(input)};
  scales.outputs = {IncScale::one(input * weight)};
  scales.weight = IncScale::one(weight);
  return scales;
}

TEST(IncScales, UnifyOfScaleFiles) {
  const auto rank = [](std::vector<double> inputs, double out, const IncModuleScales& q) {
    IncModuleScales moe;
    moe.module = "m.moe_op";
    for (const double input : inputs) moe.inputs.push_back(IncScale::one(input));
    moe.outputs = {IncScale::one(out)};
    IncScaleFile file;
    file.modules = {q, moe, linear("m.moe_op.w13_list.0", 1, .5),
                    linear("m.moe_op.w13_list.1", 1, .25)};
    return file;
  };
  const std::vector<IncScaleFile> ranks{rank({1, .25, .5}, 1, linear("q", 1, .0625)),
                                        rank({2, .125, 4}, 2, linear("q", .25, .5))};
  const auto one = unify_scales(ranks, 1, stats::ExpertPlacement::kExpert, "s").front();
  ASSERT_EQ(one.modules.size(), 6U);
  EXPECT_EQ(one.local_rank, -1);
  std::vector<double> inputs;
  for (const auto& scale : one.modules[1].inputs) inputs.push_back(scale.values[0]);
  EXPECT_EQ(inputs, (std::vector<double>{2, .25, .5, .125, 4}));
  EXPECT_EQ(one.modules[0].weight->values[0], .5);
  // Not the larger of the products, .125: what a kernel multiplies by is input times weight.
  EXPECT_EQ(one.modules[0].outputs[0].values[0], .5);
  EXPECT_EQ(one.modules[4].module, "m.moe_op.w13_list.2");
  const auto shared = unify_scales(ranks, 1, stats::ExpertPlacement::kTensor, "s").front();
  EXPECT_EQ(shared.modules.size(), 4U);
  EXPECT_EQ(shared.modules[1].inputs[2].values[0], 4);
  auto channels = ranks;
  channels[0].modules[0].weight->values = {1, 2};
  EXPECT_THROW(unify_scales(channels, 1, stats::ExpertPlacement::kTensor, "s"), base::Error);
}

}  // namespace
}  // namespace whit::formats
