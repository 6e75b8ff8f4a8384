#include "data/rows.h"

#include <zlib.h>
#include <zstd.h>

#include <algorithm>

#include "data/folder.h"

namespace whit::data {
namespace {

using base::ErrorKind;

std::string gzipped(const std::string& text) {
  z_stream state{};
  deflateInit2(&state, 6, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
  std::string out(deflateBound(&state, text.size()) + 64, '\0');
  state.next_in = reinterpret_cast<Bytef*>(const_cast<char*>(text.data()));
  state.avail_in = static_cast<uInt>(text.size());
  state.next_out = reinterpret_cast<Bytef*>(out.data());
  state.avail_out = static_cast<uInt>(out.size());
  EXPECT_EQ(deflate(&state, Z_FINISH), Z_STREAM_END);
  out.resize(out.size() - state.avail_out);
  deflateEnd(&state);
  return out;
}

std::string zstandard(const std::string& text) {
  std::string out(ZSTD_compressBound(text.size()), '\0');
  out.resize(ZSTD_compress(out.data(), out.size(), text.data(), text.size(), 3));
  return out;
}

class Rows : public Folder {
 protected:
  std::unique_ptr<RowSource> open(const std::string& name, const std::string& contents) const {
    return open_rows(write(name, contents), {});
  }
  void refuse(const std::string& name, const std::string& contents, const std::string& part,
              ErrorKind kind = ErrorKind::kInput) const {
    expect_refusal([&] { all_rows(*open(name, contents)); }, kind, part);
  }
};

const std::string kLines = "{\"text\": \"a\", \"n\": 1}\n\n{\"text\": \"b\\n\", \"n\": 2}\n";
const std::vector<Json> kTwo{{{"text", "a"}, {"n", 1}}, {{"text", "b\n"}, {"n", 2}}};

TEST_F(Rows, JsonInItsThreeForms) {
  const auto lines = open("a.jsonl", kLines);
  EXPECT_EQ(all_rows(*lines), kTwo);
  EXPECT_EQ(lines->name(1), (folder_ / "a.jsonl").string() + ":3");
  EXPECT_EQ(all_rows(*open("lines.json", kLines)), kTwo);

  const auto array = open("array.json",
                          " [\n{\"text\": \"a\", \"n\": 1},\n {\"text\":\"b\\n\","
                          "\"n\":2 } ]\n");
  EXPECT_EQ(all_rows(*array), kTwo);
  EXPECT_EQ(array->name(1), (folder_ / "array.json").string() + "[1]");

  EXPECT_EQ(all_rows(*open("columns.json", "{\"text\": [\"a\", \"b\\n\"], \"n\": [1, 2]}")), kTwo);
  EXPECT_EQ(all_rows(*open("pandas.json",
                           "{\"text\":{\"0\":\"a\",\"1\":\"b\\n\"},"
                           "\"n\":{\"0\":1,\"1\":2}}")),
            kTwo);
  // One row, not columns.
  EXPECT_EQ(all_rows(*open("ids.json", "{\"input_ids\": [1, 2, 3]}")).size(), 1U);
  EXPECT_EQ(all_rows(*open("ids2.json", "{\"input_ids\": [[1, 2], [3]]}")).size(), 2U);
  EXPECT_EQ(all_rows(*open("chat.json", "{\"messages\": [{\"role\": \"user\"}]}")).size(), 1U);
}

TEST_F(Rows, BrokenJsonIsNamed) {
  refuse("a.jsonl", "{\"text\": \"a\"}\n{\"text\": \n", "a.jsonl:2: not JSON");
  refuse("a.jsonl", "{\"text\": \"a\"}\n7\n", "a.jsonl:2: found number");
  refuse("a.json", "[{\"text\": \"a\"}, {\"text\": ", "the text ends at byte 25");
  refuse("a.json", "[{\"text\": \"a\"} {\"text\": \"b\"}]", "at byte 15; expected ','");
  refuse("a.json", "[{\"text\": \"a\"}] x", "at byte 16; expected the end of the file");
  refuse("a.json", "[{\"text\": \"a\"}, 5]", "a.json[1]: found number; expected an object");
  refuse("a.json", "[{\"text\": tru}]", "a.json[0]: not JSON");
  refuse("a.json", "[]", "an empty array");
  refuse("a.json", "[{\"text\": \"a]", "the end of a string");
  refuse("a.json", "{\"text\": [\"a\", \"b\"], \"n\": [1]}", "\"n\" has 1 rows; expected 2");
  refuse("a.json", "{\"text\": {\"0\": \"a\"}, \"n\": {\"5\": 1}}", "has the key \"5\"");
  refuse("a.json", "{\"text\": [], \"n\": []}", "columns without rows");
  refuse("a.json", "{\n\"text\": \"a\",\n\"n\": 1}\n", "an object over several lines");
  refuse("a.json", "{\"text\": [\"a\", \"b\"", "a.json:1: not JSON");
  refuse("a.json", " \n ", "an empty file");
}

TEST_F(Rows, CsvAsRfc4180HasIt) {
  const auto rows = open("a.csv",
                         "text,n\r\n\"two\nlines, and \"\"quotes\"\"\",1\r\n\r\nplain \"q\",2\r\n"
                         "\"\",\n");
  const std::vector<Json> expected{{{"text", "two\nlines, and \"quotes\""}, {"n", "1"}},
                                   {{"text", "plain \"q\""}, {"n", "2"}},
                                   {{"text", ""}, {"n", ""}}};
  EXPECT_EQ(all_rows(*rows), expected);
  EXPECT_EQ(rows->name(0), (folder_ / "a.csv").string() + ":2");
  EXPECT_EQ(rows->name(1), (folder_ / "a.csv").string() + ":5");
  const std::vector<Json> tabbed{{{"text", "a,b"}, {"n", "1"}}};
  EXPECT_EQ(all_rows(*open("a.tsv", "text\tn\na,b\t1")), tabbed);
  EXPECT_EQ(all_rows(*open("mark.csv", "\xEF\xBB\xBFtext\na\n")).front().begin().key(), "text");
}

TEST_F(Rows, BrokenCsvIsNamed) {
  refuse("a.csv", "text,n\na,1\nb\n", "a.csv:3: 1 fields; expected 2");
  refuse("a.csv", "text\n\"open\n", "a.csv:2: a quoted field that does not end");
  refuse("a.csv", "text,n\n\"a\"b,1\n", "a.csv:2: 'b' behind a closing quote");
  refuse("a.csv", "text,text\na,b\n", "names \"text\" twice");
  refuse("a.csv", "text\n\n", "a header and no rows");
  refuse("a.csv", "", "an empty file");
}

TEST_F(Rows, CompressedLines) {
  std::string many, padding(1000, 'x');
  for (int i = 0; i < 3000; ++i) {
    many += "{\"n\": " + std::to_string(i) + ", \"text\": \"" + padding + "\"}\n";
  }
  const std::string half = many.substr(0, 1500000), rest = many.substr(1500000);
  const auto gzip = open("a.jsonl.gz", gzipped(half) + gzipped(rest));
  const auto zstd = open("a.jsonl.zst", zstandard(half) + zstandard(rest));
  for (const auto* rows : {gzip.get(), zstd.get()}) {
    ASSERT_EQ(rows->count(), 3000U);
    EXPECT_TRUE(rows->sequential());
    std::vector<std::int64_t> seen;
    rows->read(std::vector<std::uint64_t>{0, 7, 2999}, [&](std::uint64_t, Json row) {
      seen.push_back(row["n"].get<std::int64_t>());
      return true;
    });
    EXPECT_EQ(seen, (std::vector<std::int64_t>{0, 7, 2999}));
  }
  const std::string gz = gzipped(kLines), zst = zstandard(kLines);
  refuse("cut.jsonl.gz", gz.substr(0, gz.size() - 9), "within a gzip member");
  refuse("cut.jsonl.zst", zst.substr(0, zst.size() - 3), "within a frame");
  refuse("no.jsonl.gz", "{\"text\": \"a\"}", "no valid gzip data");
  refuse("no.jsonl.zst", "{\"text\": \"a\"}", "no valid Zstandard data");
  refuse("empty.jsonl.gz", gzipped(" \n"), "an empty file");
  refuse("bad.jsonl.gz", gzipped("{}\n{\n"), "bad.jsonl.gz:2: not JSON");
  refuse("a.csv.gz", gz, "compressed JSON Lines", ErrorKind::kUnsupported);
}

TEST_F(Rows, AFolderGivesTheFilesOfOneKind) {
  write("set/README.md", "# about");
  write("set/dataset_infos.json", "{}");
  write("set/data/train-00001-of-00002.jsonl", "{\"text\": \"c\"}\n");
  write("set/data/train-00000-of-00002.jsonl", "{\"text\": \"a\"}\n{\"text\": \"b\"}\n");
  write("set/data/test-00000-of-00001.jsonl", "{\"text\": \"z\"}\n");
  write("set/notes.csv", "text\nn\n");
  const auto rows = open_rows(folder_ / "set", {});
  const std::vector<Json> expected{{{"text", "a"}}, {{"text", "b"}}, {{"text", "c"}}};
  EXPECT_EQ(all_rows(*rows), expected);
  EXPECT_EQ(rows->files().size(), 2U);
  EXPECT_EQ(rows->name(2), (folder_ / "set/data/train-00001-of-00002.jsonl").string() + ":1");

  write("csv/b.csv", "text\nb\n");
  write("csv/a.csv", "text\na\n");
  EXPECT_EQ(all_rows(*open_rows(folder_ / "csv", {})),
            (std::vector<Json>{{{"text", "a"}}, {{"text", "b"}}}));
  write("tests/validation.jsonl", kLines);
  expect_refusal([&] { open_rows(folder_ / "tests", {}); }, ErrorKind::kInput, "only splits");
  write("none/README.md", "# about");
  expect_refusal([&] { open_rows(folder_ / "none", {}); }, ErrorKind::kInput,
                 "no rows among 1 files");
}

TEST_F(Rows, OtherFilesAreRefused) {
  refuse("a.npz", "PK", "a dataset of kind \".npz\"", ErrorKind::kUnsupported);
  refuse("a.unknown", std::string("a\0b", 3), "a NUL at byte 1");
  expect_refusal([&] { open_rows(folder_ / "absent.csv", {}); }, ErrorKind::kInput, "absent.csv");
}

}  // namespace
}  // namespace whit::data
