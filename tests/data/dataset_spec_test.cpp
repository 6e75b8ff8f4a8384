#include "data/dataset_spec.h"

#include <fmt/format.h>

#include <algorithm>

#include "data/byte_tokenizer.h"
#include "data/folder.h"
#include "data/samples.h"

namespace whit::data {
namespace {

using base::ErrorKind;

class Datasets : public Folder {
 protected:
  // A dataset in a cache as the hub's clients lay it out.
  void cache(const std::string& repository, const std::string& file, const std::string& contents,
             const std::string& commit = "c0ffee") {
    const std::string folder = fmt::format("hub/datasets--{}", repository);
    write(folder + "/refs/main", "c0ffee");
    const std::string blob = fmt::format("{}-{}", commit, ++blobs_);
    write(fmt::format("{}/blobs/{}", folder, blob), contents);
    const fs::path link = folder_ / folder / "snapshots" / commit / file;
    fs::create_directories(link.parent_path());
    fs::create_symlink(folder_ / folder / "blobs" / blob, link);
  }
  fs::path hub() const { return folder_ / "hub"; }

  int blobs_ = 0;
};

void refuse_dataset(const std::string& text, const std::string& part) {
  expect_refusal([&] { parse_dataset(text); }, ErrorKind::kUsage, part);
}

TEST_F(Datasets, SharesAreRead) {
  const auto parts = parse_dataset("a.jsonl:0.7,b.parquet:0.3");
  ASSERT_EQ(parts.size(), 2U);
  EXPECT_EQ(parts[0].name, "a.jsonl");
  EXPECT_EQ(parts[0].share, 0.7);
  EXPECT_EQ(parts[1].name, "b.parquet");
  EXPECT_EQ(parse_dataset("a,b,c").size(), 3U);
  EXPECT_EQ(parse_dataset("org/name").front().name, "org/name");
  const auto odd = write("odd,name:0.5", "x");
  EXPECT_EQ(parse_dataset(odd.string()).front().name, odd.string());
  refuse_dataset("a:0.7,b", "a share for every set or for none");
  refuse_dataset("a:x", "share \"x\"");
  refuse_dataset("a:0", "share \"0\"");
  refuse_dataset("a:-1", "share \"-1\"");
  refuse_dataset("a:nan", "share \"nan\"");
  refuse_dataset("a:1e999", "share \"1e999\"");
  refuse_dataset("a:0.5,,b:0.5", "expected NAME");
  refuse_dataset(":1", "names nothing");
}

TEST_F(Datasets, SamplesAreDividedWithoutRest) {
  const std::vector<DatasetPart> parts{{"a", 0.7}, {"b", 0.2}, {"c", 0.1}};
  EXPECT_EQ(divide_samples(parts, 128), (std::vector<std::int64_t>{90, 25, 13}));
  EXPECT_EQ(divide_samples({{"a", 1}, {"b", 1}, {"c", 1}}, 4),
            (std::vector<std::int64_t>{2, 1, 1}));
  EXPECT_EQ(divide_samples({{"a", 1000}, {"b", 1}}, 1), (std::vector<std::int64_t>{1, 0}));
}

TEST_F(Datasets, NamesAreFoundInTheCache) {
  cache("org--name", "data/train-00000.jsonl", "{\"text\": \"now\"}\n");
  cache("org--name", "data/train-00000.jsonl", "{\"text\": \"then\"}\n", "dead");
  write("hub/datasets--org--name/snapshots/c0ffee/README.md", "# about");
  EXPECT_EQ(all_rows(*open_rows(find_dataset("org/name", hub()), {})).front()["text"], "now");
  EXPECT_EQ(all_rows(*open_rows(find_dataset("org/name@dead", hub()), {})).front()["text"], "then");
  cache("open-thoughts--OpenThoughts-114k", "data/train-0.jsonl", "{\"text\": \"t\"}\n");
  cache("garage-bAInd--Open-Platypus", "data/train-0.jsonl", "{\"text\": \"p\"}\n");
  cache("HuggingFaceFW--fineweb-edu", "sample/10BT/000.jsonl", "{\"text\": \"f\"}\n");
  cache("HuggingFaceFW--fineweb-edu", "data/CC/000.jsonl", "{\"text\": \"all\"}\n", "c0ffee");
  for (const auto& [name, text] : {std::pair{"open-thoughts", "t"}, std::pair{"open-platypus", "p"},
                                   std::pair{"fineweb-edu", "f"}}) {
    EXPECT_EQ(all_rows(*open_rows(find_dataset(name, hub()), {})).front()["text"], text) << name;
  }
}

TEST_F(Datasets, WhatIsNotThereIsSaid) {
  try {
    find_dataset("open-platypus", hub());
    ADD_FAILURE();
  } catch (const base::Error& error) {
    EXPECT_EQ(error.subject(), "open-platypus");
    EXPECT_NE(error.detail().find((hub() / "datasets--garage-bAInd--Open-Platypus").string()),
              std::string::npos)
        << error.detail();
    EXPECT_NE(error.suggestion().find("hf download --repo-type dataset garage-bAInd/Open-Platypus"),
              std::string::npos)
        << error.suggestion();
  }
  cache("org--name", "a.jsonl", "{\"text\": \"now\"}\n");
  expect_refusal([&] { find_dataset("org/name@v9", hub()); }, ErrorKind::kInput,
                 "revision 'v9' is not in the cache");
  expect_refusal([&] { find_dataset("data/absent.jsonl", hub()); }, ErrorKind::kInput,
                 "no such file or folder");
  expect_refusal([&] { find_dataset("../../absent", hub()); }, ErrorKind::kInput, "no such");
}

TEST_F(Datasets, SetsAreMixedByShare) {
  std::string a, b;
  for (int i = 0; i < 50; ++i) {
    a += "{\"text\": \"aaaaaaaa\"}\n";
    b += "bbbbbbbb\n";
  }
  write("a.jsonl", a);
  write("b.csv", fmt::format("text\n{}", b));
  const std::string spec =
      fmt::format("{}:3,{}:1", (folder_ / "a.jsonl").string(), (folder_ / "b.csv").string());
  const ByteTokenizer tokenizer;
  const SampleArgs args{.samples = 12, .max_length = 20, .min_length = 2, .bos = false};
  const Samples samples = draw_samples(spec, args, &tokenizer, 257);
  ASSERT_EQ(samples.sequences.size(), 12U);
  EXPECT_EQ(std::count_if(samples.sequences.begin(), samples.sequences.end(),
                          [](const auto& s) { return s.front() == 'a'; }),
            9);
  ASSERT_EQ(samples.sets.size(), 2U);
  EXPECT_EQ(samples.sets[1].format, "CSV");
  EXPECT_EQ(samples.sets[1].samples, 3);
  EXPECT_EQ(samples.summary.rows, 100);
  expect_refusal(
      [&] {
        draw_samples(spec, {.samples = 1, .max_length = 20, .min_length = 2}, &tokenizer, 257);
      },
      ErrorKind::kUsage, "gives none of 1 samples");
}

TEST_F(Datasets, ChatsAreRenderedAndCounted) {
  write("chats.jsonl",
        "{\"messages\": [{\"role\": \"user\", \"content\": \"hello there\"}]}\n"
        "{\"messages\": null}\n");
  const ByteTokenizer tokenizer;
  const SampleArgs args{.samples = 2, .max_length = 30, .min_length = 2};
  const ModelText model(&tokenizer, [](const Json& messages) {
    return fmt::format("<{}>{}", messages[0]["role"].get<std::string>(),
                       messages[0]["content"].get<std::string>());
  });
  const Samples samples = draw_samples(folder_ / "chats.jsonl", args, model, 257);
  ASSERT_EQ(samples.sequences.size(), 1U);
  // The template writes BOS where it wants one.
  EXPECT_EQ(samples.sequences.front(), tokenizer.encode("<user>hello there", false));
  EXPECT_EQ(samples.summary.rows_empty, 1);
  const auto lines = describe(samples);
  ASSERT_EQ(lines.size(), 2U);
  EXPECT_NE(lines[0].find("1 sequences from 1 of 2 rows read"), std::string::npos) << lines[0];
  EXPECT_NE(lines[1].find("\"messages\" is null"), std::string::npos) << lines[1];
  expect_refusal([&] { draw_samples(folder_ / "chats.jsonl", args, &tokenizer, 257); },
                 ErrorKind::kInput, "no chat template");

  write("nothing.jsonl", "{\"text\": null}\n{\"text\": null}\n");
  expect_refusal([&] { draw_samples(folder_ / "nothing.jsonl", args, &tokenizer, 257); },
                 ErrorKind::kInput, "none of 2 rows holds anything");

  write("prompts.jsonl", "{\"system_prompt\": \"be\", \"question\": \"why?\"}\n");
  const Samples joined = draw_samples(folder_ / "prompts.jsonl", args, &tokenizer, 257);
  EXPECT_EQ(joined.sequences.front(), tokenizer.encode("be. why?", true));
  EXPECT_NE(describe(joined).back().find("no chat template"), std::string::npos);
}

TEST_F(Datasets, AChatThatTheTemplateRefusesIsNamed) {
  const auto rows =
      write("chats.jsonl", "{\"messages\": [{\"role\": \"user\", \"content\": \"q\"}]}\n");
  write("model/chat_template.jinja", "\n{{ raise_exception('Roles must alternate') }}");
  const ByteTokenizer tokenizer;
  const FolderText text(folder_ / "model");
  const ModelText model(&tokenizer, text.view().render_chat);
  const auto refuse = [&](const char* part) {
    expect_refusal([&] { draw_samples(rows, {.samples = 1}, model, 257); }, ErrorKind::kInput,
                   part);
  };
  refuse("chat_template.jinja:2: Roles must alternate");
  refuse("chats.jsonl:1");
}

TEST_F(Datasets, TheSamplesOfAFileDoNotDependOnHowItIsStored) {
  std::string lines, csv = "text\n", array;
  for (int i = 0; i < 40; ++i) {
    const std::string text =
        fmt::format("{}{}", std::string(10 + static_cast<std::size_t>(i), 'a'), i);
    const std::string row = fmt::format("{{\"text\": \"{}\"}}", text);
    lines += row;
    lines += '\n';
    csv += text;
    csv += '\n';
    array += i == 0 ? '[' : ',';
    array += row;
  }
  array += ']';
  const ByteTokenizer tokenizer;
  const SampleArgs args{.samples = 60, .max_length = 20, .min_length = 2, .seed = 5};
  const auto expected = draw_samples(write("a.jsonl", lines), args, &tokenizer, 257).sequences;
  EXPECT_EQ(expected.size(), 60U);
  EXPECT_EQ(draw_samples(write("a.csv", csv), args, &tokenizer, 257).sequences, expected);
  EXPECT_EQ(draw_samples(write("a.json", array), args, &tokenizer, 257).sequences, expected);
}

}  // namespace
}  // namespace whit::data
