#include "report/metered_backend.h"

#include <algorithm>
#include <utility>

namespace whit::report {

using compute::AttentionArgs;
using compute::Backend;
using compute::ConstMatrixView;
using compute::MatrixView;
using compute::Transpose;
using tensor::Tensor;
using tensor::TensorView;

namespace {

double times(std::int64_t a, std::int64_t b, std::int64_t c = 1) {
  return static_cast<double>(a) * static_cast<double>(b) * static_cast<double>(c);
}

double bytes_of(ConstMatrixView m) {
  return times(m.rows, m.cols) * static_cast<double>(numeric::bits_of(m.dtype)) / 8;
}

double bytes_of(const TensorView& t) {
  return static_cast<double>(t.bytes());
}

// Scores and values of the keys that each query sees.
double attention_flops(const AttentionArgs& args) {
  const std::int64_t queries = args.q.data.rows;
  double seen = 0;
  for (std::int64_t i = 0; i < queries; ++i) {
    const std::int64_t keys = args.k.data.rows - queries + i + 1;
    seen += static_cast<double>(args.window > 0 ? std::min(keys, args.window) : keys);
  }
  return 2 * seen * times(args.heads, args.q.dim + args.v.dim);
}

class MeteredMemory final : public compute::Memory {
 public:
  MeteredMemory(Backend& inner, Meter& meter) : inner_(inner), meter_(meter) {}
  Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) override {
    const auto bytes = static_cast<double>(tensor::byte_size(shape, dtype));
    return meter_.run(inner_, "allocate", 0, bytes,
                      [&] { return inner_.memory().allocate(std::move(shape), dtype); });
  }
  Tensor upload(const TensorView& host) override {
    return meter_.run(inner_, "upload", 0, bytes_of(host),
                      [&] { return inner_.memory().upload(host); });
  }
  Tensor download(const TensorView& device) override {
    return meter_.run(inner_, "download", 0, bytes_of(device),
                      [&] { return inner_.memory().download(device); });
  }
  std::function<Tensor()> download_later(std::shared_ptr<const Tensor> device) override {
    return inner_.memory().download_later(std::move(device));
  }
  void copy(ConstMatrixView from, MatrixView to) override {
    meter_.run(inner_, "copy", 0, 2 * bytes_of(to), [&] { inner_.memory().copy(from, to); });
  }
  void fill(MatrixView out, float value) override {
    meter_.run(inner_, "fill", 0, bytes_of(out), [&] { inner_.memory().fill(out, value); });
  }
  std::uint64_t available() const override { return inner_.memory().available(); }
  std::uint64_t peak() const override { return inner_.memory().peak(); }

 private:
  Backend& inner_;
  Meter& meter_;
};

class MeteredLinalg final : public compute::Linalg {
 public:
  MeteredLinalg(Backend& inner, Meter& meter) : inner_(inner), meter_(meter) {}
  void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
            float beta, MatrixView c) override {
    const std::int64_t depth = ta == Transpose::kYes ? a.rows : a.cols;
    meter_.run(inner_, "gemm", 2 * times(c.rows, c.cols, depth),
               bytes_of(a) + bytes_of(b) + bytes_of(c),
               [&] { inner_.linalg().gemm(alpha, a, ta, b, tb, beta, c); });
  }
  void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) override {
    meter_.run(inner_, "linear", 2 * times(x.rows, x.cols, w.rows),
               bytes_of(x) + bytes_of(w) + bytes_of(y),
               [&] { inner_.linalg().linear(x, w, bias, y); });
  }
  void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) override {
    meter_.run(inner_, "gram", times(x.rows, x.cols, x.cols + 1), bytes_of(x) + 2 * bytes_of(g),
               [&] { inner_.linalg().gram(x, row_weights, g); });
  }
  void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
               std::span<const std::int32_t> cols, MatrixView out) override {
    meter_.run(inner_, "permute", 0, 2 * bytes_of(out),
               [&] { inner_.linalg().permute(in, rows, cols, out); });
  }
  std::vector<double> diagonal(ConstMatrixView square) override {
    return meter_.run(inner_, "diagonal", 0, times(square.rows, 4),
                      [&] { return inner_.linalg().diagonal(square); });
  }
  void add_to_diagonal(MatrixView a, std::span<const double> values) override {
    meter_.run(inner_, "diagonal", 0, times(a.rows, 8),
               [&] { inner_.linalg().add_to_diagonal(a, values); });
  }
  void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) override {
    meter_.run(inner_, "scale_add", 0, 3 * bytes_of(b),
               [&] { inner_.linalg().scale_add(alpha, a, beta, b); });
  }
  std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) override {
    return meter_.run(inner_, "quadratic_form", times(d.rows, h.rows, h.rows + 1),
                      bytes_of(d) + bytes_of(h),
                      [&] { return inner_.linalg().quadratic_form(d, h); });
  }
  std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b, std::int64_t width) override {
    return meter_.run(inner_, "row_dots", 0, bytes_of(a) + bytes_of(b),
                      [&] { return inner_.linalg().row_dots(a, b, width); });
  }
  void column_max_abs(ConstMatrixView x, MatrixView most) override {
    meter_.run(inner_, "column_max_abs", 0, bytes_of(x),
               [&] { inner_.linalg().column_max_abs(x, most); });
  }
  void row_max_abs(ConstMatrixView x, MatrixView most) override {
    meter_.run(inner_, "row_max_abs", 0, bytes_of(x),
               [&] { inner_.linalg().row_max_abs(x, most); });
  }

 private:
  Backend& inner_;
  Meter& meter_;
};

