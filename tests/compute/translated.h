#pragma once

#include <memory>
#include <optional>
#include <utility>

#include "compute/backend.h"
#include "compute/translated_vectors.h"

// A backend that hands everything to another, its matrices as `How` carries them over:
//   How::Matrix(inner, view)  view(): the matrix for `inner`; back(view): what it wrote comes back
//   How::Floats(inner, data, count)  data(): the same list, or null
//   How::Data(inner, view)    view(): a tensor for `inner` to read
//   How::tensor(inner, tensor)  the same, as a tensor
//   How::Memory(inner)        a compute::Memory
//   How::device(inner)
namespace whit::compute::testing {

template <typename How>
class AttentionThere {
 public:
  AttentionThere(Backend& inner, const AttentionArgs& host)
      : q_(inner, host.q.data),
        k_(inner, host.k.data),
        v_(inner, host.v.data),
        bias_(inner, host.key_bias),
        there(host) {
    there.q.data = q_.view();
    there.k.data = k_.view();
    there.v.data = v_.view();
    there.key_bias = bias_.view();
    if (!host.k_shared) return;
    shared_.emplace(inner, host.k_shared->data);
    there.k_shared->data = shared_->view();
  }

 private:
  typename How::Matrix q_, k_, v_, bias_;
  std::optional<typename How::Matrix> shared_;

 public:
  AttentionArgs there;
};

template <typename How>
class TranslatedLinalg final : public Linalg {
 public:
  explicit TranslatedLinalg(Backend& inner) : inner_(inner) {}
  void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
            float beta, MatrixView c) override {
    typename How::Matrix x(inner_, a), y(inner_, b), z(inner_, c);
    inner_.linalg().gemm(alpha, x.view(), ta, y.view(), tb, beta, z.view());
    z.back(c);
  }
  void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) override {
    typename How::Matrix a(inner_, x), b(inner_, w), c(inner_, y);
    const typename How::Floats shift(inner_, bias, y.cols);
    inner_.linalg().linear(a.view(), b.view(), shift.data(), c.view());
    c.back(y);
  }
  void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) override {
    typename How::Matrix a(inner_, x), b(inner_, g);
    inner_.linalg().gram(a.view(), row_weights, b.view());
    b.back(g);
  }
  void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
               std::span<const std::int32_t> cols, MatrixView out) override {
    typename How::Matrix a(inner_, in), b(inner_, out);
    inner_.linalg().permute(a.view(), rows, cols, b.view());
    b.back(out);
  }
  std::vector<double> diagonal(ConstMatrixView square) override {
    typename How::Matrix a(inner_, square);
    return inner_.linalg().diagonal(a.view());
  }
  void add_to_diagonal(MatrixView a, std::span<const double> values) override {
    typename How::Matrix there(inner_, a);
    inner_.linalg().add_to_diagonal(there.view(), values);
    there.back(a);
  }
  void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) override {
    typename How::Matrix x(inner_, a), y(inner_, b);
    inner_.linalg().scale_add(alpha, x.view(), beta, y.view());
    x.back(a);
  }
  std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) override {
    typename How::Matrix x(inner_, d), y(inner_, h);
    return inner_.linalg().quadratic_form(x.view(), y.view());
  }
  std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b, std::int64_t width) override {
    typename How::Matrix x(inner_, a), y(inner_, b);
    return inner_.linalg().row_dots(x.view(), y.view(), width);
  }
  void column_max_abs(ConstMatrixView x, MatrixView most) override {
    typename How::Matrix a(inner_, x), b(inner_, most);
    inner_.linalg().column_max_abs(a.view(), b.view());
    b.back(most);
  }
  void row_max_abs(ConstMatrixView x, MatrixView most) override {
    typename How::Matrix a(inner_, x), b(inner_, most);
    inner_.linalg().row_max_abs(a.view(), b.view());
    b.back(most);
  }

 private:
  Backend& inner_;
};

// A norm's arguments with weight and bias on the inner device.
template <typename How>
class NormThere {
 public:
  NormThere(Backend& inner, const NormArgs& host, std::int64_t cols)
      : weight_(inner, host.weight, cols), bias_(inner, host.bias, cols), args(host) {
    args.weight = weight_.data();
    args.bias = bias_.data();
  }

 private:
  typename How::Floats weight_, bias_;

 public:
  NormArgs args;
};

