#include <gtest/gtest.h>

#include "cli/run_whit.h"

namespace whit::testing {
namespace {

constexpr const char* kMoe =
    R"("m.moe_op": {"inputs": [[[8]]], "outputs": [[[0.5]], [[%A]], [[%B]]]},
  "m.moe_op.w13_list.0": {"inputs": [[[0]]], "params": {"weight": [[%C]]}},
  "m.moe_op.w13_list.1": {"inputs": [[[0]]], "params": {"weight": [[0.5]]}})";

std::string replaced(std::string text, const std::string& from, const std::string& to) {
  return text.replace(text.find(from), from.size(), to);
}

// Two ranks of experts.
fs::path two_ranks() {
  const auto folder = scratch();
  for (int rank = 0; rank < 2; ++rank) {
    std::string moe = replaced(kMoe, "%A", std::to_string(rank + 1));
    moe =
        replaced(replaced(moe, "%B", std::to_string(3 * rank)), "%C", rank == 0 ? "0.25" : "0.75");
    base::write_file_atomic(
        folder / ("run_hooks_maxabs_" + std::to_string(rank) + "_2.json"),
        R"({"GlobalRank": null, "LocalRank": 0, "Mode": "DynamicRange", "Nodes": {
            "q": {"inputs": [[[1.5]]], "params": {"weight": [[0.5]]}}, )" +
            moe + "}}");
  }
  return folder;
}

TEST(IncVerbs, UnifyThenExpand) {
  const auto folder = two_ranks();
  const auto one =
      whit_json({"unify", "--measurements", folder, "--ranks", "1", "--out", folder / "one"});
  ASSERT_EQ(one["files"].size(), 3U);
  EXPECT_EQ(one["experts"], "expert_parallel");
  EXPECT_EQ(one["unseen_experts"][0]["expert"], 1);
  const auto file = nlohmann::json::parse(base::read_text_file(one["files"][0].get<std::string>()));
  EXPECT_EQ(file["LocalRank"], -1);
  EXPECT_EQ(file["Nodes"]["m.moe_op"]["outputs"],
            nlohmann::json::parse("[[[0.5]], [[1.0]], [[0.0]], [[2.0]], [[3.0]]]"));
  EXPECT_EQ(file["Nodes"]["m.moe_op.w13_list.2"]["params"]["weight"][0][0], 0.75);
  const auto two = whit_json({"expand", "-m", folder / "one", "-w", "2", "-o", folder / "two"});
  ASSERT_EQ(two["files"].size(), 6U);
  const auto second =
      nlohmann::json::parse(base::read_text_file(folder / "two" / "run_hooks_maxabs_1_2.json"));
  EXPECT_EQ(second["LocalRank"], 1);
  EXPECT_EQ(second["Nodes"]["m.moe_op"]["outputs"],
            nlohmann::json::parse("[[[0.5]], [[2.0]], [[3.0]]]"));
  EXPECT_EQ(second["Nodes"]["m.moe_op.w13_list.0"]["params"]["weight"][0][0], 0.75);
  const auto shared = whit_json({"unify", "--measurements", folder, "--ranks", "1", "--out",
                                 folder / "shared", "--tensor-parallel"});
  EXPECT_EQ(shared["experts"], "tensor_parallel");
}

TEST(IncVerbs, UnifyRefusals) {
  const auto folder = two_ranks();
  const auto mixed = whit({"unify", "-m", folder, "-r", "1", "-o", folder});
  EXPECT_EQ(mixed.code, 2);
  EXPECT_NE(mixed.err.find("holds files of run for 2 ranks"), std::string::npos) << mixed.err;
  EXPECT_EQ(whit({"unify", "-m", folder, "-r", "2", "-o", folder / "x"}).code, 2);
  const auto both =
      whit({"unify", "-m", folder, "-r", "1", "-o", folder / "x", "-u", "--tensor-parallel"});
  EXPECT_EQ(both.code, 2);
  fs::remove(folder / "run_hooks_maxabs_1_2.json");
  const auto missing = whit({"unify", "-m", folder, "-r", "1", "-o", folder / "x"});
  EXPECT_EQ(missing.code, 3);
  EXPECT_NE(missing.err.find("run_hooks_maxabs_1_2.json"), std::string::npos) << missing.err;
  EXPECT_NE(missing.err.find("found ranks 0"), std::string::npos) << missing.err;
}

