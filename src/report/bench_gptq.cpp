#include "report/bench_gptq.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "quant/grid.h"
#include "stats/statistic.h"

namespace whit::report {

namespace {

double seconds_of(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

// Sums of three uniforms: close enough to normal, and quick.
std::vector<float> random_values(std::int64_t count, std::mt19937& engine) {
  std::vector<float> values(static_cast<std::size_t>(count));
  constexpr float kUnit = 0x1p-31F;
  for (float& v : values) {
    v = -3.0F;
    for (int i = 0; i < 3; ++i) v += static_cast<float>(engine()) * kUnit;
  }
  return values;
}

// Inputs that share a component, so that their Gram is not diagonal.
std::vector<float> random_inputs(std::int64_t rows, std::int64_t cols, std::mt19937& engine) {
  std::vector<float> x = random_values(rows * cols, engine);
  const std::vector<float> shared = random_values(rows, engine);
  for (std::size_t i = 0; i < x.size(); ++i) x[i] += shared[i / static_cast<std::size_t>(cols)];
  return x;
}

class GptqBench {
 public:
  GptqBench(compute::Backend& backend, const GptqBenchArgs& args)
      : backend_(backend), args_(args), gram_(backend, args.cols) {}

  BenchTable run() {
    const std::int64_t n = args_.rows;
    const std::int64_t k = args_.cols;
    const auto rows = static_cast<double>(n);
    const auto cols = static_cast<double>(k);
    table_.title =
        fmt::format("GPTQ of [{}, {}]: int{}, groups of {}, {} tokens, blocks of {}", n, k,
                    args_.grid.bits, args_.grid.group_size, args_.tokens, args_.block_size);
    table_.machine = backend_.name();
    add_flops("gram", static_cast<double>(args_.tokens) * cols * (cols + 1), build_gram());

    quant::Factor factor;
    const double factoring =
        least([&] { factor = quant::factor_gram(backend_, gram_, args_.factor); });
    add_flops("factor", cols * cols * cols / 3, factoring);

    const tensor::Tensor w =
        backend_.memory().upload(tensor::make_f32({n, k}, random_values(n * k, engine_)).view());
    add("scale search", kSearchTrials * rows * cols / kGiga, "Gtrial",
        least([&] { quant::fit_grid(backend_, w.matrix(), args_.grid); }), "weights x factors");

    compute::GridArgs absmax = args_.grid;
    absmax.search = compute::ScaleSearch::kAbsmax;
    const double sweep_flops = rows * cols * (cols - 1);
    add_flops("sweep", sweep_flops, least([&] { quantize(w, factor, absmax, nullptr); }),
              "with absmax scales and the permutations");
    const double whole = least([&] { quantize(w, factor, args_.grid, nullptr); });
    add_flops("gptq", sweep_flops, whole, "scale search and sweep");
    quant::WeightReport report;
    const double reported = least([&] { quantize(w, factor, args_.grid, &report); });
    add_flops(
        "gptq and its report", 3 * sweep_flops, reported,
        fmt::format("proxy error {:.3g}, rtn {:.3g}", report.proxy_error, report.proxy_error_rtn));
    add("rtn", kSearchTrials * rows * cols / kGiga, "Gtrial",
        least([&] { quant::rtn(backend_, w.matrix(), args_.grid); }), "");
    add_flops("step", cols * cols * cols / 3 + sweep_flops, factoring + whole, "factor and gptq");
    return std::move(table_);
  }

 private:
  double build_gram() {
    const std::int64_t chunk = backend_.tile_tokens();
    double seconds = 0;
    for (std::int64_t t = 0; t < args_.tokens; t += chunk) {
      const std::int64_t rows = std::min(chunk, args_.tokens - t);
      const tensor::Tensor x = backend_.memory().upload(
          tensor::make_f32({rows, args_.cols}, random_inputs(rows, args_.cols, engine_)).view());
      seconds += seconds_of([&] {
        gram_.observe(x.matrix());
        static_cast<void>(backend_.linalg().diagonal(gram_.sum()));  // waits for the device
      });
    }
    gram_.freeze();
    return seconds;
  }

  void quantize(const tensor::Tensor& w, const quant::Factor& factor, const compute::GridArgs& grid,
                quant::WeightReport* report) {
    const auto q = quant::gptq(backend_, w.matrix(), gram_, factor, grid, args_.block_size, report);
    backend_.memory().download(q.scales.view());  // waits for the device
  }

  double least(const std::function<void()>& work) const {
    double best = seconds_of(work);
    for (int i = 1; i < args_.repeats; ++i) best = std::min(best, seconds_of(work));
    return best;
  }

  void add(const std::string& name, double work, const std::string& unit, double seconds,
           const std::string& note) {
    BenchRow row;
    row.name = name;
    row.work = work;
    row.unit = unit;
    row.seconds = seconds;
    row.note = note;
    table_.rows.push_back(std::move(row));
  }

  void add_flops(const std::string& name, double flops, double seconds,
                 const std::string& note = "") {
    add(name, flops / kGiga, "GFLOP", seconds, note);
    table_.rows.back().floor_seconds = flops / args_.peak_flops;
  }

  compute::Backend& backend_;
  GptqBenchArgs args_;
  stats::Gram gram_;
  std::mt19937 engine_{1};
  BenchTable table_;
};

}  // namespace

BenchTable bench_gptq(compute::Backend& backend, const GptqBenchArgs& args) {
  return GptqBench(backend, args).run();
}

}  // namespace whit::report
