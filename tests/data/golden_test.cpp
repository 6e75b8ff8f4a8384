// Files that pandas and pyarrow wrote: tests/golden/data, by scripts/goldens/make_dataset_files.py.
#include "data/folder.h"
#include "data/samples.h"

namespace whit::data {
namespace {

using base::ErrorKind;

const fs::path kGolden = fs::path(WHIT_TEST_DATA) / "golden" / "data";

Json table_row(const char* system, const char* question, int n, Json x, Json tokens, bool kept) {
  Json row;
  row["system_prompt"] = system == nullptr ? Json(nullptr) : Json(system);
  row["question"] = question;
  row["n"] = n;
  row["x"] = std::move(x);
  row["tokens"] = std::move(tokens);
  row["kept"] = kept;
  return row;
}

TEST(Golden, PicklesOfAllVersionsOfPandas) {
  const std::vector<Json> expected{
      table_row("s2", "q2 \U0001F600", 3, nullptr, Json::array(), true),
      table_row("You are \u00e9.", "Why?", 1, 0.5, {1, 2}, true),
      table_row("", "q1", 2, 1.5, Json::array({3}), false),
      table_row(nullptr, "q3", 4, -2.0, {4, 5, 6}, true),
  };
  for (const char* name : {"pandas10-p2.pkl", "pandas13-p4.pkl", "pandas15-p3.pkl",
                           "pandas22-p5.pkl", "pandas3-p2.pkl", "pandas3-p5.pkl"}) {
    const auto rows = open_rows(kGolden / name, {});
    EXPECT_EQ(rows->format(), "pandas pickle");
    EXPECT_EQ(all_rows(*rows), expected) << name;
  }
}

class Pickles : public Folder {};

TEST_F(Pickles, OfListsAreRowsAndOthersAreRefused) {
  const auto text = [](const std::string& value) {
    return fmt::format("\x8c{}{}", static_cast<char>(value.size()), value);
  };
  // [{"text": "a"}, {"text": None}]
  const std::string rows =
      fmt::format("\x80\x04](}}{}{}s}}{}Nse.", text("text"), text("a"), text("text"));
  const auto source = open_rows(write("list.pkl", rows), {});
  EXPECT_EQ(source->format(), "pickled list");
  EXPECT_EQ(all_rows(*source), (std::vector<Json>{{{"text", "a"}}, {{"text", nullptr}}}));

  const auto refuse = [&](const std::string& pickle, const std::string& part) {
    const auto path = write("bad.pkl", pickle);
    expect_refusal([&] { all_rows(*open_rows(path, {})); }, ErrorKind::kInput, part);
  };
  refuse("\x80\x02](}K\x01K\x02se.", "a key of a dict is an integer; expected a text");
  refuse("\x80\x02}.", "bad.pkl: the pickle is a dict; expected a pandas DataFrame");
  refuse("\x80\x02].", "a table without rows");
  refuse(
      "\x80\x02](K\x05"
      "e.",
      "bad.pkl[0] is an integer; expected a dict of columns");
  refuse(
      "\x80\x02"
      "cos\nsystem\n(U\x02"
      "idtR.",
      "bad.pkl: opcode 'c' (0x63) at byte 2: the global \"os system\"");
  const std::string whole = [] {
    std::ifstream in(kGolden / "pandas22-p5.pkl", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  refuse(whole.substr(0, whole.size() / 2), "expected a whole pickle");
  // A list that holds itself has no end as JSON.
  refuse(fmt::format("\x80\x04](}}{}]\x94h{}as"
                     "e.",
                     text("text"), std::string(1, '\0')),
         "nested deeper than");
}

std::uint64_t hash_of(const std::vector<std::vector<text::TokenId>>& sequences) {
  std::uint64_t hash = 1469598103934665603ULL;  // FNV-1a, a word at a time
  for (const auto& sequence : sequences) {
    for (const text::TokenId id : sequence) {
      hash = (hash ^ static_cast<std::uint64_t>(id)) * 1099511628211ULL;
    }
    hash = (hash ^ 0xFFFFFFFFULL) * 1099511628211ULL;
  }
  return hash;
}

// What whit drew when it read JSON Lines and plain text only. Measurements in docs/quality.md stand
// on these samples, so a seed must go on meaning the same.
TEST(Golden, SamplesOfTheDemoAreThoseOfTheFirstVersion) {
  const fs::path demo = fs::path(WHIT_SOURCE_DIR) / "demo";
  const auto tokenizer = text::load_tokenizer(demo / "moe-15m");
  struct Case {
    const char* file;
    bool pack;
    std::uint64_t seed, hash;
  };
  for (const Case& c : {Case{"calibration.jsonl", false, 0, 163659335684643725ULL},
                        Case{"calibration.jsonl", false, 7, 7280629063242727369ULL},
                        Case{"calibration.jsonl", true, 0, 8579390907812180405ULL},
                        Case{"calibration.jsonl", true, 7, 3545470016982436155ULL},
                        Case{"evaluation.txt", false, 0, 16566632559678016560ULL},
                        Case{"evaluation.txt", false, 7, 15058610281189185213ULL},
                        Case{"evaluation.txt", true, 0, 11771640977941917179ULL}}) {
    const SampleArgs args{.samples = 40, .max_length = 128, .pack = c.pack, .seed = c.seed};
    const Samples samples = draw_samples(demo / "text" / c.file, args, tokenizer.get(), 4096);
    EXPECT_EQ(samples.sequences.size(), 40U);
    EXPECT_EQ(hash_of(samples.sequences), c.hash) << c.file << " " << c.pack << " " << c.seed;
  }
}

class Parquet : public ::testing::Test {
 protected:
  void SetUp() override {
    try {
      open_rows(kGolden / "rows.parquet", {});
    } catch (const base::Error& error) {
      if (error.kind() != ErrorKind::kUnsupported) throw;
      EXPECT_NE(error.suggestion().find("install_dependencies.sh parquet"), std::string::npos);
      GTEST_SKIP() << "built without Apache Arrow: Parquet is not tested";
    }
  }
};

TEST_F(Parquet, RowsAcrossRowGroups) {
  const auto rows = open_rows(kGolden / "rows.parquet", {});
  ASSERT_EQ(rows->count(), 50U);
  const auto all = all_rows(*rows);
  for (std::size_t i = 0; i < 50; ++i) {
    const auto text = i % 5 == 0 ? Json(nullptr) : Json(fmt::format("row {} \u00e9", i));
    EXPECT_EQ(all[i]["text"], text);
    EXPECT_EQ(all[i]["input_ids"], Json({i, i + 1}));
    EXPECT_EQ(all[i].size(), 2U) << "columns that are not looked at are not read";
  }
  std::vector<std::uint64_t> seen;
  rows->read(std::vector<std::uint64_t>{1, 19, 20, 49}, [&](std::uint64_t row, Json columns) {
    seen.push_back(columns["input_ids"][0].get<std::uint64_t>());
    EXPECT_EQ(seen.back(), row);
    return row < 20;
  });
  EXPECT_EQ(seen, (std::vector<std::uint64_t>{1, 19, 20}));
  EXPECT_EQ(rows->name(20), (kGolden / "rows.parquet").string() + "[20]");
  const auto labels = all_rows(*open_rows(kGolden / "rows.parquet", {"label", 0}));
  EXPECT_EQ(labels[3], Json({{"label", "odd"}}));
}

TEST_F(Parquet, Chats) {
  const auto chats = all_rows(*open_rows(kGolden / "chats.parquet", {}));
  ASSERT_EQ(chats.size(), 3U);
  EXPECT_EQ(chats[1]["messages"], Json::parse(R"([{"role": "system", "content": "s"},
                                                  {"role": "user", "content": "q1"}])"));
}

class BrokenParquet : public Folder {};

TEST_F(BrokenParquet, IsRefused) {
  const std::string whole = [] {
    std::ifstream in(kGolden / "rows.parquet", std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(in), {});
  }();
  const auto refuse = [&](const std::string& bytes, const std::string& part) {
    const auto path = write("a.parquet", bytes);
    try {
      all_rows(*open_rows(path, {}));
      ADD_FAILURE() << "accepted; expected: " << part;
    } catch (const base::Error& error) {
      if (error.kind() == ErrorKind::kUnsupported) GTEST_SKIP() << "built without Apache Arrow";
      EXPECT_EQ(error.kind(), ErrorKind::kInput) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refuse(whole.substr(0, whole.size() / 2), "expected a whole Parquet file");
  refuse(whole.substr(0, whole.size() - 1), "expected a whole Parquet file");
  refuse("PAR1", "expected a whole Parquet file");
  std::string damaged = whole;
  for (std::size_t i = 4; i < 400; ++i) damaged[i] = static_cast<char>(~damaged[i]);
  refuse(damaged, "expected a whole Parquet file");
}

}  // namespace
}  // namespace whit::data