class MeteredNeural final : public compute::Neural {
 public:
  MeteredNeural(Backend& inner, Meter& meter) : inner_(inner), meter_(meter) {}
  void embed(const TensorView& table, std::span<const std::int32_t> ids, MatrixView out) override {
    meter_.run(inner_, "embed", 0, 2 * bytes_of(out),
               [&] { inner_.neural().embed(table, ids, out); });
  }
  void norm(ConstMatrixView x, const compute::NormArgs& args, MatrixView out) override {
    meter_.run(inner_, "norm", 0, 2 * bytes_of(x), [&] { inner_.neural().norm(x, args, out); });
  }
  void rope(MatrixView x, std::int64_t heads, std::int64_t first_col, std::int64_t head_stride,
            ConstMatrixView cos_sin, bool interleaved,
            std::span<const std::int32_t> positions) override {
    meter_.run(inner_, "rope", 0, 8 * times(x.rows, heads, cos_sin.cols), [&] {
      inner_.neural().rope(x, heads, first_col, head_stride, cos_sin, interleaved, positions);
    });
  }
  void attention(const AttentionArgs& args, MatrixView out) override {
    const double bytes = 4 * (times(args.q.data.rows, args.heads, args.q.dim) +
                              times(args.k.data.rows, args.kv_heads, args.k.dim + args.v.dim));
    meter_.run(inner_, "attention", attention_flops(args), bytes + bytes_of(out),
               [&] { inner_.neural().attention(args, out); });
  }
  void activate(compute::Activation act, ConstMatrixView x, ConstMatrixView by,
                MatrixView out) override {
    meter_.run(inner_, "activate", 0, 3 * bytes_of(x),
               [&] { inner_.neural().activate(act, x, by, out); });
  }
  void add(MatrixView x, ConstMatrixView y) override {
    meter_.run(inner_, "add", 0, 3 * bytes_of(x), [&] { inner_.neural().add(x, y); });
  }
  compute::Routing route(ConstMatrixView logits, const float* bias,
                         const compute::RoutingArgs& args,
                         std::vector<float>* scores_out) override {
    return meter_.run(inner_, "route", 0, bytes_of(logits) * (scores_out != nullptr ? 2 : 1),
                      [&] { return inner_.neural().route(logits, bias, args, scores_out); });
  }
  void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                   MatrixView out) override {
    meter_.run(inner_, "gather_rows", 0,
               bytes_of(out) + times(out.rows, in.cols) * numeric::bits_of(in.dtype) / 8,
               [&] { inner_.neural().gather_rows(in, rows, out); });
  }
  void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                        std::span<const float> weights, MatrixView inout) override {
    meter_.run(inner_, "scatter_add_rows", 0, 3 * bytes_of(x),
               [&] { inner_.neural().scatter_add_rows(x, rows, weights, inout); });
  }
  void log_softmax(MatrixView logits) override {
    meter_.run(inner_, "log_softmax", 0, 2 * bytes_of(logits),
               [&] { inner_.neural().log_softmax(logits); });
  }

 private:
  Backend& inner_;
  Meter& meter_;
};

