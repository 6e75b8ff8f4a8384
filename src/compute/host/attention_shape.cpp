#include "compute/host/attention_shape.h"

#include "base/error.h"

namespace whit::compute::host {

namespace {

bool fits(const HeadView& view, std::int64_t heads) {
  return view.dim > 0 && view.first_col >= 0 && view.head_stride >= 0 &&
         view.first_col + (heads - 1) * view.head_stride + view.dim <= view.data.cols;
}

}  // namespace

void check_attention(const AttentionArgs& args, ConstMatrixView out) {
  base::check(args.kv_heads >= 1 && args.heads % args.kv_heads == 0, "attention: heads");
  base::check(
      fits(args.q, args.heads) && fits(args.k, args.kv_heads) && fits(args.v, args.kv_heads),
      "attention: columns");
  base::check(!args.k_shared || fits(*args.k_shared, 1), "attention: shared key columns");
  const std::int64_t shared = args.k_shared ? args.k_shared->dim : 0;
  base::check(args.q.dim == args.k.dim + shared, "attention: query and key width");
  const std::int64_t keys = args.k.data.rows;
  base::check(args.v.data.rows == keys && (!args.k_shared || args.k_shared->data.rows == keys),
              "attention: key and value rows");
  base::check(args.key_bias.data == nullptr ||
                  (args.key_bias.rows == args.heads && args.key_bias.cols >= keys),
              "attention: bias of keys");
  base::check(args.q.data.rows <= keys, "attention: more queries than keys");
  base::check(out.rows == args.q.data.rows && out.cols == args.heads * args.v.dim,
              "attention: output extents");
}

void check_attention_gradient(const AttentionArgs& args, ConstMatrixView out_gradient,
                              const AttentionGradients& out) {
  check_attention(args, out_gradient);
  const std::int64_t tokens = out_gradient.rows;
  const auto has = [&](const MatrixView& m, std::int64_t cols) {
    return m.rows == tokens && m.cols == cols;
  };
  base::check(args.k.data.rows == tokens, "gradient of attention: whole sequences");
  base::check(has(out.q, args.heads * args.q.dim) && has(out.k, args.kv_heads * args.k.dim) &&
                  has(out.v, args.kv_heads * args.v.dim) &&
                  (!args.k_shared || has(out.k_shared, args.k_shared->dim)),
              "gradient of attention: extents");
}

void check_norm_gradient(ConstMatrixView x, ConstMatrixView out_gradient, ConstMatrixView out) {
  base::check(x.rows == out.rows && x.cols == out.cols && x.rows == out_gradient.rows &&
                  x.cols == out_gradient.cols,
              "gradient of a norm: extents");
}

}  // namespace whit::compute::host