// The demo's weights are FP8 in blocks, its experts found by number.
TEST(IncVerbs, ScalesOfTheDemo) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "inc_output_hooks_maxabs_0_1.json",
                          R"({"GlobalRank": null, "LocalRank": 0, "Mode": "DynamicRange", "Nodes": {
          "model.layers.1.self_attn.o_proj": {"inputs": [[[0.4296875]]]},
          "model.layers.1.mlp.experts.moe_op": {"inputs": [[[2.0]]], "outputs": [[[1.0]], [[0.5]]]},
          "model.layers.1.mlp.experts.moe_op.w2_list.0": {"inputs": [[[0.0]]]},
          "lm_head": {"inputs": [[[1.0]]]}}})");
  const auto config = folder / "quant.json";
  base::write_file_atomic(config, R"({"mode": "QUANTIZE", "device_for_scales": "GAUDI2",
    "blocklist": {"names": ["lm_head"]}, "dump_stats_path": "./inc_output"})");
  const auto json = whit_json({"scales", demo(), "--config", config});
  ASSERT_EQ(json["files"].size(), 2U);
  EXPECT_TRUE(fs::exists(folder / "inc_output_hooks_maxabs_MAXABS_HW_0_1.npz"));
  EXPECT_EQ(json["device_for_scales"], "GAUDI2");
  ASSERT_EQ(json["modules"].size(), 3U);
  const auto& o_proj = json["modules"][0];
  EXPECT_EQ(o_proj["name"], "model.layers.1.self_attn.o_proj");
  EXPECT_EQ(o_proj["inputs"][0], 0.0625);
  EXPECT_EQ(o_proj["outputs"][0].get<double>(), 0.0625 * o_proj["params"]["weight"].get<double>());
  EXPECT_EQ(json["modules"][1]["inputs"].size(), 2U);
  const auto text = whit({"scales", demo(), "--config", config, "--out", folder / "out"});
  EXPECT_EQ(text.code, 0) << text.err;
  EXPECT_NE(text.out.find("out/inc_output_hooks_maxabs_MAXABS_HW_0_1.json"), std::string::npos);
}

TEST(IncVerbs, ScalesRefusals) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "c.json", R"({"scale_metod": "maxabs_hw"})");
  const auto unknown = whit({"scales", demo(), "--config", folder / "c.json"});
  EXPECT_EQ(unknown.code, 3);
  EXPECT_NE(unknown.err.find("scale_metod"), std::string::npos);
  EXPECT_NE(unknown.err.find("did you mean scale_method?"), std::string::npos) << unknown.err;
  const auto none = whit({"scales", demo()});
  EXPECT_EQ(none.code, 2);
  EXPECT_NE(none.err.find("QUANT_CONFIG"), std::string::npos) << none.err;
  base::write_file_atomic(folder / "d.json", R"({"device_for_scales": "GAUDI3"})");
  const auto device = whit({"scales", demo(), "--config", folder / "d.json", "--target", "gaudi2"});
  EXPECT_EQ(device.code, 3);
  EXPECT_NE(device.err.find("device_for_scales"), std::string::npos) << device.err;
}

// Measured, shared out among ranks, scaled, and unified again: the maxima of one process.
TEST(IncVerbs, CalibrateUnifyReport) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "ids.jsonl",
                          "{\"input_ids\": [5, 77, 901, 1200, 33]}\n{\"input_ids\": [2, 9, 4]}\n");
  const auto measured =
      whit_json({"measure", demo(), "--calibration", folder / "ids.jsonl", "--out", folder / "one",
                 "--min-sequence-length", "1", "--threads", "1"});
  ASSERT_EQ(measured["files"].size(), 4U);
  EXPECT_EQ(measured["samples"], 2);
  EXPECT_EQ(measured["tokens"], 8);
  EXPECT_FALSE(measured["unseen_experts"].empty());
  EXPECT_EQ(measured["experts"].size(), 5U);  // of six layers the first is dense
  const auto calibrated = whit_json({"calibrate", "-m", demo(), "-d", folder / "ids.jsonl", "-o",
                                     folder / "out", "--name", "DeepSeek-demo", "-l", "2",
                                     "--least-tokens", "1", "-b", "4", "-t", "4", "-u"});
  EXPECT_EQ(calibrated["ranks"], 4);
  EXPECT_EQ(calibrated["output"], (folder / "out/deepseek-demo").string());
  EXPECT_FALSE(calibrated["warnings"].empty());
  EXPECT_GT(calibrated["seconds"].get<double>(), 0);
  const auto unified = whit_json({"unify", "-m", folder / "out/deepseek-demo/g3", "-r", "1", "-o",
                                  folder / "unified", "--expert-parallel"});
  const auto nodes = [](const fs::path& file) {
    return nlohmann::json::parse(base::read_text_file(file))["Nodes"];
  };
  EXPECT_EQ(nodes(folder / "unified/inc_output_hooks_maxabs_0_1.json"),
            nodes(folder / "out/deepseek-demo/g3_measured/inc_output_hooks_maxabs_0_1.json"));
  const auto report = whit_json({"report", "ranges", "all=" + (folder / "one").string(),
                                 (folder / "unified").string(), "--html", folder / "r.html",
                                 "--csv", folder / "r.csv"});
  EXPECT_EQ(report["runs"][0]["name"], "all");
  EXPECT_NE(base::read_text_file(folder / "r.html").find("latent_cache_v"), std::string::npos);
  EXPECT_NE(base::read_text_file(folder / "r.csv")
                .find("all,0,self_attn.mla_attn.mla_attn.impl.latent_cache_k inputs[0],"),
            std::string::npos);
}

