#include "quant/vptq.h"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <numeric>
#include <optional>
#include <span>
#include <utility>

#include "base/error.h"
#include "numeric/round_to.h"
#include "quant/coded_columns.h"
#include "quant/damped_error.h"
#include "quant/damped_gram.h"
#include "quant/normed_columns.h"

namespace whit::quant {

namespace {

using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

constexpr int kRefitSteps = 8;

double mean_of(const std::vector<double>& values) {
  return std::accumulate(values.begin(), values.end(), 0.0) / static_cast<double>(values.size());
}

// One weight on its way.
class Vptq {
 public:
  Vptq(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram, const VptqArgs& args,
       const std::function<void(const VptqStage&)>& on_stage)
      : backend_(backend), w_(w), gram_(gram), args_(args), on_stage_(on_stage) {
    Tensor host = backend.memory().download(view_of(w));
    if (args.layout.normed) norm_.emplace(host, args.dtype);
    if (norm_ && args.fold_norm) folded_.emplace(scaled_gram(backend, gram, norm_->scale));
    const ColumnOrder order = args.permute ? ColumnOrder::kActivation : ColumnOrder::kDefault;
    factor_ = factor_gram(backend, metric(), {order, args.rel_damp});
    target_ = backend.memory().upload(ordered(host).view());
    parts_ = cut_columns(backend, args.layout, w.rows, w.cols);
    error_ = backend.memory().allocate({w.rows, w.cols}, Dtype::kF32);
  }

  scheme::VectorCodes run(VptqReport* report) {
    measured_ = report != nullptr || on_stage_;
    if (measured_) measure_base();
    train_main();
    const VectorSweep greedy{backend_, target_.matrix(), args_.block_size, 1};
    Tensor rounded;
    if (args_.layout.residuals > 0)
      rounded = backend_.memory().allocate({w_.rows, w_.cols}, Dtype::kF32);
    start();
    greedy.run(factor_, parts_, error_.matrix(), rounded.empty() ? MatrixView{} : rounded.matrix());
    double lost = tell("after VPTQ");
    if (args_.layout.residuals > 0) {
      train_residual(rounded);
      rounded = Tensor();
      start();
      VectorSweep{backend_, target_.matrix(), args_.block_size, args_.beam}.run(
          factor_, parts_, error_.matrix(), {});
      lost = tell("after residual VPTQ");
    }
    if (report != nullptr) report->proxy_error_swept = lost;
    if (args_.rounds > 0) lost = improve(lost);
    if (report != nullptr) {
      report->proxy_error = lost;
      report->proxy_error_kmeans = plain_;
      report->damping = factor_.damping;
      report->factor_attempts = factor_.attempts;
    }
    return finished();
  }

 private:
  const stats::Gram& metric() const { return folded_ ? *folded_ : gram_; }

  // W normed, columns in processing order.
  Tensor ordered(const Tensor& w) const {
    Tensor out(w.shape(), Dtype::kF32);
    const std::int64_t cols = w_.cols;
    for (std::int64_t n = 0; n < w_.rows; ++n) {
      const float* from = w.as<float>() + n * cols;
      float* to = out.as<float>() + n * cols;
      for (std::int64_t j = 0; j < cols; ++j) {
        const auto k = static_cast<std::size_t>(factor_.order[static_cast<std::size_t>(j)]);
        to[j] = norm_ ? (from[k] - norm_->offset[k]) / norm_->scale[k] : from[k];
      }
    }
    return out;
  }

  void start() { since_ = std::chrono::steady_clock::now(); }

  VptqStage stage(std::string_view name) const {
    VptqStage stage;
    stage.name = name;
    stage.seconds =
        std::chrono::duration<double>(std::chrono::steady_clock::now() - since_).count();
    return stage;
  }

  void measure_base() {
    const std::vector<double> diagonal = backend_.linalg().diagonal(gram_.sum());
    const double mean = mean_of(diagonal) * 2.0 / static_cast<double>(gram_.tokens());
    const auto width = static_cast<double>(w_.cols);
    per_element_ = mean > 0 ? 1 / (mean * width * width) : 0;
    base_ = exact_error(backend_, w_, gram_);
  }

  // tr(E H Eᵀ) of the weight itself, undamped.
  double error_now() {
    if (!norm_ || folded_) {
      Tensor scratch = backend_.memory().allocate({w_.rows, args_.block_size}, Dtype::kF32);
      const DampedError sum =
          damped_error(backend_, error_.matrix(), factor_, args_.block_size, scratch.matrix());
      if (sum.trusted()) return sum.undamped();
    }
    const Tensor host = backend_.memory().download(error_.view());
    Tensor back(host.shape(), Dtype::kF32);
    for (std::int64_t n = 0; n < w_.rows; ++n)
      for (std::int64_t j = 0; j < w_.cols; ++j) {
        const std::int64_t k = factor_.order[static_cast<std::size_t>(j)];
        back.as<float>()[n * w_.cols + k] =
            host.as<float>()[n * w_.cols + j] *
            (norm_ ? norm_->scale[static_cast<std::size_t>(k)] : 1.0F);
      }
    return exact_error(backend_, backend_.memory().upload(back.view()).matrix(), gram_);
  }

