#include "report/bench_compute.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <functional>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"

namespace whit::report {

namespace {

using compute::ConstMatrixView;
using compute::MatrixView;
using compute::Transpose;
using tensor::Dtype;
using tensor::Tensor;

class ComputeBench {
 public:
  ComputeBench(compute::Backend& backend, const ComputeBenchArgs& args)
      : backend_(backend), args_(args) {}

  BenchTable run() {
    table_.title =
        fmt::format("compute: N {}, K {}, {} tokens", args_.rows, args_.cols, args_.tokens);
    table_.machine = fmt::format("{}; peak {:.1f} GFLOP/s, memory {:.1f} GB/s", backend_.name(),
                                 args_.limits.flops / kGiga, args_.limits.bytes_per_second / kGiga);
    const Tensor x = random_matrix(args_.tokens, args_.cols);
    const Tensor w = random_matrix(args_.rows, args_.cols);
    measure_linear(x, w);
    Tensor gram = backend_.memory().allocate({args_.cols, args_.cols}, Dtype::kF32);
    measure_gram(x, gram);
    measure_quadratic(w, gram);
    measure_factor(gram);
    measure_quantization(w, gram);
    measure_neural();
    return std::move(table_);
  }

 private:
  static constexpr std::int64_t kRowsDrawn = 8192;  // longer matrices repeat some of them

  Tensor random_matrix(std::int64_t rows, std::int64_t cols) {
    const std::int64_t drawn = std::min(rows, kRowsDrawn);
    std::vector<float> values(static_cast<std::size_t>(drawn * cols));
    for (float& v : values) {
      v = -3.0F;
      for (int i = 0; i < 3; ++i) v += static_cast<float>(engine_()) * 0x1p-31F;
    }
    Tensor some = backend_.memory().upload(tensor::make_f32({drawn, cols}, values).view());
    if (drawn == rows) return some;
    std::vector<std::int32_t> choice(static_cast<std::size_t>(rows));
    for (auto& row : choice) row = static_cast<std::int32_t>(engine_() % kRowsDrawn);
    Tensor all = backend_.memory().allocate({rows, cols}, Dtype::kF32);
    backend_.neural().gather_rows(some.matrix(), choice, all.matrix());
    return all;
  }

  // `work` ends with something on the host, so that a device has finished.
  double least(const std::function<void()>& work) const {
    double best = 0;
    for (int i = 0; i < std::max(args_.repeats, 1); ++i) {
      const auto begin = std::chrono::steady_clock::now();
      work();
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      best = i == 0 ? seconds : std::min(best, seconds);
    }
    return best;
  }

  void wait_for(ConstMatrixView m) const {
    if (m.rows > 0 && m.cols > 0) static_cast<void>(backend_.linalg().diagonal(m.sub(0, 1, 0, 1)));
  }

  void add_row(std::string name, double work, std::string unit, double floor, double seconds) {
    BenchRow row;
    row.name = std::move(name);
    row.work = work / kGiga;
    row.unit = std::move(unit);
    row.floor_seconds = floor;
    row.seconds = seconds;
    table_.rows.push_back(std::move(row));
  }
  void add_flops(std::string name, double flops, double seconds) {
    add_row(std::move(name), flops, "GFLOP", flops / args_.limits.flops, seconds);
  }

  void measure_linear(const Tensor& x, const Tensor& w) {
    Tensor y = backend_.memory().allocate({args_.tokens, args_.rows}, Dtype::kF32);
    const double seconds = least([&] {
      backend_.linalg().linear(x.matrix(), w.matrix(), nullptr, y.matrix());
      wait_for(y.matrix());
    });
    add_flops("linear", 2.0 * product(args_.tokens, args_.rows, args_.cols), seconds);
  }

  void measure_gram(const Tensor& x, Tensor& gram) {
    const double seconds = least([&] {
      backend_.linalg().gram(x.matrix(), {}, gram.matrix());
      wait_for(gram.matrix());
    });
    add_flops("gram", product(args_.tokens, args_.cols, args_.cols + 1), seconds);
  }

  void measure_quadratic(const Tensor& w, const Tensor& gram) {
    const double seconds = least(
        [&] { static_cast<void>(backend_.linalg().quadratic_form(w.matrix(), gram.matrix())); });
    add_flops("quadratic form", product(args_.rows, args_.cols, args_.cols + 1), seconds);
  }

  // Leaves U where the Gram was.
  void measure_factor(Tensor& gram) {
    const std::vector<double> ridge(static_cast<std::size_t>(args_.cols),
                                    0.1 * static_cast<double>(args_.tokens));
    backend_.linalg().add_to_diagonal(gram.matrix(), ridge);
    Tensor h = backend_.memory().allocate({args_.cols, args_.cols}, Dtype::kF32);
    backend_.memory().copy(gram.matrix(), h.matrix());
    double best = 0;
    for (int i = 0; i < std::max(args_.repeats, 1); ++i) {
      backend_.memory().copy(h.matrix(), gram.matrix());
      const auto begin = std::chrono::steady_clock::now();
      const bool factored = backend_.solve().factor_udu(gram.matrix()).has_value();
      const double seconds =
          std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
      base::check(factored, "bench: a ridged Gram is positive definite");
      best = i == 0 ? seconds : std::min(best, seconds);
    }
    add_flops("factor", product(args_.cols, args_.cols, args_.cols) / 3, best);
  }

