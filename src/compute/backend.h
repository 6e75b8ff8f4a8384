#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

#include "scheme/scheme.h"
#include "tensor/tensor.h"

// What a machine can do, as a few small interfaces. Callers above are device-blind: every matrix
// that they pass lives on the backend's device, every std::span on the host. All results are the
// same bits for any number of threads: fixed tiles, fixed order of sums, no float atomics. The bits
// of one row of gemm, linear, quadratic_form and attention may depend on how many rows share the
// call (BLAS chooses its kernels by extents); those of every other function do not. Matrices are
// row-major. Activations and math are F32 unless a function says otherwise.
namespace whit::compute {

using tensor::ConstMatrixView;
using tensor::MatrixView;
using tensor::Tensor;
using tensor::TensorView;

class Memory {
 public:
  virtual ~Memory() = default;
  // Zero-filled. Errors: kResource.
  virtual Tensor allocate(tensor::Shape shape, tensor::Dtype dtype) = 0;
  virtual Tensor upload(const TensorView& host) = 0;
  virtual Tensor download(const TensorView& device) = 0;
  // What download would give now, on the thread that asks for it, once, beside what the backend
  // does next; `device` must not be written to until then.
  virtual std::function<Tensor()> download_later(std::shared_ptr<const Tensor> device) {
    return [host = std::make_shared<Tensor>(download(device->view()))] { return std::move(*host); };
  }
  // Same extents and dtype; strides may differ.
  virtual void copy(ConstMatrixView from, MatrixView to) = 0;
  virtual void fill(MatrixView out, float value) = 0;
  // Bytes that can still be allocated, about.
  virtual std::uint64_t available() const = 0;
  // Bytes held at most at once, where the device is not the host; else 0.
  virtual std::uint64_t peak() const { return 0; }
};

enum class Transpose : std::uint8_t { kNo, kYes };

class Linalg {
 public:
  virtual ~Linalg() = default;
  // C = alpha * op(A) op(B) + beta * C.
  virtual void gemm(float alpha, ConstMatrixView a, Transpose ta, ConstMatrixView b, Transpose tb,
                    float beta, MatrixView c) = 0;
  // y[T,N] = x[T,K] W[N,K]ᵀ (+ bias[N]); W is F32 (BF16 where the backend says so).
  virtual void linear(ConstMatrixView x, ConstMatrixView w, const float* bias, MatrixView y) = 0;
  // G[K,K] += xᵀx over the rows of x[T,K]; the whole symmetric matrix is kept valid.
  // row_weights: empty, or T weights w_t (the sum is then of w_t x_t x_tᵀ).
  // Precision: partial sums over at most 1,024 rows, then added in fp32.
  virtual void gram(ConstMatrixView x, std::span<const float> row_weights, MatrixView g) = 0;
  // out[i,j] = in[rows[i], cols[j]]; an empty index list means identity. F32 or I8, both alike.
  virtual void permute(ConstMatrixView in, std::span<const std::int32_t> rows,
                       std::span<const std::int32_t> cols, MatrixView out) = 0;
  virtual std::vector<double> diagonal(ConstMatrixView square) = 0;
  // diag(A) += values.
  virtual void add_to_diagonal(MatrixView a, std::span<const double> values) = 0;
  // a = alpha * a + beta * b, elementwise.
  virtual void scale_add(float alpha, MatrixView a, float beta, ConstMatrixView b) = 0;
  // Per row n of d[N,K]: d_n H d_nᵀ; H symmetric [K,K]. Products may be fp32 tiles; their sum with
  // d_n is in double.
  virtual std::vector<double> quadratic_form(ConstMatrixView d, ConstMatrixView h) = 0;
  // [N, P] sums of a[n,k] b[n,k] over each piece of `width` columns (the last may be narrower),
  // products and sums in double precision.
  virtual std::vector<double> row_dots(ConstMatrixView a, ConstMatrixView b,
                                       std::int64_t width) = 0;
  // most[0,j] = the largest of most[0,j] and the magnitudes of column j of x[T,K]; most [1,K], zero
  // or positive; both F32. A NaN is larger than every number.
  virtual void column_max_abs(ConstMatrixView x, MatrixView most) = 0;
  // The same of every row; most [1,T].
  virtual void row_max_abs(ConstMatrixView x, MatrixView most) = 0;
};

// One tensor of attention heads inside a wider matrix: head h of row t is
// data[t, first_col + h * head_stride ... + dim).
struct HeadView {
  ConstMatrixView data;
  std::int64_t first_col = 0;
  std::int64_t head_stride = 0;  // 0: one head shared by all
  std::int64_t dim = 0;
};

struct AttentionArgs {
  std::int64_t heads = 1;
  std::int64_t kv_heads = 1;  // divides heads; query head h reads kv head h/(heads/kv_heads)
  HeadView q;                 // dim = k.dim + (k_shared ? k_shared->dim : 0), that order
  HeadView k;
  std::optional<HeadView> k_shared;  // MLA's rotary key, one for all heads
  HeadView v;
  float scale = 1;
  float softcap = 0;         // > 0: a scaled score s becomes softcap * tanh(s / softcap)
  std::int64_t window = 0;   // 0: none; else key j is visible to query i iff i-window < j <= i
  ConstMatrixView key_bias;  // [heads, keys or more], added to scaled scores; data null: none
};

// How rows are normed: (x - m) / sqrt(mean((x - m)²) + eps) * weight + bias.
struct NormArgs {
  bool centered = false;          // m is the row's mean (LayerNorm), else 0 (RMSNorm)
  const float* weight = nullptr;  // x.cols entries; null: ones
  const float* bias = nullptr;    // x.cols entries; null: zeros
  float eps = 1e-6F;
};

enum class Activation : std::uint8_t {
  kSilu,      // x / (1 + exp(-x))
  kGelu,      // x/2 (1 + erf(x/sqrt(2)))
  kGeluTanh,  // x/2 (1 + tanh(sqrt(2/pi) (x + 0.044715 x³)))
  kRelu,
  kTanh,
};

// What a router ranks experts by, and weighs them with.
enum class RouterScore : std::uint8_t { kSigmoid, kSoftmax };

struct RoutingArgs {
  std::int64_t top_k = 1;
  std::int64_t groups = 1;       // n_group
  std::int64_t groups_kept = 1;  // topk_group
  std::int64_t group_best = 2;   // a group ranks by the sum of so many of its best scores
  RouterScore score = RouterScore::kSigmoid;
  bool renormalize = true;  // weights sum to `scaling`
  float scaling = 1;
};

// Routing of T tokens: top_k entries a token, experts ascending by rank of score.
struct Routing {
  std::int64_t top_k = 0;
  std::vector<std::int32_t> experts;  // [T * top_k]
  std::vector<float> weights;         // [T * top_k]
};

class Neural {
 public:
  virtual ~Neural() = default;
  // out[t] = table[ids[t]]; the table may be F32, BF16 or F16.
  virtual void embed(const TensorView& table, std::span<const std::int32_t> ids,
                     MatrixView out) = 0;
  // Norms every row; out may be x.
  virtual void norm(ConstMatrixView x, const NormArgs& args, MatrixView out) = 0;
  // Rotates pairs in place in `heads` heads: columns first_col + h*head_stride + [0, 2*R).
  // cos_sin is [max_position, 2R]: R cosines then R sines (attention_factor included).
  // interleaved: pairs (2i, 2i+1); else (i, i+R).
  virtual void rope(MatrixView x, std::int64_t heads, std::int64_t first_col,
                    std::int64_t head_stride, ConstMatrixView cos_sin, bool interleaved,
                    std::span<const std::int32_t> positions) = 0;
  // Causal attention of one sequence: query row i sits at position keys - queries + i.
  virtual void attention(const AttentionArgs& args, MatrixView out) = 0;
  // out = act(x) * times; times.data == nullptr: out = act(x). out may be x.
  virtual void activate(Activation act, ConstMatrixView x, ConstMatrixView times,
                        MatrixView out) = 0;
  // x += y.
  virtual void add(MatrixView x, ConstMatrixView y) = 0;
  // The top_k experts of every token by biased score: logits [T,E], bias has E entries (may be
  // null) and chooses only; weights are unbiased scores. Experts outside the best groups_kept
  // groups count as -inf; equal scores go to the lower index. scores_out (optional, T*E): scores
  // before the bias.
  virtual Routing route(ConstMatrixView logits, const float* bias, const RoutingArgs& args,
                        std::vector<float>* scores_out) = 0;
  // out[i] = in[rows[i]]; `in` F32 or BF16.
  virtual void gather_rows(ConstMatrixView in, std::span<const std::int32_t> rows,
                           MatrixView out) = 0;
  // inout[rows[i]] += weights[i] * x[i]; rows are distinct. inout F32, or BF16: each sum is rounded
  // to it, halves to even.
  virtual void scatter_add_rows(ConstMatrixView x, std::span<const std::int32_t> rows,
                                std::span<const float> weights, MatrixView inout) = 0;
  // logits -> log probabilities, in place, row by row (max subtracted, sums in double).
  virtual void log_softmax(MatrixView logits) = 0;
};

// Gradients of an attention, layouts as in its AttentionArgs: q F32 [T, heads * q.dim], k [T,
// kv_heads * k.dim], k_shared [T, k_shared.dim] or nothing, v [T, kv_heads * v.dim].
struct AttentionGradients {
  MatrixView q, k, k_shared, v;
};

// Derivatives, of what a sensitivity needs; nothing here is called by a forward.
class Gradient {
 public:
  virtual ~Gradient() = default;
  // Of sum(out_gradient * attention(args)), out_gradient [T, heads * v.dim]; whole sequences only
  // (as many keys as queries).
  virtual void attention(const AttentionArgs& args, ConstMatrixView out_gradient,
                         const AttentionGradients& out) = 0;
  // Of sum(out_gradient * norm(x, args)) by x; out may be out_gradient.
  virtual void norm(ConstMatrixView x, const NormArgs& args, ConstMatrixView out_gradient,
                    MatrixView out) = 0;
};

// How the scale of one group of weights is chosen.
enum class ScaleSearch : std::uint8_t { kAbsmax, kMse };

struct GridArgs {
  int bits = 4;
  bool symmetric = true;
  std::int64_t group_size = 128;  // columns a group, counted in the original column order
  ScaleSearch search = ScaleSearch::kMse;
  tensor::Dtype scale_dtype = tensor::Dtype::kBF16;  // scales are rounded to it before use
  // Symmetric: a scale may be negative, so that the end of the range which has one code more serves
  // the longer side of the group.
  bool either_sign = false;
};

// One column block of the LDLQ sweep, columns in processing order.
struct SweepArgs {
  int bits = 4;
  ConstMatrixView u;  // [B,B], unit upper triangular
  // [N,R], N/R unit upper triangular blocks one below the other, or data == nullptr: rows of a
  // block make up for each other's errors too, in ascending order.
  ConstMatrixView row_u;
  ConstMatrixView scales;                      // F32 [N,G]
  ConstMatrixView zeros;                       // F32 [N,G], or data == nullptr if symmetric
  std::span<const std::int32_t> column_group;  // [B], group of each column
};

// One column block of a descent on tr(M E H Eᵀ), E = W - Ŵ.
struct DescentArgs {
  int bits = 4;
  // [N,R], N/R symmetric blocks of M one below the other; data == nullptr: M is the identity.
  ConstMatrixView m;
  ConstMatrixView h;                           // [B,B], symmetric, nothing negative on its diagonal
  ConstMatrixView scales;                      // F32 [N,G]
  std::span<const std::int32_t> column_group;  // [B], group of each column
};

// A descent moves a code where its optimum is more than half a step and this away: less would be
// within what the gradient was rounded by.
inline constexpr float kDescentMargin = 1e-3F;

class Codec {
 public:
  virtual ~Codec() = default;
  // F32, BF16, F16, FP8 (unscaled) -> F32.
  virtual void to_f32(const TensorView& in, MatrixView out) = 0;
  // out (BF16) = x, halves to even.
  virtual void narrow(ConstMatrixView x, MatrixView out) = 0;
  // out[n,k] = fp8[n,k] * scales[n/block_rows, k/block_cols], one fp32 rounding. A scale grid
  // larger than needed is cropped.
  virtual void decode_scaled_fp8(const TensorView& codes, const TensorView& scales,
                                 std::int64_t block_rows, std::int64_t block_cols,
                                 MatrixView out) = 0;
  virtual void decode_grouped(const scheme::GroupedInt& weight, MatrixView out) = 0;
  // Row-major [ceil(rows/block_rows), ceil(cols/block_cols)], on the host: the largest magnitude of
  // each block; NaN where it holds one.
  virtual std::vector<float> block_maxima(ConstMatrixView x, std::int64_t block_rows,
                                          std::int64_t block_cols) = 0;
  // codes (F8_E4M3 or F8_E5M2) = fp8(clamp(x / scales[n/block_rows, k/block_cols], ±limit)), the
  // quotient in fp32, halves to even. NaN becomes the code's NaN.
  virtual void encode_scaled_fp8(ConstMatrixView x, const TensorView& scales,
                                 std::int64_t block_rows, std::int64_t block_cols, float limit,
                                 MatrixView codes) = 0;
  // x = its value as FP8 codes hold it, in place; a dynamic scale is scheme::float8_scale of the
  // piece's largest magnitude.
  virtual void round_fp8(MatrixView x, const scheme::Float8Rounding& rounding) = 0;
  // Scales (and zeros, as F32 whole numbers; data == nullptr if symmetric) of every group of every
  // row of w[N,K]. kAbsmax: compressed-tensors' grid that covers the group and 0. kMse: of 100
  // scales from that one down to a fifth of it, the one with the least sum of |error|^2.4
  // (MoE-Quant's search); with column_weights (empty, or K non-negative weights), of weight *
  // error², from 1.05 times that one down; with either_sign the same scales negated too, which are
  // taken where they lose less. The zero point is kAbsmax's. Scales are never 0 (a group
  // of zeros has scale 1) and always finite. Errors: kUnsupported where group_size does not divide
  // K, or bits are not 1..8.
  virtual void fit_scales(ConstMatrixView w, const GridArgs& args,
                          std::span<const float> column_weights, MatrixView scales,
                          MatrixView zeros) = 0;
  // codes (I8 [N,B]) = clamp(round_half_even(target/scale) + zero), and q (F32 [N,B]) their values,
  // column by column with feedback: target_k = t_k + sum_{j<k} (t0_j - q_j) u[j,k], where t0 is the
  // original weight block and t (in) already holds the feedback of earlier blocks.
  // error (F32 [N,B]) = t0 - q. With row_u, f_k = t_k - t0_k + that sum being the feedback and e
  // the error, row n's target is t0_nk + f_nk + sum over the rows i < n of its block of (f_ik +
  // e_ik) row_u[i,n].
  virtual void sweep_block(const SweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                           MatrixView codes, MatrixView error) = 0;
  // Column by column, each code (codes, I8 [N,B]) goes to the value in its range that is best for
  // tr(M E H Eᵀ) while the others stay: c_k <- clamp(round_half_even(c_k + x)), x = g_k / (h[k,k]
  // m[n,n] s), where |x| > 1/2 + kDescentMargin; g_k = gradient_k less what the moves so far took
  // of it, rows ascending within a column. gradient (F32 [N,B]): this block of M E H. error (F32
  // [N,B]): this block of E, kept up to date. Where h[k,k] m[n,n] = 0 a code stays.
  virtual void descend_block(const DescentArgs& args, ConstMatrixView gradient, MatrixView codes,
                             MatrixView error) = 0;
  // Plain rounding of w[N,K] on a given grid; codes I8 [N,K].
  virtual void round_to_grid(ConstMatrixView w, const GridArgs& args, ConstMatrixView scales,
                             ConstMatrixView zeros, MatrixView codes) = 0;
};

class Solve {
 public:
  virtual ~Solve() = default;
  // H = U D Uᵀ with U unit upper triangular, in place: on return h holds U (zeros below, ones on
  // the diagonal). Returns D, or nothing where a pivot is not positive (h is then garbage).
  virtual std::optional<std::vector<double>> factor_udu(MatrixView h) = 0;
  // b[N,K] <- b (U D Uᵀ)^-1, rows independent of each other; u [K,K] as factor_udu leaves it, d its
  // K pivots.
  virtual void solve_udu(ConstMatrixView u, std::span<const double> d, MatrixView b) = 0;
  // Many small systems on the host: a holds symmetric matrices [size,size], b as many right sides,
  // which become the solutions; zeros where a matrix is not positive definite. Of each matrix only
  // entries at and below the diagonal are read.
  virtual void solve_small(std::int64_t size, std::span<const double> a, std::span<double> b) = 0;
};

// One column block of the LDLQ sweep in which `length` consecutive rows of a column share a code,
// columns in processing order. Rows are cut into ceil(N/length) chunks, the last filled up with
// zeros.
struct VectorSweepArgs {
  ConstMatrixView u;  // [B,B], unit upper triangular; only what is above the diagonal is read
  ConstMatrixView centroids;  // F32 [C,length]
  ConstMatrixView residuals;  // F32 [R,length], a second code added to the first; data null: none
  std::int64_t beam = 1;      // nearest centroids that are each tried with their nearest residual
};

// Vectors and the codebooks that stand for them. Distances are those of the fp32 values in double
// precision, equal ones go to the lower index: every backend finds the same neighbours, however it
// looks for them. All values are finite.
class Vectors {
 public:
  virtual ~Vectors() = default;
  // labels[i] = argmin_c |x_i - centroid_c|² for x[T,V], centroids [C,V]; squares: empty, or T
  // distances squared. labels on entry are guesses (none where outside 0..C-1), which change the
  // time and nothing else.
  virtual void nearest(ConstMatrixView x, ConstMatrixView centroids, std::span<std::int32_t> labels,
                       std::span<double> squares) = 0;
  // The same labels; returns the sum of w_i |x_i - its centroid|² in double precision, of pieces of
  // 256 vectors in order, then of their sums in order. weights: T, or empty for ones.
  virtual double assign(ConstMatrixView x, std::span<const float> weights,
                        ConstMatrixView centroids, std::span<std::int32_t> labels) = 0;
  // Row-major [clusters, V + 1], in double precision: the sum of w_i x_i over the rows with each
  // label, then that of w_i. weights: T, or empty for ones.
  virtual std::vector<double> weighted_sums(ConstMatrixView x, std::span<const float> weights,
                                            std::span<const std::int32_t> labels,
                                            std::int64_t clusters) = 0;
  // Column by column, the chunks of target_k = t_k + sum_{j<k} (t0_j - q_j) u[j,k] become q_k =
  // centroid (+ residual): of the `beam` nearest centroids, each with the residual nearest to what
  // it leaves, the pair nearest to the target; the codes that stand in `indices` on entry compete
  // too (outside the codebook: none) and win ties, then the nearer centroid does. indices,
  // residual_indices (data null without residuals): I32 [ceil(N/length), B]. error (F32 [N,B]) =
  // t0 - q.
  virtual void sweep(const VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                     MatrixView indices, MatrixView residual_indices, MatrixView error) = 0;
};

// What a device can do at best, measured now.
struct Limits {
  double flops = 0;             // flop/s of its largest matrix products, in the backend's precision
  double bytes_per_second = 0;  // of its memory, bytes read and bytes written
};

class Backend {
 public:
  virtual ~Backend() = default;
  virtual std::string name() const = 0;  // "cpu (OpenBLAS 0.3.21, 2 threads)"
  virtual tensor::Device device() const = 0;
  // Rows of a hidden state that are worth computing at once.
  virtual std::int64_t tile_tokens() const { return 2048; }
  // Columns of a weight that are worth sweeping at once.
  virtual std::int64_t sweep_columns() const { return 128; }
  // Whether one large product takes less time than many small ones of half the work.
  virtual bool prefers_large_products() const { return false; }
  virtual Memory& memory() = 0;
  virtual Linalg& linalg() = 0;
  virtual Neural& neural() = 0;
  virtual Codec& codec() = 0;
  virtual Solve& solve() = 0;
  virtual Gradient& gradient() = 0;
  virtual Vectors& vectors() = 0;
  virtual Limits measure_limits() = 0;
  // Until everything asked for so far is done; only clocks need it.
  virtual void wait() {}
};

// Scalar, double-precision oracle of every function; slow.
std::unique_ptr<Backend> make_reference_backend();
// BLAS and OpenMP. threads <= 0: all cores.
std::unique_ptr<Backend> make_cpu_backend(int threads);

// What a GPU's tensor cores multiply in linear, gram and quadratic_form. Everything else is
// computed in fp32 or better under both.
enum class Precision : std::uint8_t {
  kF32,   // as good as fp32: products of BF16 halves, 2^-16 relative each
  kBF16,  // inputs rounded to BF16, sums in fp32
};
bool built_with_cuda();
// What CUDA devices this machine has, by ordinal; none where whit was built without CUDA.
std::vector<std::string> cuda_devices();
// Errors: kUnsupported where whit was built without CUDA or the GPU is too old; kUsage where there
// is no such device.
std::unique_ptr<Backend> make_cuda_backend(int ordinal, Precision precision);

}  // namespace whit::compute
