#include "pipeline/calibration_sequences.h"

#include <fmt/format.h>

#include "data/model_text.h"

namespace whit::pipeline {

model::Sequences draw_sequences(const std::filesystem::path& folder,
                                const std::filesystem::path& dataset, const data::SampleArgs& args,
                                std::int64_t vocabulary, base::EventSink& events,
                                std::vector<std::string>& warnings) {
  const data::FolderText reading(folder, args.files);
  const auto samples = data::draw_samples(dataset, args, reading.view(), vocabulary);
  model::Sequences sequences;
  for (const auto& sequence : samples.sequences) sequences.append(sequence);
  const data::SampleSummary& rows = samples.summary;
  events.emit({"samples",
               {{"sequences", sequences.count()},
                {"tokens", sequences.tokens()},
                {"rows", rows.rows},
                {"rows_read", rows.rows_read},
                {"rows_used", rows.rows_used},
                {"rows_too_short", rows.rows_too_short},
                {"rows_too_long", rows.rows_cut},
                {"rows_without_content", rows.rows_empty}}});
  for (const auto& line : data::describe(samples)) events.emit({"note", {{"text", line}}});
  if (sequences.count() < args.samples)
    warnings.push_back(fmt::format("{}: {} sequences of the {} asked for; the text has no more",
                                   dataset.string(), sequences.count(), args.samples));
  return sequences;
}

}  // namespace whit::pipeline
