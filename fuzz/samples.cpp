#include "data/samples.h"

#include <unistd.h>

#include <fstream>

#include "expect.h"

namespace {

using whit::text::TokenId;

// One id per byte; BOS is 256.
class ByteTokenizer final : public whit::text::Tokenizer {
 public:
  std::vector<TokenId> encode(std::string_view text, bool) const override {
    std::vector<TokenId> ids;
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string decode(const std::vector<TokenId>&, bool) const override { return {}; }
  std::unique_ptr<whit::text::TextRun> begin_text(bool) const override { return {}; }
  std::int64_t vocabulary() const override { return 257; }
  std::optional<TokenId> id_of(std::string_view) const override { return {}; }
  std::optional<TokenId> bos() const override { return 256; }
  std::optional<TokenId> eos() const override { return {}; }
};

}  // namespace

constexpr const char* kEndings[] = {".jsonl", ".txt",   ".json", ".csv",
                                    ".tsv",   ".jsonl", ".json", ".csv"};

// The first two bytes choose how the rest is read. Samples keep to their lengths and the
// vocabulary.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  if (size < 2) return 0;
  const data::fs::path file = data::fs::temp_directory_path() /
                              fmt::format("whit_fuzz_{}{}", ::getpid(), kEndings[data[1] & 7]);
  std::ofstream(file, std::ios::binary)
      .write(reinterpret_cast<const char*>(data) + 2, static_cast<std::streamsize>(size - 2));
  const ByteTokenizer tokenizer;
  data::SampleArgs args;
  args.samples = 6;
  args.max_length = 2 + (data[0] >> 4);
  args.min_length = 1 + ((data[0] >> 2) & 1);
  args.pack = (data[0] & 2) != 0;
  args.bos = (data[0] & 8) != 0;
  args.from_start = (data[0] & 1) != 0;
  accepts([&] {
    const auto samples = data::draw_samples(file, args, &tokenizer, 257);
    require(!samples.sequences.empty() && samples.sequences.size() <= 6);
    for (const auto& sequence : samples.sequences) {
      const auto length = static_cast<std::int64_t>(sequence.size());
      require(length >= args.min_length && length <= args.max_length);
      for (const TokenId id : sequence) require(id >= 0 && id < 257);
    }
  });
  accepts([&] { require(!data::read_eval_ids(file, 100, &tokenizer, 257).empty()); });
  data::fs::remove(file);
  return 0;
}
