#include "report/bench_calibrate.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <ctime>
#include <limits>

#include "formats/inc_config.h"
#include "pipeline/inc_layout.h"
#include "pipeline/measure.h"

namespace whit::report {

namespace {

// The best of several runs, on the wall's clock and the processor's: the latter bears company.
struct BestSeconds {
  double wall = std::numeric_limits<double>::infinity();
  double processor = std::numeric_limits<double>::infinity();

  void run(const pipeline::WatchedForward& forward, pipeline::MaximaObserver* observer) {
    const auto start = std::chrono::steady_clock::now();
    const std::clock_t ticks = std::clock();
    forward.run(observer, [](std::int64_t, std::int64_t) {});
    processor = std::min(processor, static_cast<double>(std::clock() - ticks) / CLOCKS_PER_SEC);
    wall = std::min(
        wall, std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count());
  }
};

}  // namespace

BenchTable bench_calibrate(compute::Backend& backend, const model::ModelSpec& spec,
                           model::WeightSource& weights, const ForwardBenchArgs& args,
                           int repeats) {
  formats::IncConfig config;
  config.mode = formats::IncMode::kMeasure;
  const pipeline::IncLayout layout(spec, false, config, "bench");
  const auto sequences = random_sequences(spec, args);
  BestSeconds bare, watched;
  for (int i = 0; i < repeats; ++i) {
    const auto store = model::make_memory_store(backend);
    const pipeline::WatchedForward forward{backend, spec, weights, *store, sequences};
    bare.run(forward, nullptr);
    pipeline::MaximaObserver observer(backend, layout.wanted());
    watched.run(forward, &observer);
  }
  const auto tokens = static_cast<double>(sequences.tokens());
  BenchTable table;
  table.title = fmt::format("measuring {}, {} sequences of {} tokens", spec.architecture,
                            args.sequences, args.length);
  table.machine = backend.name();
  table.rows.push_back({"bare forward", tokens, "tokens", bare.wall, bare.wall,
                        fmt::format("{:.3f} s of processor", bare.processor)});
  table.rows.push_back(
      {"measuring forward", tokens, "tokens", watched.wall, bare.wall,
       fmt::format("{:.3f} of the bare one; {:.3f} s of processor, {:.3f} of the bare one's",
                   watched.wall / bare.wall, watched.processor,
                   watched.processor / bare.processor)});
  return table;
}

}  // namespace whit::report