  void measure_quantization(const Tensor& w, const Tensor& u) {
    const std::int64_t groups = args_.cols / args_.grid.group_size;
    Tensor scales = backend_.memory().allocate({args_.rows, groups}, Dtype::kF32);
    Tensor zeros = args_.grid.symmetric
                       ? Tensor()
                       : backend_.memory().allocate({args_.rows, groups}, Dtype::kF32);
    const MatrixView zero_view = args_.grid.symmetric ? MatrixView{} : zeros.matrix();
    const double search = least([&] {
      backend_.codec().fit_scales(w.matrix(), args_.grid, {}, scales.matrix(), zero_view);
      wait_for(scales.matrix());
    });
    add_row("scale search", kSearchTrials * product(args_.rows, args_.cols, 1), "Gtrial",
            std::numeric_limits<double>::quiet_NaN(), search);
    const double sweep = least([&] { sweep_all(w, u, scales.matrix(), zero_view); });
    add_flops("sweep", product(args_.rows, args_.cols, args_.cols - 1), sweep);
  }

  void sweep_all(const Tensor& w, const Tensor& u, ConstMatrixView scales, ConstMatrixView zeros) {
    Tensor target = backend_.memory().allocate({args_.rows, args_.cols}, Dtype::kF32);
    backend_.memory().copy(w.matrix(), target.matrix());
    Tensor error = backend_.memory().allocate({args_.rows, args_.cols}, Dtype::kF32);
    Tensor codes = backend_.memory().allocate({args_.rows, args_.cols}, Dtype::kI8);
    for (std::int64_t k = 0; k < args_.cols; k += args_.block_size) {
      const std::int64_t width = std::min(args_.block_size, args_.cols - k);
      const MatrixView t = target.matrix().sub(0, args_.rows, k, width);
      if (k > 0)
        backend_.linalg().gemm(1.0F, error.matrix().sub(0, args_.rows, 0, k), Transpose::kNo,
                               u.matrix().sub(0, k, k, width), Transpose::kNo, 1.0F, t);
      std::vector<std::int32_t> groups(static_cast<std::size_t>(width));
      for (std::int64_t i = 0; i < width; ++i)
        groups[static_cast<std::size_t>(i)] =
            static_cast<std::int32_t>((k + i) / args_.grid.group_size);
      compute::SweepArgs sweep;
      sweep.bits = args_.grid.bits;
      sweep.u = u.matrix().sub(k, width, k, width);
      sweep.scales = scales;
      sweep.zeros = zeros;
      sweep.column_group = groups;
      backend_.codec().sweep_block(sweep, w.matrix().sub(0, args_.rows, k, width), t,
                                   codes.matrix().sub(0, args_.rows, k, width),
                                   error.matrix().sub(0, args_.rows, k, width));
    }
    wait_for(error.matrix());
  }

  void measure_neural() {
    constexpr std::int64_t kHeads = 16;
    constexpr std::int64_t kDim = 64;
    const Tensor qkv = random_matrix(args_.tokens, 3 * kHeads * kDim);
    Tensor out = backend_.memory().allocate({args_.tokens, kHeads * kDim}, Dtype::kF32);
    compute::AttentionArgs attention;
    attention.heads = attention.kv_heads = kHeads;
    attention.q = {qkv.matrix(), 0, kDim, kDim};
    attention.k = {qkv.matrix(), kHeads * kDim, kDim, kDim};
    attention.v = {qkv.matrix(), 2 * kHeads * kDim, kDim, kDim};
    attention.scale = 0.125F;
    const double attending = least([&] {
      backend_.neural().attention(attention, out.matrix());
      wait_for(out.matrix());
    });
    add_flops("attention", 2.0 * product(args_.tokens, args_.tokens + 1, kHeads * kDim), attending);

    const Tensor gate = random_matrix(args_.tokens, args_.cols);
    Tensor mid = backend_.memory().allocate({args_.tokens, args_.cols}, Dtype::kF32);
    const double gating = least([&] {
      backend_.neural().activate(compute::Activation::kSilu, gate.matrix(), gate.matrix(),
                                 mid.matrix());
      wait_for(mid.matrix());
    });
    const double bytes = 2.0 * sizeof(float) * product(args_.tokens, args_.cols, 1);
    add_row("silu_mul", bytes, "GB", bytes / args_.limits.bytes_per_second, gating);
  }

  static double product(std::int64_t a, std::int64_t b, std::int64_t c) {
    return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
  }

  compute::Backend& backend_;
  ComputeBenchArgs args_;
  std::mt19937 engine_{1};
  BenchTable table_;
};

}  // namespace

BenchTable bench_compute(compute::Backend& backend, const ComputeBenchArgs& args) {
  if (args.grid.group_size < 1 || args.cols % args.grid.group_size != 0)
    base::fail(base::ErrorKind::kUsage, "--group-size", "{} does not divide K = {}",
               args.grid.group_size, args.cols);
  return ComputeBench(backend, args).run();
}

}  // namespace whit::report