template <typename How>
class TranslatedNeural final : public Neural {
 public:
  explicit TranslatedNeural(Backend& inner) : inner_(inner) {}
  void embed(const TensorView& table, std::span<const std::int32_t> ids, MatrixView out) override {
    const typename How::Data there(inner_, table);
    typename How::Matrix b(inner_, out);
    inner_.neural().embed(there.view(), ids, b.view());
    b.back(out);
  }
  void norm(ConstMatrixView x, const NormArgs& args, MatrixView out) override {
    const NormThere<How> there(inner_, args, x.cols);
    typename How::Matrix a(inner_, x), b(inner_, out);
    inner_.neural().norm(x.data == out.data ? b.view() : a.view(), there.args, b.view());
    b.back(out);
  }
  void rope(MatrixView x, std::int64_t heads, std::int64_t first_col, std::int64_t head_stride,
            ConstMatrixView cos_sin, bool interleaved,
            std::span<const std::int32_t> positions) override {
    typename How::Matrix a(inner_, x), angles(inner_, cos_sin);
    inner_.neural().rope(a.view(), heads, first_col, head_stride, angles.view(), interleaved,
                         positions);
    a.back(x);
  }
  void attention(const AttentionArgs& args, MatrixView out) override {
    const AttentionThere<How> there(inner_, args);
    typename How::Matrix b(inner_, out);
    inner_.neural().attention(there.there, b.view());
    b.back(out);
  }
  void activate(Activation act, ConstMatrixView x, ConstMatrixView times, MatrixView out) override {
    typename How::Matrix a(inner_, x), t(inner_, times), b(inner_, out);
    inner_.neural().activate(act, x.data == out.data ? b.view() : a.view(), t.view(), b.view());
    b.back(out);
  }
  void add(MatrixView x, ConstMatrixView y) override {
    typename How::Matrix a(inner_, x), b(inner_, y);
    inner_.neural().add(a.view(), b.view());
    a.back(x);
  }
  Routing route(ConstMatrixView logits, const float* bias, const RoutingArgs& args,
                std::vector<float>* scores_out) override {
    typename How::Matrix a(inner_, logits);
    const typename How::Floats there(inner_, bias, logits.cols);
    return inner_.neural().route(a.view(), there.data(), args, scores_out);
  }
  void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                   MatrixView out) override {
    typename How::Matrix a(inner_, in), b(inner_, out);
    inner_.neural().gather_rows(a.view(), rows, b.view());
    b.back(out);
  }
  void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                        std::span<const float> weights, MatrixView inout) override {
    typename How::Matrix a(inner_, x), b(inner_, inout);
    inner_.neural().scatter_add_rows(a.view(), rows, weights, b.view());
    b.back(inout);
  }
  void log_softmax(MatrixView logits) override {
    typename How::Matrix a(inner_, logits);
    inner_.neural().log_softmax(a.view());
    a.back(logits);
  }

 private:
  Backend& inner_;
};

template <typename How>
class TranslatedGradient final : public Gradient {
 public:
  explicit TranslatedGradient(Backend& inner) : inner_(inner) {}
  void attention(const AttentionArgs& args, ConstMatrixView out_gradient,
                 const AttentionGradients& out) override {
    const AttentionThere<How> there(inner_, args);
    typename How::Matrix dout(inner_, out_gradient), q(inner_, out.q), k(inner_, out.k),
        shared(inner_, out.k_shared), v(inner_, out.v);
    inner_.gradient().attention(there.there, dout.view(),
                                {q.view(), k.view(), shared.view(), v.view()});
    q.back(out.q);
    k.back(out.k);
    shared.back(out.k_shared);
    v.back(out.v);
  }
  void norm(ConstMatrixView x, const NormArgs& args, ConstMatrixView out_gradient,
            MatrixView out) override {
    const NormThere<How> there(inner_, args, x.cols);
    typename How::Matrix a(inner_, x), d(inner_, out_gradient), b(inner_, out);
    inner_.gradient().norm(a.view(), there.args,
                           out_gradient.data == out.data ? b.view() : d.view(), b.view());
    b.back(out);
  }

 private:
  Backend& inner_;
};