  // The relative error of the codes as they stand, which listeners hear too.
  double tell(std::string_view name) {
    if (!measured_) return 0;
    VptqStage now = stage(name);
    const double error = error_now();
    now.error = error * per_element_;
    now.base = base_ * per_element_;
    if (on_stage_) on_stage_(now);
    return base_ == 0 ? 0 : error / base_;
  }

  // One weight a vector: the mean over its entries of H's diagonal, nothing for what fills it up.
  std::vector<float> weights_of(const CodedColumns& part) const {
    const std::int64_t chunks = part.indices.shape()[0];
    const std::int64_t last = w_.rows - (chunks - 1) * part.length;
    std::vector<float> weights;
    for (std::int64_t j = part.first; j < part.first + part.count; ++j) {
      const float h =
          factor_.diagonal[static_cast<std::size_t>(factor_.order[static_cast<std::size_t>(j)])];
      for (std::int64_t p = 0; p < chunks; ++p)
        weights.push_back(
            p + 1 < chunks ? h : h * static_cast<float>(last) / static_cast<float>(part.length));
    }
    return weights;
  }

  KMeans train(std::string_view name, const Tensor& vectors, const CodedColumns& part,
               std::int64_t clusters, std::uint64_t number) {
    const auto began = std::chrono::steady_clock::now();
    KMeansArgs kmeans_args = args_.kmeans;
    kmeans_args.clusters = clusters;
    kmeans_args.seed += number * 0x9E3779B97F4A7C15ULL;
    const Tensor x = backend_.memory().upload(vectors.view());
    KMeans result = kmeans(backend_, x.matrix(), weights_of(part), kmeans_args);
    Tensor book = backend_.memory().download(result.centroids.view());
    for (std::int64_t i = 0; i < book.elements(); ++i)
      book.as<float>()[i] = numeric::round_to(book.as<float>()[i], args_.dtype);
    result.centroids = backend_.memory().upload(book.view());
    if (!on_stage_) return result;
    VptqStage told;
    told.name = name;
    told.codebook =
        part.first < args_.layout.outliers ? 0 : 1 + static_cast<std::int64_t>(number & 0x7fff);
    told.clusters = clusters;
    told.iterations = result.iterations;
    told.inertia = result.inertia;
    told.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count();
    on_stage_(told);
    return result;
  }

  // The first codebooks. Also E of every vector at its nearest centroid, for comparison.
  void train_main() {
    start();
    const Tensor target = backend_.memory().download(target_.view());
    std::uint64_t group = 0;
    for (CodedColumns& part : parts_) {
      const bool outlier = part.first < args_.layout.outliers;
      const Tensor vectors = vectors_of(target, part);
      KMeans found = train("kmeans", vectors, part,
                           outlier ? args_.layout.outlier_centroids : args_.layout.centroids,
                           outlier ? 0x8000 : group++);
      part.centroids = std::move(found.centroids);
      set_codes(part, found.labels);
    }
    if (!measured_) return forget_codes(backend_, parts_);
    renew_error();
    plain_ = tell("before VPTQ");
    forget_codes(backend_, parts_);
  }

  void set_codes(CodedColumns& part, const std::vector<std::int32_t>& labels) {
    Tensor host(part.indices.shape(), Dtype::kI32);
    const std::int64_t chunks = host.shape()[0];
    for (std::int64_t j = 0; j < part.count; ++j)
      for (std::int64_t p = 0; p < chunks; ++p)
        host.as<std::int32_t>()[p * part.count + j] =
            labels[static_cast<std::size_t>(j * chunks + p)];
    part.indices = backend_.memory().upload(host.view());
  }

  // The second codebooks, of what the first left when it rounded.
  void train_residual(const Tensor& rounded) {
    start();
    const Tensor host = backend_.memory().download(rounded.view());
    std::uint64_t group = 0;
    for (CodedColumns& part : parts_) {
      if (part.first < args_.layout.outliers) continue;
      const Tensor vectors = vectors_of(host, part);
      KMeans found =
          train("residual kmeans", vectors, part, args_.layout.residuals, 0x10000 + group++);
      part.residuals = std::move(found.centroids);
    }
    forget_codes(backend_, parts_);
  }

  scheme::VectorCodes codes_now() const {
    scheme::VectorLayout layout = args_.layout;
    if (parts_.back().residuals.empty()) layout.residuals = 0;
    return assemble(backend_, layout, parts_, w_.rows, w_.cols, args_.dtype);
  }

  // E anew from the codes, free of what rounding left in it.
  void renew_error() {
    const Tensor q = backend_.memory().upload(scheme::decode_vectors(codes_now()).view());
    backend_.memory().copy(target_.matrix(), error_.matrix());
    backend_.linalg().scale_add(1.0F, error_.matrix(), -1.0F, q.matrix());
  }

  // tr(E H Eᵀ) under the damped H that all of the work is under.
  double damped_now() {
    Tensor scratch = backend_.memory().allocate({w_.rows, args_.block_size}, Dtype::kF32);
    return damped_error(backend_, error_.matrix(), factor_, args_.block_size, scratch.matrix())
        .damped;
  }

