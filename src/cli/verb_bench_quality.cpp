#include <fmt/ranges.h>
#include <unistd.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <map>
#include <memory>
#include <set>

#include "base/error.h"
#include "base/file.h"
#include "cli/quality_rows.h"
#include "cli/quantize_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "data/dataset_spec.h"
#include "eval/text_windows.h"
#include "report/bench_quality.h"
#include "report/quality_html.h"

namespace whit::cli {

namespace verb_bench_quality {

namespace fs = std::filesystem;
using base::ErrorKind;

struct Flags {
  QuantizeFlags quantize;
  std::vector<std::string> rows{"rtn", "fast", "default", "best"}, texts;
  std::vector<int> bits{4};
  std::string bos = "once", html, work;
  eval::WindowArgs windows;
  bool keep = false;
};

// A folder for the rows' checkpoints; one that was made for the run goes with it.
class WorkFolder {
 public:
  explicit WorkFolder(const Flags& flags)
      : path_(flags.work.empty()
                  ? fs::temp_directory_path() / fmt::format("whit-quality-{}", ::getpid())
                  : fs::path(flags.work)),
        made_(!fs::exists(path_) && !flags.keep) {
    base::ensure_writable_directory(path_);
  }
  WorkFolder(const WorkFolder&) = delete;
  WorkFolder& operator=(const WorkFolder&) = delete;
  ~WorkFolder() {
    std::error_code ignored;
    if (made_) fs::remove(path_, ignored);  // only if it is empty
  }
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
  bool made_;
};

// The recipe that `whit quantize` makes of the shared flags and these.
pipeline::Recipe recipe_of(const Flags& flags, const QualityRow& row, int bits, Session& session) {
  QuantizeFlags quantize = flags.quantize;
  quantize.bits = bits;
  CLI::App app("", row.name);
  declare_method_flags(app, quantize);
  for (auto* option : app.get_options())
    option->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
  app.parse(std::vector<std::string>(row.flags.rbegin(), row.flags.rend()));
  // Plain rounding with a text would run it only to tell proxy errors.
  if (quantize.method == "rtn") quantize.calibration.clear();
  return recipe_from(quantize, session, Purpose::kRun);
}

std::vector<report::QualityJob> jobs_of(const Flags& flags, Session& session) {
  std::vector<report::QualityJob> jobs;
  for (const int bits : flags.bits)
    for (const auto& name : flags.rows) {
      const auto row = quality_row(name);
      report::QualityJob job{row.name, row.does, fmt::format("{}", fmt::join(row.flags, " ")),
                             recipe_of(flags, row, bits, session)};
      const auto same = [&](const auto& other) {
        return report::folder_of(other) == report::folder_of(job);
      };
      if (std::any_of(jobs.begin(), jobs.end(), same))
        base::fail(ErrorKind::kUsage, "--rows", "{} with {} bits twice; expected each once", name,
                   bits);
      jobs.push_back(std::move(job));
    }
  return jobs;
}

std::vector<report::QualityInput> read_texts(const Flags& flags, const fs::path& folder) {
  if (flags.texts.empty())
    base::fail(ErrorKind::kUsage, "--text", "missing; expected a file of text to score");
  auto windows = flags.windows;
  windows.bos = eval::bos_mode(flags.bos);
  const auto model = runtime::open_model(folder);
  const data::FolderText text(folder, flags.quantize.samples.args.files);
  std::map<std::string, int> stems;
  for (const auto& file : flags.texts) ++stems[fs::path(file).stem().string()];
  std::vector<report::QualityInput> texts;
  for (const auto& file : flags.texts) {
    const auto stem = fs::path(file).stem().string();
    const auto& column = flags.quantize.samples.args.column;
    texts.push_back({stems[stem] > 1 ? file : stem, file,
                     eval::read_windows(model, text.view(), file, column, windows)});
  }
  return texts;
}

void check_calibration(const Flags& flags, const Session& session) {
  const auto& dataset = flags.quantize.calibration;
  if (dataset.empty()) return;
  for (const auto& part : data::parse_dataset(dataset))
    data::find_dataset(part.name, session.hub_cache());
}

int exit_code(const report::QualityTable& table, const Session& session) {
  if (session.signal() != 0) return 128 + session.signal();
  for (const auto& row : table.rows)
    if (row.error) return static_cast<int>(row.error->kind());
  return 0;
}

int run(Session& session, const Flags& flags) {
  report::QualityArgs args;
  args.jobs = jobs_of(flags, session);
  check_calibration(flags, session);
  args.model = session.model_folder(flags.quantize.model);
  args.texts = read_texts(flags, args.model);
  args.baseline = kBaselineRow;
  args.keep = flags.keep;
  args.max_memory_bytes = session.max_memory_bytes();
  if (!flags.html.empty()) base::ensure_writable_directory(fs::absolute(flags.html).parent_path());
  const WorkFolder work(flags);
  args.work = work.path();

  auto table = report::bench_quality(session.backend(), args, session.events(), session.cancel());
  table.model = flags.quantize.model;
  table.calibration = flags.quantize.calibration;
  table.machine = fmt::format("{}, {} threads", session.backend().name(), session.threads());
  if (!flags.html.empty()) base::write_file_atomic(flags.html, report::to_html(table));
  session.print(report::to_json(table), report::to_text(table));
  return exit_code(table, session);
}

void declare_evaluation(CLI::App& app, Flags& flags) {
  app.add_option("--text", flags.texts,
                 "what rows are scored on: plain text, or JSONL with text or input_ids; repeatable")
      ->allow_extra_args(false)
      ->type_name("FILE");
  app.add_option("--window", flags.windows.window, "tokens scored together, without overlap")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--max-tokens", flags.windows.max_tokens, "only the first N tokens of each text")
      ->type_name("N");
  app.add_option("--bos", flags.bos, "a BOS token once, before each window, or never")
      ->type_name("once|window|never")
      ->capture_default_str();
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->quantize.model, "model folder or org/name[@revision]")->required();
  app.add_option("--rows", flags->rows, "what is compared; the names stand below")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("NAMES")
      ->capture_default_str();
  app.add_option("--bits", flags->bits, "bits of a code")
      ->delimiter(',')
      ->allow_extra_args(false)
      ->type_name("N,N")
      ->capture_default_str();
  declare_evaluation(app, *flags);
  declare_shared_flags(app, flags->quantize);
  app.add_option("--html", flags->html, "also a page with plots")->type_name("FILE");
  app.add_option("--work", flags->work,
                 "where rows' checkpoints are written; left out: a folder of its own in the "
                 "system's folder for temporary files")
      ->type_name("DIR");
  app.add_flag("--keep", flags->keep, "keep the checkpoints; else each goes once it is scored");
  return [flags](Session& session) { return run(session, *flags); };
}

const std::string& examples() {
  static const std::string kText =
      "  whit bench quality demo/moe-15m --calibration demo/text/calibration.jsonl\n"
      "      --text demo/text/evaluation.txt --max-tokens 32768 --html quality.html\n"
      "  whit bench quality MODEL --calibration rows.jsonl --text a.txt --text b.txt --bits 4,3\n"
      "      --rows rtn,fast,weighted,weighted+refit,teacher,best,best-descent --json\n\n" +
      quality_rows_help();
  return kText;
}

}  // namespace verb_bench_quality

Verb bench_quality_verb() {
  return {"bench quality", "What each way of quantizing a model loses, and what it costs",
          verb_bench_quality::examples(), verb_bench_quality::declare};
}

}  // namespace whit::cli
