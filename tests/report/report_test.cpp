#include <gtest/gtest.h>

#include <cmath>
#include <cstring>
#include <limits>

#include "base/error.h"
#include "report/bench.h"
#include "report/inspect.h"
#include "report/json.h"
#include "report/npy.h"

namespace whit::report {
namespace {

namespace fs = std::filesystem;

TEST(Json, NoNaNButNullAndAReason) {
  Json json;
  put_number(json, "share", std::numeric_limits<double>::quiet_NaN(), "no limit is known");
  put_number(json, "seconds", 1.5, "unused");
  EXPECT_EQ(dump(json, -1), R"({"share":null,"share_reason":"no limit is known","seconds":1.5})");
}

TEST(Json, EventsKeepTheirFieldsInOrder) {
  const base::Event event{"weight",
                          {{"name", std::string("a\xff")},
                           {"tokens", std::int64_t{3}},
                           {"proxy_error", std::nan("")},
                           {"resumed", true}}};
  EXPECT_EQ(dump(to_json(event), -1),
            "{\"event\":\"weight\",\"name\":\"a\xef\xbf\xbd\",\"tokens\":3,\"proxy_error\":null,"
            "\"proxy_error_reason\":\"not a number\",\"resumed\":true}");
}

TEST(Npy, HeaderAndRows) {
  const auto path = fs::path(::testing::TempDir()) / "whit_rows.npy";
  const auto rows = tensor::make_f32({3, 2}, std::vector<float>{1, 2, 3, 4, 5, 6});
  {
    NpyWriter writer(path, 3, 2);
    writer.write(rows.matrix().rows_of(0, 1));
    writer.write(rows.matrix().rows_of(1, 2));
    writer.finish();
  }
  const std::string file = base::read_text_file(path);
  ASSERT_EQ(file.size(), 128U + 24U);
  EXPECT_EQ(file.substr(0, 8), std::string("\x93NUMPY\x01\x00", 8));
  EXPECT_EQ(static_cast<unsigned char>(file[8]), 118);
  EXPECT_NE(file.find("{'descr': '<f4', 'fortran_order': False, 'shape': (3, 2), }"),
            std::string::npos);
  EXPECT_EQ(file[127], '\n');
  EXPECT_EQ(std::memcmp(file.data() + 128, rows.data(), 24), 0);
}

TEST(Npy, UnfinishedIsNoFile) {
  const auto path = fs::path(::testing::TempDir()) / "whit_unfinished.npy";
  fs::remove(path);
  {
    NpyWriter writer(path, 3, 2);
    EXPECT_THROW(writer.finish(), base::Error);
  }
  EXPECT_FALSE(fs::exists(path));
}

TEST(Bench, SharesOfTheLimit) {
  BenchTable table{
      "title",
      "machine",
      {{"gram", 10, "GFLOP", 2.0, 0.5, "note"}, {"sweep", 1, "GFLOP", 1.0, std::nan(""), ""}}};
  const auto json = to_json(table);
  EXPECT_EQ(json["rows"][0]["share"], 0.25);
  EXPECT_EQ(json["rows"][0]["rate_per_second"], 5.0);
  EXPECT_TRUE(json["rows"][1]["share"].is_null());
  EXPECT_TRUE(json["rows"][1].contains("share_reason"));
  EXPECT_NE(to_text(table).find("25 %"), std::string::npos);
}

TEST(Inspect, TheDemoModel) {
  const auto checkpoint =
      checkpoint::Checkpoint::open(fs::path(WHIT_SOURCE_DIR) / "demo" / "moe-15m");
  const auto inspection = inspect(checkpoint);
  EXPECT_EQ(inspection.architecture, "deepseek_v3");
  EXPECT_EQ(inspection.bytes, checkpoint.tensor_bytes());
  EXPECT_EQ(inspection.tensors.size(), checkpoint.names().size());
  EXPECT_NEAR(
      *inspection.bits_per_weight,
      8.0 * static_cast<double>(inspection.bytes) / static_cast<double>(inspection.parameters),
      1e-12);
  EXPECT_TRUE(inspection.quantization.is_object());
  for (const auto& tensor : inspection.tensors) EXPECT_FALSE(tensor.role.empty()) << tensor.name;
  const auto json = to_json(inspection);
  EXPECT_EQ(json["tensors"].size(), inspection.tensors.size());
  EXPECT_NE(to_text(inspection).find("bits per weight"), std::string::npos);
}

TEST(Inspect, AnUnknownArchitectureIsListedWithoutRoles) {
  const auto folder = fs::path(::testing::TempDir()) / "whit_inspect_unknown";
  fs::remove_all(folder);
  fs::create_directories(folder);
  base::write_file_atomic(folder / "config.json", R"({"model_type": "nothing_known"})");
  const auto values = tensor::make_f32({2, 2}, std::vector<float>{1, 2, 3, 4});
  checkpoint::SafetensorsWriter writer(folder / "model.safetensors",
                                       {{"a.weight", tensor::Dtype::kF32, {2, 2}}});
  writer.write("a.weight", values.view());
  writer.finish();
  const auto inspection = inspect(checkpoint::Checkpoint::open(folder));
  EXPECT_EQ(inspection.parameters, 4);
  EXPECT_EQ(*inspection.bits_per_weight, 32);
  EXPECT_NE(inspection.note.find("nothing_known"), std::string::npos);
  EXPECT_TRUE(to_json(inspection)["tensors"][0]["role"].is_null());
}

}  // namespace
}  // namespace whit::report