// Static scales go along where a server reads them, and are warned of where none does.
TEST(IncVerbs, ConvertKeepsScalesOfActivations) {
  const auto folder = scratch();
  const std::string source = folder / "static";
  whit_json({"quantize", demo(), source, "--method", "fp8", "--format", "hf-fp8", "--weight-scales",
             "tensor", "--activations", "static", "--mtp", "keep", "--calibration",
             std::string(WHIT_SOURCE_DIR) + "/demo/text/calibration.jsonl",
             "--num-calibration-samples", "2", "--max-sequence-length", "64"});
  whit_json({"convert", source, folder / "channel", "--to", "fp8-channel", "--target", "gaudi2"});
  const auto config = nlohmann::json::parse(base::read_text_file(folder / "channel/config.json"));
  const auto& group = config["quantization_config"]["config_groups"]["group_0"];
  EXPECT_EQ(group["weights"]["strategy"], "channel");
  EXPECT_EQ(group["input_activations"]["strategy"], "tensor");
  EXPECT_EQ(group["input_activations"]["dynamic"], false);
  const auto index = base::read_text_file(folder / "channel/model.safetensors.index.json");
  EXPECT_NE(index.find("model.layers.1.self_attn.o_proj.input_scale"), std::string::npos);
  EXPECT_EQ(index.find("model.layers.6.self_attn.o_proj.input_scale"), std::string::npos);
  const auto blocks = whit({"convert", source, folder / "block", "--to", "fp8-block"});
  EXPECT_EQ(blocks.code, 0);
  EXPECT_NE(blocks.err.find("scales of activations are left out"), std::string::npos) << blocks.err;
}

TEST(IncVerbs, MeasureRefusals) {
  const auto folder = scratch();
  base::write_file_atomic(folder / "ids.jsonl", "{\"input_ids\": [5, 77, 901, 1200, 33]}\n");
  const auto nowhere = whit({"measure", demo(), "--calibration", folder / "ids.jsonl"});
  EXPECT_EQ(nowhere.code, 2);
  EXPECT_NE(nowhere.err.find("QUANT_CONFIG"), std::string::npos) << nowhere.err;
  base::write_file_atomic(folder / "c.json", R"({"mode": "QUANTIZE", "dump_stats_path": "s/p"})");
  const auto mode = whit({"measure", demo(), "--calibration", folder / "ids.jsonl", "--config",
                          folder / "c.json", "--min-sequence-length", "1"});
  EXPECT_EQ(mode.code, 3);
  EXPECT_NE(mode.err.find("not MEASURE; expected it (or SHAPE)"), std::string::npos) << mode.err;
  const auto observer = whit({"measure", demo(), "--calibration", folder / "ids.jsonl", "--out",
                              folder / "o", "--observer", "mean"});
  EXPECT_EQ(observer.code, 2);
  EXPECT_NE(observer.err.find("expected one of maxabs, maxabs_per_channel, save, shape"),
            std::string::npos)
      << observer.err;
  const auto shapes =
      whit({"measure", demo(), "--calibration", folder / "ids.jsonl", "--out", folder / "o",
            "--observer", "shape", "--mtp", "measure", "--min-sequence-length", "1"});
  EXPECT_EQ(shapes.code, 0) << shapes.err;
  EXPECT_NE(base::read_text_file(folder / "o/inc_output_hooks_shape_0_1.json")
                .find("model.layers.6.mtp_block.self_attn.o_proj"),
            std::string::npos);
  EXPECT_EQ(whit({"report"}).code, 2);
  EXPECT_EQ(whit({"report", "ranges", folder, "--csv", folder / "x.csv"}).code, 3);
  EXPECT_EQ(whit({"calibrate", "-d", folder / "ids.jsonl", "-o", folder / "o"}).code, 2);
}

}  // namespace
}  // namespace whit::testing
