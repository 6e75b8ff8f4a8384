#include <CLI/CLI.hpp>
#include <memory>
#include <optional>

#include "base/error.h"
#include "base/file.h"
#include "cli/quantize_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "report/bench_calibrate.h"
#include "report/bench_compute.h"
#include "report/bench_forward.h"
#include "report/bench_gptq.h"
#include "report/bench_kmeans.h"
#include "report/bench_layer.h"
#include "report/bench_tokenize.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace verb_bench {

struct Flags {
  std::string what, model = "demo/moe-15m", text = "demo/text/evaluation.txt";
  std::int64_t rows = 2048, cols = 7168, tokens = 8192;
  int repeats = 1;
  report::ForwardBenchArgs forward;
  report::KMeansBenchArgs kmeans;
  std::string data;
  std::string arch = "deepseek_v3", layer = "moe", quality = "fast", hidden_states = "f32";
  std::string folder;
  std::int64_t experts = 0;
  bool whole = false;
};

report::BenchTable bench_gptq(Session& session, const Flags& flags) {
  report::GptqBenchArgs args;
  args.rows = flags.rows;
  args.cols = flags.cols;
  args.tokens = flags.tokens;
  args.repeats = flags.repeats;
  args.block_size = session.backend().sweep_columns();
  args.peak_flops = session.backend().measure_limits().flops;
  return report::bench_gptq(session.backend(), args);
}

report::BenchTable bench_compute(Session& session, const Flags& flags) {
  report::ComputeBenchArgs args;
  args.rows = flags.rows;
  args.cols = flags.cols;
  args.tokens = flags.tokens;
  args.repeats = flags.repeats;
  args.block_size = session.backend().sweep_columns();
  args.limits = session.backend().measure_limits();
  return report::bench_compute(session.backend(), args);
}

report::BenchTable bench_forward(Session& session, const Flags& flags) {
  const auto model = runtime::open_model(session.model_folder(flags.model));
  auto& backend = session.backend();
  const auto weights = runtime::make_stored_weights(model.checkpoint, backend);
  report::ForwardBenchArgs args = flags.forward;
  args.peak_flops = session.backend().measure_limits().flops;
  return report::bench_forward(backend, model.spec, *weights, args);
}

report::BenchTable bench_calibrate(Session& session, const Flags& flags) {
  const auto model = runtime::open_model(session.model_folder(flags.model));
  auto& backend = session.backend();
  const auto weights = runtime::make_stored_weights(model.checkpoint, backend);
  return report::bench_calibrate(backend, model.spec, *weights, flags.forward, flags.repeats);
}

report::BenchTable bench_layer(Session& session, const Flags& flags) {
  report::LayerBenchArgs args;
  args.arch = flags.arch;
  if (flags.layer != "moe" && flags.layer != "dense")
    base::fail(base::ErrorKind::kUsage, "--layer", "{}; expected moe or dense", flags.layer);
  args.dense = flags.layer == "dense";
  args.experts = flags.experts;
  args.metered = !flags.whole;
  args.tokens = flags.tokens;
  args.length = flags.forward.length;
  args.folder = flags.folder.empty() ? std::filesystem::temp_directory_path() / "whit-bench-layer"
                                     : std::filesystem::path(flags.folder);
  args.recipe.refinement = pipeline::refinement_of(quality_of(flags.quality));
  auto& backend = session.backend();
  args.recipe.hidden_states = hidden_states_of(flags.hidden_states);
  fit_to_machine(session, std::nullopt, args.recipe);
  args.limits = backend.measure_limits();
  return report::bench_layer(backend, args, session.events(), session.cancel());
}