template <typename How>
class TranslatedCodec final : public Codec {
 public:
  explicit TranslatedCodec(Backend& inner) : inner_(inner) {}
  void to_f32(const TensorView& in, MatrixView out) override {
    const typename How::Data there(inner_, in);
    typename How::Matrix b(inner_, out);
    inner_.codec().to_f32(there.view(), b.view());
    b.back(out);
  }
  void narrow(ConstMatrixView x, MatrixView out) override {
    typename How::Matrix a(inner_, x), b(inner_, out);
    inner_.codec().narrow(a.view(), b.view());
    b.back(out);
  }
  void decode_scaled_fp8(const TensorView& codes, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, MatrixView out) override {
    const typename How::Data c(inner_, codes), s(inner_, scales);
    typename How::Matrix b(inner_, out);
    inner_.codec().decode_scaled_fp8(c.view(), s.view(), block_rows, block_cols, b.view());
    b.back(out);
  }
  void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) override {
    scheme::GroupedInt there;
    there.bits = weight.bits;
    there.group_size = weight.group_size;
    there.channel = weight.channel;
    there.scale_dtype = weight.scale_dtype;
    there.codes = How::tensor(inner_, weight.codes);
    there.scales = How::tensor(inner_, weight.scales);
    if (!weight.zeros.empty()) there.zeros = How::tensor(inner_, weight.zeros);
    typename How::Matrix b(inner_, out);
    inner_.codec().decode_grouped(there, b.view());
    b.back(out);
  }
  std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                  std::int64_t block_cols) override {
    typename How::Matrix a(inner_, x);
    return inner_.codec().block_maxima(a.view(), block_rows, block_cols);
  }
  void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales, std::int64_t block_rows,
                         std::int64_t block_cols, float limit, MatrixView codes) override {
    const typename How::Data s(inner_, scales);
    typename How::Matrix a(inner_, x), b(inner_, codes);
    inner_.codec().encode_scaled_fp8(a.view(), s.view(), block_rows, block_cols, limit, b.view());
    b.back(codes);
  }
  void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) override {
    typename How::Matrix a(inner_, x);
    inner_.codec().round_fp8(a.view(), rounding);
    a.back(x);
  }
  void fit_scales(ConstMatrixView w, const GridArgs& args, std::span<const float> column_weights,
                  MatrixView scales, MatrixView zeros) override {
    typename How::Matrix a(inner_, w), s(inner_, scales), z(inner_, zeros);
    inner_.codec().fit_scales(a.view(), args, column_weights, s.view(), z.view());
    s.back(scales);
    z.back(zeros);
  }
  void sweep_block(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t, MatrixView codes,
                   MatrixView error) override {
    typename How::Matrix u(inner_, args.u), row_u(inner_, args.row_u), s(inner_, args.scales),
        z(inner_, args.zeros), a(inner_, t0), b(inner_, t), c(inner_, codes), e(inner_, error);
    SweepArgs there = args;
    there.u = u.view();
    there.row_u = row_u.view();
    there.scales = s.view();
    there.zeros = z.view();
    inner_.codec().sweep_block(there, a.view(), b.view(), c.view(), e.view());
    c.back(codes);
    e.back(error);
  }
  void descend_block(const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                     MatrixView error) override {
    typename How::Matrix m(inner_, args.m), h(inner_, args.h), s(inner_, args.scales),
        g(inner_, gradient), c(inner_, codes), e(inner_, error);
    DescentArgs there = args;
    there.m = m.view();
    there.h = h.view();
    there.scales = s.view();
    inner_.codec().descend_block(there, g.view(), c.view(), e.view());
    c.back(codes);
    e.back(error);
  }
  void round_to_grid(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                     ConstMatrixView zeros, MatrixView codes) override {
    typename How::Matrix a(inner_, w), s(inner_, scales), z(inner_, zeros), c(inner_, codes);
    inner_.codec().round_to_grid(a.view(), args, s.view(), z.view(), c.view());
    c.back(codes);
  }

 private:
  Backend& inner_;
};

template <typename How>
class TranslatedSolve final : public Solve {
 public:
  explicit TranslatedSolve(Backend& inner) : inner_(inner) {}
  std::optional<std::vector<double>> factor_udu(MatrixView h) override {
    typename How::Matrix a(inner_, h);
    auto d = inner_.solve().factor_udu(a.view());
    a.back(h);
    return d;
  }
  void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) override {
    typename How::Matrix x(inner_, u), y(inner_, b);
    inner_.solve().solve_udu(x.view(), d, y.view());
    y.back(b);
  }
  void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) override {
    inner_.solve().solve_small(size, a, b);
  }

 private:
  Backend& inner_;
};

template <typename How>
class Translated final : public Backend {
 public:
  explicit Translated(std::unique_ptr<Backend> inner) : inner_(std::move(inner)) {}
  std::string name() const override { return inner_->name(); }
  tensor::Device device() const override { return How::device(*inner_); }
  std::int64_t tile_tokens() const override { return inner_->tile_tokens(); }
  bool prefers_large_products() const override { return inner_->prefers_large_products(); }
  Memory& memory() override { return memory_; }
  Linalg& linalg() override { return linalg_; }
  Neural& neural() override { return neural_; }
  Codec& codec() override { return codec_; }
  Solve& solve() override { return solve_; }
  Gradient& gradient() override { return gradient_; }
  Vectors& vectors() override { return vectors_; }
  Limits measure_limits() override { return inner_->measure_limits(); }

 private:
  std::unique_ptr<Backend> inner_;
  typename How::Memory memory_{*inner_};
  TranslatedLinalg<How> linalg_{*inner_};
  TranslatedNeural<How> neural_{*inner_};
  TranslatedCodec<How> codec_{*inner_};
  TranslatedSolve<How> solve_{*inner_};
  TranslatedGradient<How> gradient_{*inner_};
  TranslatedVectors<How> vectors_{*inner_};
};

}  // namespace whit::compute::testing