  // Damped H in processing order, every column divided by its diagonal entry.
  Tensor scaled_h(std::vector<float>& diagonal) const {
    const std::int64_t width = w_.cols;
    DampedGram damped(backend_, metric(), factor_);
    Tensor whole = backend_.memory().allocate({width, width}, Dtype::kF32);
    for (std::int64_t b = 0; b < width; b += DampedGram::kBand) {
      const std::int64_t size = std::min(DampedGram::kBand, width - b);
      backend_.memory().copy(damped.band(b, size), whole.matrix().rows_of(b, size));
    }
    Tensor permuted = backend_.memory().allocate({width, width}, Dtype::kF32);
    backend_.linalg().permute(whole.matrix(), factor_.order, factor_.order, permuted.matrix());
    Tensor host = backend_.memory().download(permuted.view());
    diagonal.clear();
    for (std::int64_t k = 0; k < width; ++k) diagonal.push_back(host.as<float>()[k * width + k]);
    for (std::int64_t i = 0; i < width; ++i)
      for (std::int64_t k = 0; k < width; ++k)
        host.as<float>()[i * width + k] /= diagonal[static_cast<std::size_t>(k)];
    return backend_.memory().upload(host.view());
  }

  // Codes by descent and codebooks by least squares in turn, for as long as that loses less.
  double improve(double lost) {
    std::vector<float> diagonal;
    const Tensor h = scaled_h(diagonal);
    const VectorSweep sweep{backend_, target_.matrix(), args_.block_size, args_.beam};
    start();
    double least = damped_now();
    for (int round = 0; round < args_.rounds; ++round) {
      sweep.descend(h.matrix(), parts_, error_.matrix());
      renew_error();
      scheme::VectorCodes codes = codes_now();
      scheme::VectorCodes kept = codes_now();
      const double descended = damped_now();
      refit_books(backend_, error_.matrix(), h.matrix(), diagonal, kRefitSteps, codes);
      take_books(backend_, codes, parts_);
      renew_error();
      const double now = damped_now();
      if (now > descended) {  // the codebooks' dtype can hold nothing better
        take_books(backend_, kept, parts_);
        renew_error();
      }
      const double reached = std::min(now, descended);
      lost = tell("after refit");
      if (reached > 0.999 * least) break;
      least = reached;
    }
    return lost;
  }

  scheme::VectorCodes finished() {
    scheme::VectorCodes codes = codes_now();
    const scheme::VectorLayout& layout = args_.layout;
    if (args_.permute && args_.absorb && layout.groups == 1 && layout.outliers == 0)
      absorb(codes);
    else if (args_.permute)
      store_order(codes);
    codes.layout.normed = norm_.has_value();
    if (norm_) {
      codes.scale = tensor::make_f32({w_.cols}, norm_->scale);
      codes.offset = tensor::make_f32({w_.cols}, norm_->offset);
    }
    return codes;
  }

  void absorb(scheme::VectorCodes& codes) const {
    for (Tensor* indices : {&codes.indices, &codes.residual_indices}) {
      if (indices->empty()) continue;
      Tensor plain(indices->shape(), Dtype::kI32);
      for (std::int64_t p = 0; p < plain.shape()[0]; ++p)
        for (std::int64_t j = 0; j < w_.cols; ++j)
          plain.as<std::int32_t>()[p * w_.cols + factor_.order[static_cast<std::size_t>(j)]] =
              indices->as<std::int32_t>()[p * w_.cols + j];
      *indices = std::move(plain);
    }
  }

  void store_order(scheme::VectorCodes& codes) const {
    codes.layout.permuted = true;
    codes.perm = Tensor({w_.cols}, Dtype::kI32);
    std::copy(factor_.order.begin(), factor_.order.end(), codes.perm.as<std::int32_t>());
  }

  compute::Backend& backend_;
  ConstMatrixView w_;
  const stats::Gram& gram_;
  const VptqArgs& args_;
  const std::function<void(const VptqStage&)>& on_stage_;
  std::optional<ColumnNorm> norm_;
  std::optional<stats::Gram> folded_;
  Factor factor_;
  Tensor target_;  // normed, in processing order
  Tensor error_;   // target - Q
  std::vector<CodedColumns> parts_;
  bool measured_ = false;
  double base_ = 0, per_element_ = 0, plain_ = 0;
  std::chrono::steady_clock::time_point since_;
};

}  // namespace

scheme::VectorCodes vptq(compute::Backend& backend, ConstMatrixView w, const stats::Gram& gram,
                         const VptqArgs& args, VptqReport* report,
                         const std::function<void(const VptqStage&)>& on_stage) {
  base::check(w.cols == gram.width(), "vptq: width of the Gram");
  base::check(args.block_size > 0 && args.beam > 0, "vptq: block size and beam");
  check_layout(args.layout, w.rows, w.cols);
  return Vptq(backend, w, gram, args, on_stage).run(report);
}

}  // namespace whit::quant
