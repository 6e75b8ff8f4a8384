#include "data/samples.h"

#include <algorithm>
#include <numeric>

#include "base/error.h"
#include "data/dataset_spec.h"
#include "data/random.h"
#include "data/sampler.h"

namespace whit::data {

namespace {

using base::ErrorKind;
using base::fail;
using text::TokenId;

constexpr std::uint64_t kBlockBytes = 256 * 1024;

void check_args(const SampleArgs& args) {
  if (args.samples < 1)
    fail(ErrorKind::kUsage, "--num-calibration-samples", "{}; expected 1 or more", args.samples);
  if (args.max_length < 2 || args.max_length > (std::int64_t{1} << 31)) {
    fail(ErrorKind::kUsage, "--max-sequence-length", "{}; expected 2 to 2^31", args.max_length);
  }
  if (args.min_length < 1 || args.min_length > args.max_length) {
    fail(ErrorKind::kUsage, "--min-length", "{}; expected 1 to the longest length, {}",
         args.min_length, args.max_length);
  }
}

void merge(std::map<std::string, RowNotes::Note>& into,
           const std::map<std::string, RowNotes::Note>& notes) {
  for (const auto& [text, note] : notes) {
    RowNotes::Note& sum = into[text];
    if (sum.rows == 0) sum.first = note.first;
    sum.rows += note.rows;
  }
}

void merge(SampleSummary& into, const SampleSummary& part) {
  into.rows += part.rows;
  into.rows_read += part.rows_read;
  into.rows_used += part.rows_used;
  into.rows_too_short += part.rows_too_short;
  into.rows_cut += part.rows_cut;
  into.rows_empty += part.rows_empty;
  into.tokens += part.tokens;
  into.longest_row = std::max(into.longest_row, part.longest_row);
  into.samples_missing += part.samples_missing;
  merge(into.notes.skipped, part.notes.skipped);
  merge(into.notes.remarks, part.notes.remarks);
}

[[noreturn]] void fail_without_samples(const std::string& name, const SampleArgs& args,
                                       const SampleSummary& summary) {
  if (summary.rows_empty == summary.rows_read) {
    const auto& [reason, note] = *summary.notes.skipped.begin();
    fail(ErrorKind::kInput, name, "none of {} rows holds anything ({}: {}); expected some text",
         summary.rows_read, note.first, reason);
  }
  fail(ErrorKind::kInput, name,
       "all {} rows are too short: the longest has {} tokens; expected at least {}{}",
       summary.rows_read, summary.longest_row, args.min_length,
       args.pack ? " in all rows together" : "");
}

// Each set draws from its own generator, the first one from the seed itself.
std::uint64_t seed_of(std::uint64_t seed, std::size_t set) {
  return set == 0 ? seed : Random(seed ^ (Random::kStep * set)).next();
}

std::string counted(std::int64_t rows, const char* what) {
  return rows == 0 ? std::string() : fmt::format(", {} {}", rows, what);
}

std::vector<TokenId> encode_plain(const std::string& text, const std::string& name,
                                  const ModelText& model, std::int64_t vocabulary) {
  if (model.tokenizer == nullptr) {
    fail(ErrorKind::kInput, name,
         "texts, and the model has no tokenizer; expected input_ids, or --tokenizer PATH");
  }
  auto ids = model.tokenizer->encode(text, false);
  check_ids(ids, vocabulary, name);
  return ids;
}

// The first chat's own BOS is left to who cuts windows, as that of texts is.
void append_chat(const Chat& chat, const std::string& name, const ModelText& model,
                 std::int64_t vocabulary, std::vector<TokenId>& ids) {
  const auto chat_ids = encode_plain(render(chat, name, model), name, model, vocabulary);
  const bool own_bos =
      ids.empty() && !chat_ids.empty() && model.tokenizer->bos() == chat_ids.front();
  ids.insert(ids.end(), chat_ids.begin() + (own_bos ? 1 : 0), chat_ids.end());
}

}  // namespace

Samples draw_samples(const fs::path& dataset, const SampleArgs& args, const ModelText& model,
                     std::int64_t vocabulary) {
  check_args(args);
  const auto parts = parse_dataset(dataset.string());
  const auto counts = divide_samples(parts, args.samples);
  const RowArgs row_args{args.column,
                         std::max(kBlockBytes, 64 * static_cast<std::uint64_t>(args.max_length))};
  Samples all;
  for (std::size_t i = 0; i < parts.size(); ++i) {
    const fs::path path = find_dataset(parts[i].name, args.hub_cache);
    if (counts[i] == 0) {
      fail(ErrorKind::kUsage, "--calibration",
           "the share of {} gives none of {} samples; expected a larger one", parts[i].name,
           args.samples);
    }
    SampleArgs own = args;
    own.samples = counts[i];
    own.seed = seed_of(args.seed, i);
    const auto rows = open_rows(path, row_args);
    Samples samples = sample_rows(*rows, own, model, vocabulary);
    if (samples.sequences.empty()) fail_without_samples(path.string(), own, samples.summary);
    all.sets.push_back({parts[i].name, path, std::string(rows->format()),
                        static_cast<std::int64_t>(rows->files().size()),
                        static_cast<std::int64_t>(samples.sequences.size()), samples.summary});
    merge(all.summary, samples.summary);
    std::move(samples.sequences.begin(), samples.sequences.end(),
              std::back_inserter(all.sequences));
  }
  return all;
}

std::vector<std::string> describe(const Samples& samples) {
  std::vector<std::string> lines;
  for (const SetSummary& set : samples.sets) {
    const SampleSummary& s = set.summary;
    lines.push_back(fmt::format(
        "{}: {} sequences from {} of {} rows read, of {} ({}, {} file{}){}{}{}", set.name,
        set.samples, s.rows_used, s.rows_read, s.rows, set.format, set.files,
        set.files == 1 ? "" : "s", counted(s.rows_too_short, "too short"),
        counted(s.rows_cut, "too long and cut"), counted(s.rows_empty, "without content")));
    for (const auto& [reason, note] : s.notes.skipped) {
      lines.push_back(fmt::format("{}: {} rows passed over: {} (the first is {})", set.name,
                                  note.rows, reason, note.first));
    }
    for (const auto& [remark, note] : s.notes.remarks) {
      lines.push_back(fmt::format("{}: {} rows: {} (the first is {})", set.name, note.rows, remark,
                                  note.first));
    }
  }
  return lines;
}

std::vector<TokenId> read_eval_ids(const fs::path& file, std::int64_t max_tokens,
                                   const ModelText& model, std::int64_t vocabulary,
                                   const std::string& column) {
  if (max_tokens < 0) fail(ErrorKind::kUsage, "--max-tokens", "{}; expected 0 or more", max_tokens);
  const auto rows = open_rows(file, {column, UINT64_MAX / 4});
  const std::size_t limit = max_tokens == 0 ? SIZE_MAX : static_cast<std::size_t>(max_tokens);
  std::vector<TokenId> ids;
  std::string joined;
  bool any_text = false;
  std::vector<std::uint64_t> all(rows->count());
  std::iota(all.begin(), all.end(), std::uint64_t{0});
  rows->read(all, [&](std::uint64_t row, Json columns) {
    const std::string name = rows->name(row);
    Content content = content_of(std::move(columns), column, name);
    if (const auto* text = std::get_if<std::string>(&content)) {
      if (any_text) joined += "\n\n";
      joined += *text;
      any_text = true;
    } else if (const auto* chat = std::get_if<Chat>(&content)) {
      append_chat(*chat, name, model, vocabulary, ids);
    } else if (const auto* given = std::get_if<std::vector<TokenId>>(&content)) {
      check_ids(*given, vocabulary, name);
      ids.insert(ids.end(), given->begin(), given->end());
    }
    if (any_text && !ids.empty()) {
      fail(ErrorKind::kInput, name,
           "texts beside input_ids or chats in one file; expected one kind");
    }
    return ids.size() < limit;
  });
  if (any_text) {
    ids = encode_plain(joined, file.string(), model, vocabulary);
  }
  if (ids.size() > limit) ids.resize(limit);
  if (ids.empty()) fail(ErrorKind::kInput, file.string(), "no tokens; expected some text");
  return ids;
}

}  // namespace whit::data