report::BenchTable bench(Session& session, const Flags& flags) {
  if (flags.what == "layer") return bench_layer(session, flags);
  if (flags.what == "gptq") return bench_gptq(session, flags);
  if (flags.what == "compute") return bench_compute(session, flags);
  if (flags.what == "forward") return bench_forward(session, flags);
  if (flags.what == "calibrate") return bench_calibrate(session, flags);
  if (flags.what == "kmeans") {
    report::KMeansBenchArgs args = flags.kmeans;
    args.data = flags.data;
    return report::bench_kmeans(session.backend(), args);
  }
  if (flags.what == "tokenize") {
    const auto tokenizer = text::load_tokenizer(session.model_folder(flags.model));
    return report::bench_tokenize(*tokenizer, base::read_text_file(flags.text), flags.repeats);
  }
  base::fail(base::ErrorKind::kUsage, "WHAT",
             "{}; expected gptq, compute, layer, forward, calibrate, kmeans, tokenize or quality",
             flags.what);
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  const auto whole = [&](const char* name, std::int64_t& value, const char* text) {
    app.add_option(name, value, text)
        ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 31))
        ->type_name("N")
        ->capture_default_str();
  };
  app.add_option("WHAT", flags->what,
                 "gptq, compute, layer, forward, calibrate, kmeans or tokenize; quality has a help "
                 "of its own")
      ->required();
  app.add_option("--model", flags->model, "forward, calibrate, tokenize: whose")
      ->type_name("MODEL")
      ->capture_default_str();
  app.add_option("--text", flags->text, "tokenize: what")->type_name("FILE")->capture_default_str();
  whole("--rows", flags->rows, "gptq, compute: outputs of the weight");
  whole("--cols", flags->cols, "gptq, compute: inputs of the weight");
  whole("--tokens", flags->tokens, "gptq, compute, layer: rows of the hidden state");
  whole("--sequences", flags->forward.sequences, "forward, calibrate: how many");
  whole("--length", flags->forward.length, "forward, calibrate, layer: tokens of each");
  whole("--vectors", flags->kmeans.vectors, "kmeans: how many");
  whole("--vector-length", flags->kmeans.length, "kmeans: their entries");
  whole("--centroids", flags->kmeans.centroids, "kmeans: how many");
  whole("--passes", flags->kmeans.passes, "kmeans: assignments");
  app.add_option("--data", flags->data, "kmeans: fp32 vectors, one after the other")
      ->type_name("FILE");
  app.add_option("--arch", flags->arch, "layer: deepseek_v3, llama3_8b or qwen3_30b_a3b")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--layer", flags->layer, "layer: moe, or a mixture's dense one")
      ->type_name("moe|dense")
      ->capture_default_str();
  app.add_option("--experts", flags->experts, "layer: fewer than the model has; 0: all")
      ->check(CLI::Range(0, 4096))
      ->type_name("N");
  app.add_flag("--whole", flags->whole,
               "layer: its time alone; measuring every function makes a GPU wait");
  app.add_option("--quality", flags->quality, "layer: fast, default or best")
      ->type_name("NAME")
      ->capture_default_str();
  app.add_option("--hidden-states", flags->hidden_states, "layer: how they are kept")
      ->type_name("f32|bf16")
      ->capture_default_str();
  app.add_option("--folder", flags->folder,
                 "layer: where the checkpoint is generated (kept) and quantized; left out: a "
                 "temporary folder")
      ->type_name("FOLDER");
  app.add_option("--repeats", flags->repeats, "the best of N runs counts")
      ->check(CLI::Range(1, 1000))
      ->type_name("N")
      ->capture_default_str();
  return [flags](Session& session) {
    const auto table = bench(session, *flags);
    session.print(report::to_json(table), report::to_text(table));
    return 0;
  };
}

}  // namespace verb_bench

Verb bench_verb() {
  return {
      "bench", "Work, floor at the machine's measured limit, measured, share",
      "  whit bench gptq\n"
      "  whit bench gptq --rows 7168 --cols 2048 --repeats 3\n"
      "  whit bench layer --arch deepseek_v3 --tokens 65536 --device cuda --gpu-precision bf16\n"
      "  whit bench layer --arch llama3_8b --tokens 4096 --length 512\n"
      "  whit bench forward --model demo/moe-15m --json\n"
      "  whit bench calibrate --sequences 16 --length 512 --repeats 5\n"
      "  whit bench tokenize --model demo/moe-15m --text demo/text/evaluation.txt\n"
      "  whit bench kmeans --vectors 1000000 --centroids 65536 --passes 4\n"
      "  whit bench quality --help\n",
      verb_bench::declare};
}

}  // namespace whit::cli