class MeteredCodec final : public compute::Codec {
 public:
  MeteredCodec(Backend& inner, Meter& meter) : inner_(inner), meter_(meter) {}
  void to_f32(const TensorView& in, MatrixView out) override {
    meter_.run(inner_, "to_f32", 0, bytes_of(in) + bytes_of(out),
               [&] { inner_.codec().to_f32(in, out); });
  }
  void narrow(ConstMatrixView x, MatrixView out) override {
    meter_.run(inner_, "narrow", 0, bytes_of(x) + bytes_of(out),
               [&] { inner_.codec().narrow(x, out); });
  }
  void decode_scaled_fp8(const TensorView& codes, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, MatrixView out) override {
    meter_.run(inner_, "decode_scaled_fp8", 0, bytes_of(codes) + bytes_of(out), [&] {
      inner_.codec().decode_scaled_fp8(codes, scales, block_rows, block_cols, out);
    });
  }
  void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) override {
    meter_.run(inner_, "decode_grouped", 0, bytes_of(weight.codes.view()) + bytes_of(out),
               [&] { inner_.codec().decode_grouped(weight, out); });
  }
  std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                  std::int64_t block_cols) override {
    return meter_.run(inner_, "block_maxima", 0, bytes_of(x),
                      [&] { return inner_.codec().block_maxima(x, block_rows, block_cols); });
  }
  void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, float limit, MatrixView codes) override {
    meter_.run(inner_, "encode_scaled_fp8", 0, bytes_of(x) + bytes_of(codes), [&] {
      inner_.codec().encode_scaled_fp8(x, scales, block_rows, block_cols, limit, codes);
    });
  }
  void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) override {
    meter_.run(inner_, "round_fp8", 0, 2 * bytes_of(x),
               [&] { inner_.codec().round_fp8(x, rounding); });
  }
  void fit_scales(ConstMatrixView w, const compute::GridArgs& args,
                  std::span<const float> column_weights, MatrixView scales,
                  MatrixView zeros) override {
    meter_.run(inner_, "fit_scales", 0, bytes_of(w),
               [&] { inner_.codec().fit_scales(w, args, column_weights, scales, zeros); });
  }
  void sweep_block(const compute::SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                   MatrixView codes, MatrixView error) override {
    meter_.run(inner_, "sweep_block", times(t.rows, t.cols, t.cols - 1),
               4 * times(t.rows, t.cols, 3),
               [&] { inner_.codec().sweep_block(args, t0, t, codes, error); });
  }
  void descend_block(const compute::DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                     MatrixView error) override {
    meter_.run(inner_, "descend_block", times(codes.rows, codes.cols, codes.cols - 1),
               4 * times(codes.rows, codes.cols, 3),
               [&] { inner_.codec().descend_block(args, gradient, codes, error); });
  }
  void round_to_grid(ConstMatrixView w, const compute::GridArgs& args, ConstMatrixView scales,
                     ConstMatrixView zeros, MatrixView codes) override {
    meter_.run(inner_, "round_to_grid", 0, bytes_of(w) + bytes_of(codes),
               [&] { inner_.codec().round_to_grid(w, args, scales, zeros, codes); });
  }

 private:
  Backend& inner_;
  Meter& meter_;
};

class MeteredSolve final : public compute::Solve {
 public:
  MeteredSolve(Backend& inner, Meter& meter) : inner_(inner), meter_(meter) {}
  std::optional<std::vector<double>> factor_udu(MatrixView h) override {
    return meter_.run(inner_, "factor_udu", times(h.rows, h.rows, h.rows) / 3, 2 * bytes_of(h),
                      [&] { return inner_.solve().factor_udu(h); });
  }
  void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) override {
    meter_.run(inner_, "solve_udu", 2 * times(b.rows, u.rows, u.rows),
               bytes_of(u) + 2 * bytes_of(b), [&] { inner_.solve().solve_udu(u, d, b); });
  }
  void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) override {
    meter_.run(inner_, "solve_small", 0, 8 * static_cast<double>(a.size() + b.size()),
               [&] { inner_.solve().solve_small(size, a, b); });
  }

 private:
  Backend& inner_;
  Meter& meter_;
};

class MeteredBackend final : public Backend {
 public:
  MeteredBackend(Backend& inner, Meter& meter)
      : inner_(inner),
        memory_(inner, meter),
        linalg_(inner, meter),
        neural_(inner, meter),
        codec_(inner, meter),
        solve_(inner, meter) {}
  std::string name() const override { return inner_.name(); }
  tensor::Device device() const override { return inner_.device(); }
  std::int64_t tile_tokens() const override { return inner_.tile_tokens(); }
  std::int64_t sweep_columns() const override { return inner_.sweep_columns(); }
  bool prefers_large_products() const override { return inner_.prefers_large_products(); }
  compute::Memory& memory() override { return memory_; }
  compute::Linalg& linalg() override { return linalg_; }
  compute::Neural& neural() override { return neural_; }
  compute::Codec& codec() override { return codec_; }
  compute::Solve& solve() override { return solve_; }
  compute::Gradient& gradient() override { return inner_.gradient(); }
  compute::Vectors& vectors() override { return inner_.vectors(); }
  compute::Limits measure_limits() override { return inner_.measure_limits(); }

 private:
  Backend& inner_;
  MeteredMemory memory_;
  MeteredLinalg linalg_;
  MeteredNeural neural_;
  MeteredCodec codec_;
  MeteredSolve solve_;
};

}  // namespace

Meter::Stop::~Stop() {
  inner.wait();
  Metered& function = meter.functions_[name];
  function.calls += 1;
  function.flops += flops;
  function.bytes += bytes;
  function.seconds += std::chrono::duration<double>(Clock::now() - begin).count();
}

std::unique_ptr<compute::Backend> make_metered(compute::Backend& inner, Meter& meter) {
  return std::make_unique<MeteredBackend>(inner, meter);
}

}  // namespace whit::report
