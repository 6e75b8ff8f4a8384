#include "quant/coded_columns.h"

#include <algorithm>
#include <span>

#include "base/checked.h"
#include "numeric/round_to.h"

namespace whit::quant {

namespace {

using compute::Transpose;
using tensor::ConstMatrixView;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;

Tensor no_codes(compute::Backend& backend, std::int64_t chunks, std::int64_t count) {
  Tensor host({chunks, count}, Dtype::kI32);
  std::fill_n(host.as<std::int32_t>(), host.elements(), -1);
  return backend.memory().upload(host.view());
}

CodedColumns make_part(compute::Backend& backend, std::int64_t rows, std::int64_t first,
                       std::int64_t count, std::int64_t length) {
  CodedColumns part;
  part.first = first;
  part.count = count;
  part.length = length;
  part.indices = no_codes(backend, base::ceil_div(rows, length), count);
  return part;
}

// Calls body(part, b, size) for every block of columns, b counted within the part.
template <typename Body>
void for_blocks(std::vector<CodedColumns>& parts, std::int64_t block_size, const Body& body) {
  for (CodedColumns& part : parts)
    for (std::int64_t b = 0; b < part.count; b += block_size)
      body(part, b, std::min(block_size, part.count - b));
}

compute::VectorSweepArgs args_of(const CodedColumns& part, ConstMatrixView u, std::int64_t beam) {
  compute::VectorSweepArgs args;
  args.u = u;
  args.centroids = part.centroids.matrix();
  if (part.coded_twice()) args.residuals = part.residuals.matrix();
  args.beam = beam;
  return args;
}

void sweep_block(compute::Backend& backend, CodedColumns& part, std::int64_t b,
                 const compute::VectorSweepArgs& args, ConstMatrixView t0, ConstMatrixView t,
                 MatrixView error) {
  const auto block = [&](Tensor& codes) {
    return codes.empty() ? MatrixView{} : codes.matrix().sub(0, codes.shape()[0], b, t.cols);
  };
  backend.vectors().sweep(args, t0, t, block(part.indices), block(part.residual_indices), error);
}

// `count` rows of a book after those of earlier parts.
void append_rows(const Tensor& from, Tensor& to, std::int64_t row) {
  std::copy_n(from.as<float>(), from.elements(), to.as<float>() + row * to.shape()[1]);
}

void append_columns(const Tensor& from, Tensor& to, std::int64_t column) {
  const std::int64_t count = from.shape()[1];
  for (std::int64_t p = 0; p < from.shape()[0]; ++p)
    std::copy_n(from.as<std::int32_t>() + p * count, count,
                to.as<std::int32_t>() + p * to.shape()[1] + column);
}

Tensor rows_of(const Tensor& book, std::int64_t first, std::int64_t count) {
  Tensor out({count, book.shape()[1]}, Dtype::kF32);
  std::copy_n(book.as<float>() + first * book.shape()[1], out.elements(), out.as<float>());
  return out;
}

}  // namespace

std::vector<CodedColumns> cut_columns(compute::Backend& backend, const scheme::VectorLayout& layout,
                                      std::int64_t rows, std::int64_t cols) {
  std::vector<CodedColumns> parts;
  if (layout.outliers > 0)
    parts.push_back(make_part(backend, rows, 0, layout.outliers, layout.outlier_length));
  const std::int64_t size = layout.group_size(cols);
  for (std::int64_t g = 0; g < layout.groups; ++g)
    parts.push_back(make_part(backend, rows, layout.outliers + g * size, size, layout.length));
  return parts;
}

void forget_codes(compute::Backend& backend, std::vector<CodedColumns>& parts) {
  for (CodedColumns& part : parts) {
    const auto& shape = part.indices.shape();
    part.indices = no_codes(backend, shape[0], shape[1]);
    if (part.coded_twice()) part.residual_indices = no_codes(backend, shape[0], shape[1]);
  }
}

void VectorSweep::run(const Factor& factor, std::vector<CodedColumns>& parts, MatrixView error,
                      MatrixView rounded) const {
  const std::int64_t rows = target.rows;
  const ConstMatrixView u = factor.u.matrix();
  Tensor scratch = backend.memory().allocate({rows, block_size}, Dtype::kF32);
  for_blocks(parts, block_size, [&](CodedColumns& part, std::int64_t b, std::int64_t size) {
    const std::int64_t at = part.first + b;
    const ConstMatrixView t0 = target.sub(0, rows, at, size);
    const MatrixView t = scratch.matrix().sub(0, rows, 0, size);
    const MatrixView lost = error.sub(0, rows, at, size);
    const ConstMatrixView corner = u.sub(at, size, at, size);
    backend.memory().copy(t0, t);
    if (at > 0)
      backend.linalg().gemm(1.0F, error.sub(0, rows, 0, at), Transpose::kNo, u.sub(0, at, at, size),
                            Transpose::kNo, 1.0F, t);
    sweep_block(backend, part, b, args_of(part, corner, beam), t0, t, lost);
    if (rounded.data == nullptr) return;
    const MatrixView off = rounded.sub(0, rows, at, size);
    backend.memory().copy(t, off);
    backend.linalg().scale_add(1.0F, off, -1.0F, t0);
    backend.linalg().gemm(1.0F, lost, Transpose::kNo, corner, Transpose::kNo, 1.0F, off);
  });
}

void VectorSweep::descend(ConstMatrixView h, std::vector<CodedColumns>& parts,
                          MatrixView error) const {
  const std::int64_t rows = target.rows;
  Tensor scratch = backend.memory().allocate({3 * rows, block_size}, Dtype::kF32);
  for_blocks(parts, block_size, [&](CodedColumns& part, std::int64_t b, std::int64_t size) {
    const std::int64_t at = part.first + b;
    const MatrixView lost = error.sub(0, rows, at, size);
    const MatrixView q = scratch.matrix().sub(0, rows, 0, size);
    const MatrixView t = scratch.matrix().sub(rows, rows, 0, size);
    const MatrixView moved = scratch.matrix().sub(2 * rows, rows, 0, size);
    backend.memory().copy(target.sub(0, rows, at, size), q);
    backend.linalg().scale_add(1.0F, q, -1.0F, lost);
    backend.memory().copy(q, t);
    backend.linalg().gemm(1.0F, error, Transpose::kNo, h.sub(0, h.rows, at, size), Transpose::kNo,
                          1.0F, t);
    sweep_block(backend, part, b, args_of(part, h.sub(at, size, at, size), beam), q, t, moved);
    backend.linalg().scale_add(1.0F, lost, 1.0F, moved);
  });
}

scheme::VectorCodes assemble(compute::Backend& backend, const scheme::VectorLayout& layout,
                             const std::vector<CodedColumns>& parts, std::int64_t rows,
                             std::int64_t cols, Dtype dtype) {
  scheme::VectorCodes codes;
  codes.layout = layout;
  codes.n_rows = rows;
  codes.n_cols = cols;
  codes.dtype = dtype;
  const std::int64_t chunks = layout.chunks(rows);
  const std::int64_t plain = cols - layout.outliers;
  codes.indices = Tensor({chunks, plain}, Dtype::kI32);
  codes.centroids = Tensor({layout.groups * layout.centroids, layout.length}, Dtype::kF32);
  if (layout.residuals > 0) {
    codes.residual_indices = Tensor({chunks, plain}, Dtype::kI32);
    codes.residuals = Tensor({layout.groups * layout.residuals, layout.length}, Dtype::kF32);
  }
  std::int64_t group = 0;
  for (const CodedColumns& part : parts) {
    const auto host = [&](const Tensor& t) { return backend.memory().download(t.view()); };
    if (part.first < layout.outliers) {
      codes.outlier_indices = host(part.indices);
      codes.outlier_centroids = host(part.centroids);
      continue;
    }
    append_columns(host(part.indices), codes.indices, part.first - layout.outliers);
    append_rows(host(part.centroids), codes.centroids, group * layout.centroids);
    if (part.coded_twice()) {
      append_columns(host(part.residual_indices), codes.residual_indices,
                     part.first - layout.outliers);
      append_rows(host(part.residuals), codes.residuals, group * layout.residuals);
    }
    ++group;
  }
  return codes;
}

void take_books(compute::Backend& backend, scheme::VectorCodes& codes,
                std::vector<CodedColumns>& parts) {
  for (Tensor* book : {&codes.centroids, &codes.residuals, &codes.outlier_centroids})
    for (std::int64_t i = 0; !book->empty() && i < book->elements(); ++i)
      book->as<float>()[i] = numeric::round_to(book->as<float>()[i], codes.dtype);
  const scheme::VectorLayout& layout = codes.layout;
  std::int64_t group = 0;
  for (CodedColumns& part : parts) {
    if (part.first < layout.outliers) {
      part.centroids = backend.memory().upload(codes.outlier_centroids.view());
      continue;
    }
    const auto take = [&](const Tensor& book, std::int64_t count) {
      return backend.memory().upload(rows_of(book, group * count, count).view());
    };
    part.centroids = take(codes.centroids, layout.centroids);
    if (part.coded_twice()) part.residuals = take(codes.residuals, layout.residuals);
    ++group;
  }
}

}  // namespace whit::quant
