#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "report/bench_forward.h"
#include "report/bench_gptq.h"
#include "report/peak.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace {

struct Flags {
  std::string what, model = "demo/moe-15m";
  report::GptqBenchArgs gptq;
  report::ForwardBenchArgs forward;
};

report::BenchTable bench(Session& session, Flags& flags) {
  auto& backend = session.backend();
  if (flags.what == "gptq") {
    flags.gptq.peak_flops = report::measure_gemm_peak(backend);
    return report::bench_gptq(backend, flags.gptq);
  }
  if (flags.what == "forward") {
    const auto model = runtime::open_model(session.model_folder(flags.model));
    const auto weights = runtime::make_stored_weights(model.checkpoint, backend);
    flags.forward.peak_flops = report::measure_gemm_peak(backend);
    return report::bench_forward(backend, model.spec, *weights, flags.forward);
  }
  base::fail(base::ErrorKind::kUsage, "WHAT", "{}; expected gptq or forward", flags.what);
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  const CLI::Range positive(std::int64_t{1}, std::int64_t{1} << 31);
  app.add_option("WHAT", flags->what, "gptq or forward")->required();
  app.add_option("--model", flags->model, "forward: whose")
      ->type_name("MODEL")
      ->capture_default_str();
  app.add_option("--rows", flags->gptq.rows, "gptq: outputs of the weight")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--cols", flags->gptq.cols, "gptq: inputs of the weight")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--tokens", flags->gptq.tokens, "gptq: rows of the Gram's input")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--sequences", flags->forward.sequences, "forward: how many")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--length", flags->forward.length, "forward: tokens of each")
      ->check(positive)
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--repeats", flags->gptq.repeats, "gptq: the best of N runs counts")
      ->check(CLI::Range(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  return [flags](Session& session) {
    const auto table = bench(session, *flags);
    session.print(report::to_json(table), report::to_text(table));
    return 0;
  };
}

}  // namespace

Verb bench_verb() {
  return {"bench", "Work, floor at the machine's measured limit, measured, share",
          "  whit bench gptq\n"
          "  whit bench gptq --rows 7168 --cols 2048 --repeats 3\n"
          "  whit bench forward --model demo/moe-15m --json\n",
          declare};
}

}  // namespace whit::cli
