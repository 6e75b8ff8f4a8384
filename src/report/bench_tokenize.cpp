#include "report/bench_tokenize.h"

#include <algorithm>
#include <ctime>
#include <string>
#include <vector>

#include "base/error.h"

namespace whit::report {

namespace {

constexpr double kMega = 1e6;
constexpr std::size_t kLetters = 1 << 20;

// Of the processor, so that other work on the machine does not count; all runs in one thread.
template <typename Work>
double seconds_of(Work work) {
  const std::clock_t begin = std::clock();
  work();
  return static_cast<double>(std::clock() - begin) / CLOCKS_PER_SEC;
}

template <typename Work>
double least_seconds(int repeats, Work work) {
  double least = seconds_of(work);
  for (int i = 1; i < repeats; ++i) least = std::min(least, seconds_of(work));
  return least;
}

std::vector<std::string_view> paragraphs_of(std::string_view text) {
  std::vector<std::string_view> paragraphs;
  for (std::size_t begin = 0; begin < text.size();) {
    const std::size_t found = text.find("\n\n", begin);
    const std::size_t end = found == std::string_view::npos ? text.size() : found + 2;
    paragraphs.push_back(text.substr(begin, end - begin));
    begin = end;
  }
  return paragraphs;
}

}  // namespace

BenchTable bench_tokenize(const text::Tokenizer& tokenizer, std::string_view text, int repeats) {
  if (text.empty()) {
    base::fail(base::ErrorKind::kInput, "text", "an empty text; expected one to encode");
  }
  BenchTable table;
  table.title = "tokenize";
  table.machine = "one thread, seconds of its CPU time";
  const auto add = [&](std::string name, std::size_t bytes, double seconds, std::size_t tokens) {
    BenchRow row;
    row.name = std::move(name);
    row.work = static_cast<double>(bytes) / kMega;
    row.unit = "MB";
    row.seconds = seconds;
    row.note = fmt::format("{} tokens", tokens);
    table.rows.push_back(std::move(row));
  };
  std::vector<text::TokenId> ids;
  const auto encode = [&] { ids = tokenizer.encode(text, false); };
  const double cold = seconds_of(encode);
  add("encode, cold", text.size(), cold, ids.size());
  add("encode, warm", text.size(), least_seconds(repeats, encode), ids.size());

  const auto paragraphs = paragraphs_of(text);
  std::size_t count = 0;
  const double apart = least_seconds(repeats, [&] {
    count = 0;
    for (const std::string_view paragraph : paragraphs) {
      count += tokenizer.encode(paragraph, false).size();
    }
  });
  add(fmt::format("encode, {} paragraphs", paragraphs.size()), text.size(), apart, count);

  std::string decoded;
  const double back = least_seconds(repeats, [&] { decoded = tokenizer.decode(ids, false); });
  add("decode", decoded.size(), back, ids.size());

  const std::string letters(kLetters, 'a');
  const double letter = seconds_of([&] { ids = tokenizer.encode(letters, false); });
  add("encode, one letter", letters.size(), letter, ids.size());
  return table;
}

}  // namespace whit::report
