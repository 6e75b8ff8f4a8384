#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <numeric>

#include "cli/sample_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "data/content.h"
#include "data/dataset_spec.h"
#include "data/rows.h"
#include "data/samples.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace verb_rows {

struct Flags {
  std::string dataset, model;
  std::uint64_t limit = 0;
  SampleFlags samples;
};

// {"row": NAME, and one of "input_ids", "text", "messages", "skipped"}
report::Json to_json(const data::Content& content, const std::string& name) {
  report::Json json{{"row", name}};
  if (const auto* ids = std::get_if<std::vector<text::TokenId>>(&content)) json["input_ids"] = *ids;
  if (const auto* text = std::get_if<std::string>(&content)) json["text"] = *text;
  if (const auto* chat = std::get_if<data::Chat>(&content)) json["messages"] = chat->messages;
  if (const auto* nothing = std::get_if<data::NoContent>(&content))
    json["skipped"] = nothing->reason;
  return json;
}

// What was read of one set: under --json kept, else printed row by row.
report::Json read_set(Session& session, const Flags& flags, const data::DatasetPart& part) {
  const auto path = data::find_dataset(part.name, session.hub_cache());
  data::RowArgs args;
  args.column = flags.samples.args.column;
  const auto source = data::open_rows(path, args);
  report::Json set{{"name", part.name},
                   {"share", part.share},
                   {"path", path.string()},
                   {"format", source->format()},
                   {"rows", source->count()}};
  for (const auto& file : source->files()) set["files"].push_back(file.string());
  const std::uint64_t count =
      flags.limit == 0 ? source->count() : std::min(flags.limit, source->count());
  std::vector<std::uint64_t> wanted(static_cast<std::size_t>(count));
  std::iota(wanted.begin(), wanted.end(), std::uint64_t{0});
  report::Json contents = report::Json::array();
  source->read(wanted, [&](std::uint64_t row, data::Json columns) {
    session.cancel().throw_if_cancelled();
    if (row == 0) {
      set["columns"] = report::Json::array();
      for (const auto& column : columns.items()) set["columns"].push_back(column.key());
    }
    const std::string name = source->name(row);
    auto json = to_json(data::content_of(std::move(columns), args.column, name), name);
    if (session.flags().json)
      contents.push_back(std::move(json));
    else
      session.stream(report::dump(json, -1) + "\n");
    return true;
  });
  set["contents"] = std::move(contents);
  return set;
}

report::Json to_json(const data::SetSummary& set) {
  const data::SampleSummary& rows = set.summary;
  report::Json json{{"name", set.name},
                    {"path", set.path.string()},
                    {"format", set.format},
                    {"files", set.files},
                    {"samples", set.samples},
                    {"samples_missing", rows.samples_missing},
                    {"tokens", rows.tokens},
                    {"rows", rows.rows},
                    {"rows_read", rows.rows_read},
                    {"rows_used", rows.rows_used},
                    {"rows_too_short", rows.rows_too_short},
                    {"rows_too_long", rows.rows_cut},
                    {"rows_without_content", rows.rows_empty}};
  json["skipped"] = report::Json::array();
  for (const auto& [reason, note] : rows.notes.skipped)
    json["skipped"].push_back({{"reason", reason}, {"rows", note.rows}, {"first", note.first}});
  return json;
}

// The sequences that calibration would take, as rows of input_ids.
int run_samples(Session& session, const Flags& flags) {
  const auto model = runtime::open_model(session.model_folder(flags.model));
  const auto args = samples_from(flags.samples, session);
  const data::FolderText text(model.checkpoint.folder(), args.files);
  const auto samples = data::draw_samples(flags.dataset, args, text.view(), model.spec.vocabulary);
  for (const auto& line : data::describe(samples))
    session.events().emit({"note", {{"text", line}}});
  report::Json sets = report::Json::array();
  for (const auto& set : samples.sets) sets.push_back(to_json(set));
  if (session.flags().json) {
    session.stream(report::dump({{"sets", std::move(sets)}, {"sequences", samples.sequences}}) +
                   "\n");
    return 0;
  }
  for (const auto& sequence : samples.sequences)
    session.stream(report::dump({{"input_ids", sequence}}, -1) + "\n");
  return 0;
}

int run(Session& session, const Flags& flags) {
  if (!flags.model.empty()) return run_samples(session, flags);
  report::Json sets = report::Json::array();
  for (const auto& part : data::parse_dataset(flags.dataset))
    sets.push_back(read_set(session, flags, part));
  if (session.flags().json) session.stream(report::dump({{"sets", std::move(sets)}}) + "\n");
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("DATASET", flags->dataset, kDatasetHelp)->required();
  app.add_option("--limit", flags->limit, "only the first N rows of each set")->type_name("N");
  app.add_option("--model", flags->model,
                 "draw what calibrating this model would take, as rows of input_ids")
      ->type_name("MODEL");
  declare_sample_flags(app, flags->samples);
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_rows

Verb rows_verb() {
  return {"rows", "Rows of a dataset, as calibration reads them",
          "  whit rows demo/text/calibration.jsonl --limit 2\n"
          "  whit rows prompts.pkl > prompts.jsonl\n"
          "  whit rows a.jsonl:0.7,b.parquet:0.3 --model demo/moe-15m --seed 1 > samples.jsonl\n"
          "  whit rows open-platypus --limit 3 --json\n",
          verb_rows::declare};
}

}  // namespace whit::cli
