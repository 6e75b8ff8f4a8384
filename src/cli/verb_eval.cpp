#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/sample_flags.h"
#include "cli/serving_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "data/model_text.h"
#include "eval/evaluate.h"
#include "eval/text_windows.h"
#include "report/inspect.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace verb_eval {

struct Flags {
  std::string model, text, column, reference, bos = "once";
  data::TextFiles files;
  std::vector<std::string> tasks;
  eval::WindowArgs windows;
  ServingFlags serving;
};

report::Json to_json(const eval::EvalResult& result, const report::Inspection& inspection) {
  report::Json json{{"tokens", result.tokens}, {"windows", result.windows}};
  report::put_number(json, "nll_nats", result.nll_nats, "not finite");
  report::put_number(json, "nll_standard_error_nats", result.nll_standard_error_nats,
                     "fewer than two windows");
  report::put_number(json, "perplexity", result.perplexity, "not finite");
  json["bits_per_weight"] = inspection.bits_per_weight.value_or(0);
  if (result.comparison) {
    const auto& c = *result.comparison;
    report::put_number(json, "mean_kl_nats", c.mean_kl_nats, "not finite");
    report::put_number(json, "mean_kl_standard_error_nats", c.mean_kl_standard_error_nats,
                       "fewer than two windows");
    report::put_number(json, "p99_kl_nats", c.p99_kl_nats, "not finite");
    json["top1_agreement"] = c.top1_agreement;
    report::put_number(json, "reference_nll_nats", c.reference_nll_nats, "not finite");
    report::put_number(json, "reference_perplexity", c.reference_perplexity, "not finite");
  }
  json["seconds"] = result.seconds;
  return json;
}

std::string to_text(const eval::EvalResult& result, const report::Inspection& inspection) {
  std::string text = fmt::format(
      "perplexity            {:.4f}\nnll                   {:.6f} nats a token, standard error "
      "{:.6f}\n"
      "tokens                {} in {} windows\nbits per weight       {:.3f}\n",
      result.perplexity, result.nll_nats, result.nll_standard_error_nats, result.tokens,
      result.windows, inspection.bits_per_weight.value_or(0));
  if (!result.comparison) return text;
  const auto& c = *result.comparison;
  return text + fmt::format(
                    "reference perplexity  {:.4f}\nmean KL               {:.6f} nats, standard "
                    "error {:.6f}\n"
                    "99 % KL               {:.6f} nats\ntop-1 agreement       {:.2f} %\n",
                    c.reference_perplexity, c.mean_kl_nats, c.mean_kl_standard_error_nats,
                    c.p99_kl_nats, 100 * c.top1_agreement);
}

int run(Session& session, const Flags& flags) {
  if (!flags.tasks.empty())
    base::fail(base::ErrorKind::kUnsupported, "--tasks",
               "this version scores texts only; expected --text");
  if (flags.text.empty())
    base::fail(base::ErrorKind::kUsage, "--text", "missing; expected a file of text");
  eval::WindowArgs windows = flags.windows;
  windows.bos = eval::bos_mode(flags.bos);
  const auto model = runtime::open_model(session.model_folder(flags.model));
  const data::FolderText text(model.checkpoint.folder(), flags.files);
  const auto cut = eval::read_windows(model, text.view(), flags.text, flags.column, windows);

  auto& backend = session.backend();
  const auto weights = runtime::make_stored_weights(model.checkpoint, backend);
  const auto served = served_from(flags.serving, model);
  std::optional<runtime::OpenModel> original;
  std::unique_ptr<model::WeightSource> original_weights;
  std::optional<eval::EvalModel> reference;
  if (!flags.reference.empty()) {
    original.emplace(runtime::open_model(session.model_folder(flags.reference)));
    original_weights = runtime::make_stored_weights(original->checkpoint, backend);
    reference = eval::EvalModel{&original->spec, original_weights.get(), nullptr};
  }
  const auto result =
      eval::evaluate(backend, {&model.spec, weights.get(), served.serving.get()}, reference, cut,
                     {session.max_memory_bytes()}, session.events(), session.cancel());
  tell_served(session, served);
  const auto inspection = report::inspect(model.checkpoint);
  session.print(to_json(result, inspection), to_text(result, inspection));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("--text", flags->text,
                 "plain text, or rows (JSONL, CSV, Parquet, ...) with text, chats or input_ids")
      ->type_name("FILE");
  app.add_option("--column", flags->column, "field of the rows that holds the text")
      ->type_name("NAME");
  app.add_option("--window", flags->windows.window, "tokens scored together, without overlap")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--max-tokens", flags->windows.max_tokens, "only the first N tokens of the text")
      ->type_name("N");
  app.add_option("--bos", flags->bos, "a BOS token once, before each window, or never")
      ->type_name("once|window|never")
      ->capture_default_str();
  app.add_option("--reference", flags->reference, "the original: also KL and agreement with it")
      ->type_name("MODEL");
  declare_serving_flags(app, flags->serving);
  declare_text_files(app, flags->files);
  app.add_option("--tasks", flags->tasks)->group("");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_eval

Verb eval_verb() {
  return {"eval", "Perplexity; against the original: KL and agreement",
          "  whit eval demo/moe-15m --text demo/text/evaluation.txt --max-tokens 20000\n"
          "  whit eval out --text demo/text/evaluation.txt --reference demo/moe-15m\n"
          "  whit eval out --text wiki.txt --window 2048 --bos window --json\n",
          verb_eval::declare};
}

}  // namespace whit::cli
