#include "data/samples.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <numeric>
#include <set>

#include "base/error.h"
#include "data/byte_tokenizer.h"
#include "data/folder.h"
#include "data/random.h"

namespace whit::data {
namespace {

using base::ErrorKind;
using text::TokenId;

class Sampling : public ::testing::Test {
 protected:
  void SetUp() override {
    folder_ = fs::temp_directory_path() /
              ("whit_samples_" +
               std::string(::testing::UnitTest::GetInstance()->current_test_info()->name()));
    fs::create_directories(folder_);
  }
  void TearDown() override { fs::remove_all(folder_); }

  fs::path write(const std::string& name, const std::string& contents) const {
    std::ofstream(folder_ / name, std::ios::binary) << contents;
    return folder_ / name;
  }

  void expect_error(const fs::path& file, const SampleArgs& args, ErrorKind kind,
                    const std::string& part, bool with_tokenizer = true) const {
    try {
      draw_samples(file, args, with_tokenizer ? &tokenizer_ : nullptr, 257);
      ADD_FAILURE() << "accepted; expected: " << part;
    } catch (const base::Error& error) {
      EXPECT_EQ(error.kind(), kind) << error.what();
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  }

  ByteTokenizer tokenizer_;
  fs::path folder_;
};

std::string text_row(const std::string& text) {
  return "{\"text\": \"" + text + "\"}\n";
}

TEST(Random, IsSplitMix64) {
  Random random(1234567);
  EXPECT_EQ(random.next(), 6457827717110365317ULL);  // the published test of the generator
  EXPECT_EQ(random.next(), 3203168211198807973ULL);
  EXPECT_EQ(random.next(), 9817491932198370423ULL);
}

TEST(Random, DrawsBelowEvenlyAndShufflesAPermutation) {
  Random random(7);
  std::vector<int> counts(10);
  for (int i = 0; i < 10000; ++i) ++counts[random.below(10)];
  for (const int count : counts) EXPECT_NEAR(count, 1000, 150);
  std::vector<int> items(100);
  std::iota(items.begin(), items.end(), 0);
  auto shuffled = items;
  random.shuffle(shuffled);
  EXPECT_NE(shuffled, items);
  EXPECT_TRUE(std::is_permutation(shuffled.begin(), shuffled.end(), items.begin()));
}

TEST_F(Sampling, SlicesLongRowsKeepsMiddleOnesPassesShortOnes) {
  const auto file = write(
      "rows.jsonl", text_row(std::string(50, 'a')) + "\n" + text_row("bbbbb") + text_row("c"));
  SampleArgs args{.samples = 2, .max_length = 10, .min_length = 4};
  const Samples samples = draw_samples(file, args, &tokenizer_, 257);
  ASSERT_EQ(samples.sequences.size(), 2U);
  std::multiset<std::size_t> lengths;
  for (const auto& sequence : samples.sequences) {
    EXPECT_EQ(sequence.front(), 256);
    EXPECT_EQ(std::set<TokenId>(sequence.begin() + 1, sequence.end()).size(), 1U);
    lengths.insert(sequence.size());
  }
  args.samples = 3;
  const Samples more = draw_samples(file, args, &tokenizer_, 257);
  EXPECT_EQ(more.summary.rows, 3);
  EXPECT_EQ(more.summary.rows_read, 3);
  EXPECT_EQ(more.summary.rows_used, 2);
  EXPECT_EQ(more.summary.rows_too_short, 1);
  EXPECT_EQ(more.summary.rows_cut, 1);
  EXPECT_EQ(more.summary.longest_row, 51);
  EXPECT_EQ(more.summary.samples_missing, 0);
  EXPECT_EQ(more.summary.tokens, 10 + 10 + 6);
}

TEST_F(Sampling, FurtherSlicesDoNotOverlapWhileTheyCanAndNeverRepeat) {
  std::string text(100, ' ');
  std::iota(text.begin(), text.end(), char{27});  // every place has its own byte
  const auto file = write("whole.txt", text);
  SampleArgs args{.samples = 10, .max_length = 11, .min_length = 2, .bos = true, .seed = 3};
  const auto slices = draw_samples(file, args, &tokenizer_, 257).sequences;
  ASSERT_EQ(slices.size(), 10U);
  std::set<TokenId> seen;
  std::size_t apart = 0;
  for (const auto& slice : slices) {
    ASSERT_EQ(slice.size(), 11U);
    for (std::size_t i = 2; i < slice.size(); ++i) EXPECT_EQ(slice[i], slice[i - 1] + 1);
    const bool fresh = seen.count(slice[1]) == 0 && seen.count(slice.back()) == 0;
    apart += fresh ? 1U : 0U;
    seen.insert(slice.begin() + 1, slice.end());
  }
  EXPECT_GE(apart, 9U);
  // All 91 offsets, each once, and then the shortfall is told.
  args.samples = 200;
  const Samples all = draw_samples(file, args, &tokenizer_, 257);
  EXPECT_EQ(all.sequences.size(), 91U);
  EXPECT_EQ(all.summary.samples_missing, 109);
  std::set<TokenId> firsts;
  for (const auto& slice : all.sequences) firsts.insert(slice[1]);
  EXPECT_EQ(firsts.size(), 91U);
}

TEST_F(Sampling, SeedDecidesEverything) {
  std::string rows;
  for (int i = 0; i < 40; ++i)
    rows +=
        text_row(std::string(static_cast<std::size_t>(20 + i), static_cast<char>('A' + i % 26)));
  const auto file = write("rows.jsonl", rows);
  SampleArgs args{.samples = 8, .max_length = 16, .min_length = 4, .seed = 11};
  const auto first = draw_samples(file, args, &tokenizer_, 257).sequences;
  EXPECT_EQ(draw_samples(file, args, &tokenizer_, 257).sequences, first);
  args.seed = 12;
  EXPECT_NE(draw_samples(file, args, &tokenizer_, 257).sequences, first);
}

TEST_F(Sampling, RowsOfIdsKeepTheirOwnBos) {
  const auto file = write("ids.jsonl", "{\"input_ids\": [256, 1, 2, 3, 4, 5, 6, 7, 8, 9]}\n");
  SampleArgs args{.samples = 2, .max_length = 5, .min_length = 2};
  for (const auto& slice : draw_samples(file, args, &tokenizer_, 257).sequences) {
    EXPECT_EQ(slice.front(), 256);
    EXPECT_EQ(slice.size(), 5U);
  }
  const auto plain = write("plain.jsonl", "{\"input_ids\": [1, 2, 3]}\n");
  args.samples = 1;
  EXPECT_EQ(draw_samples(plain, args, nullptr, 257).sequences,
            (std::vector<std::vector<TokenId>>{{1, 2, 3}}));
}

TEST_F(Sampling, PackFillsEverySequence) {
  std::string rows;
  for (int i = 0; i < 9; ++i) rows += text_row("abcdefg");
  const auto file = write("rows.jsonl", rows);
  SampleArgs args{.samples = 3, .max_length = 20, .min_length = 20, .pack = true};
  const Samples samples = draw_samples(file, args, &tokenizer_, 257);
  ASSERT_EQ(samples.sequences.size(), 3U);
  for (const auto& sequence : samples.sequences) {
    EXPECT_EQ(sequence.size(), 20U);
    EXPECT_EQ(sequence.front(), 256);
    EXPECT_GE(std::count(sequence.begin(), sequence.end(), 256), 2);
  }
  args.samples = 100;
  EXPECT_EQ(draw_samples(file, args, &tokenizer_, 257).summary.samples_missing, 97);
}

TEST_F(Sampling, ANamedColumn) {
  const auto file = write("rows.jsonl", "{\"text\": \"no\", \"content\": \"yes\"}\n");
  SampleArgs args{
      .samples = 1, .max_length = 8, .min_length = 1, .bos = false, .column = "content"};
  EXPECT_EQ(draw_samples(file, args, &tokenizer_, 257).sequences.front(),
            tokenizer_.encode("yes", false));
}

TEST_F(Sampling, SaysWhatIsWrong) {
  const SampleArgs args{.samples = 2, .max_length = 10, .min_length = 4};
  expect_error(folder_ / "absent.jsonl", args, ErrorKind::kInput, "absent.jsonl");
  expect_error(write("empty.jsonl", ""), args, ErrorKind::kInput, "empty");
  expect_error(write("blank.txt", " \n\n"), args, ErrorKind::kInput, "empty");
  expect_error(write("bad.jsonl", text_row("long enough") + "{\"text\": \n"), args,
               ErrorKind::kInput, "bad.jsonl:2");
  expect_error(write("utf8.jsonl", "{\"text\": \"\xFF\xFE\"}\n"), args, ErrorKind::kInput,
               "utf8.jsonl:1");
  expect_error(write("neither.jsonl", "{\"label\": 1}\n"), args, ErrorKind::kInput,
               "neither text nor input_ids");
  expect_error(write("array.jsonl", "{\"a\": 1}\n[1]\n"), args, ErrorKind::kInput, "expected");
  expect_error(write("chat.jsonl", "{\"messages\": []}\n"), args, ErrorKind::kInput,
               "a chat without messages");
  expect_error(write("big.jsonl", "{\"input_ids\": [1, 2, 3, 257]}\n"), args, ErrorKind::kInput,
               "token id 257");
  expect_error(write("negative.jsonl", "{\"input_ids\": [1, -2]}\n"), args, ErrorKind::kInput,
               "id 1 is -2");
  expect_error(write("real.jsonl", "{\"input_ids\": [1, 2.5]}\n"), args, ErrorKind::kInput,
               "id 1 is 2.5");
  expect_error(write("type.jsonl", "{\"text\": 4}\n"), args, ErrorKind::kInput, "number");
  expect_error(write("short.jsonl", text_row("a") + text_row("ab")), args, ErrorKind::kInput,
               "the longest has 3 tokens; expected at least 4");
  expect_error(write("rows.arrow", "ARROW1"), args, ErrorKind::kUnsupported, "arrow");
  expect_error(write("binary.txt", std::string("ab\0cd", 5)), args, ErrorKind::kInput, "NUL");
  expect_error(write("text.jsonl", text_row("long enough")), args, ErrorKind::kInput,
               "no tokenizer", false);
  expect_error(write("text.jsonl", text_row("x")), {.samples = 1, .max_length = 4, .min_length = 5},
               ErrorKind::kUsage, "--min-length");
}

TEST_F(Sampling, LargeTextsAreCutIntoRowsAtLineEnds) {
  std::string text;
  for (int i = 0; i < 100000; ++i) text += "0123456789\n";
  const auto file = write("large.txt", text);
  const SampleArgs args{.samples = 3, .max_length = 100, .min_length = 10};
  const Samples samples = draw_samples(file, args, &tokenizer_, 257);
  EXPECT_EQ(samples.sequences.size(), 3U);
  EXPECT_GE(samples.summary.rows, 3);
  EXPECT_LE(samples.summary.longest_row, 600000);
}

TEST_F(Sampling, EvalIdsOfTextRowsAndIds) {
  const auto rows = write("rows.jsonl", text_row("ab") + text_row("c"));
  EXPECT_EQ(read_eval_ids(rows, 0, &tokenizer_, 257), tokenizer_.encode("ab\n\nc", false));
  EXPECT_EQ(read_eval_ids(rows, 3, &tokenizer_, 257), tokenizer_.encode("ab\n", false));
  const auto ids = write("ids.jsonl", "{\"input_ids\": [1, 2]}\n{\"input_ids\": [3]}\n");
  EXPECT_EQ(read_eval_ids(ids, 0, nullptr, 257), (std::vector<TokenId>{1, 2, 3}));
  EXPECT_THROW(read_eval_ids(ids, 0, nullptr, 3), base::Error);
  EXPECT_THROW(read_eval_ids(rows, 0, nullptr, 257), base::Error);
}

TEST_F(Sampling, EvalIdsOfChatsAreTheirRenderings) {
  const auto chat = [](const std::string& text) {
    return fmt::format("{{\"messages\": [{{\"role\": \"user\", \"content\": \"{}\"}}]}}\n", text);
  };
  const auto rows = write("chats.jsonl", chat("ab") + chat("c"));
  const ModelText model(&tokenizer_, [](const Json& messages) {
    return fmt::format("<{}>", messages[0]["content"].get<std::string>());
  });
  EXPECT_EQ(read_eval_ids(rows, 0, model, 257), tokenizer_.encode("<ab><c>", false));
  EXPECT_EQ(read_eval_ids(rows, 5, model, 257), tokenizer_.encode("<ab><", false));
  const auto refuse = [&](const fs::path& file, const ModelText& text, const char* part) {
    expect_refusal([&] { read_eval_ids(file, 0, text, 257); }, ErrorKind::kInput, part);
  };
  refuse(rows, &tokenizer_, "chats.jsonl:1: a chat, and the model has no chat template");
  refuse(write("mixed.jsonl", chat("ab") + text_row("c")), model, "expected one kind");
}

}  // namespace
}  // namespace whit::data
