#include "formats/vptq.h"

#include <algorithm>
#include <bit>
#include <cmath>

#include "base/checked.h"
#include "base/error.h"
#include "numeric/float_codec.h"

namespace whit::formats {

namespace {

using base::check;
using base::ErrorKind;
using base::fail;
using scheme::VectorCodes;
using scheme::VectorLayout;
using tensor::Dtype;
using tensor::Shape;
using tensor::Tensor;
using tensor::TensorView;

constexpr std::string_view kIndices = "indices";
constexpr std::string_view kCentroids = "centroids.weight";
constexpr std::string_view kResiduals = "res_centroids.weight";
constexpr std::string_view kOutlierIndices = "outlier_indices";
constexpr std::string_view kOutlierCentroids = "outlier_centroids.weight";
constexpr std::string_view kPerm = "perm";
constexpr std::string_view kScale = "weight_scale";
constexpr std::string_view kOffset = "weight_bias";

int fields_bits(const VectorLayout& layout) {
  return index_bits(layout.centroids) + index_bits(layout.residuals);
}

std::int64_t row_words(const VectorLayout& layout, std::int64_t cols) {
  return base::ceil_div<std::int64_t>(layout.group_size(cols) * fields_bits(layout), 32);
}

// Columns [first, first + count) of I32 codes.
Tensor columns_of(const Tensor& codes, std::int64_t first, std::int64_t count) {
  Tensor out({codes.shape()[0], count}, Dtype::kI32);
  for (std::int64_t p = 0; p < codes.shape()[0]; ++p)
    std::copy_n(codes.as<std::int32_t>() + p * codes.shape()[1] + first, count,
                out.as<std::int32_t>() + p * count);
  return out;
}

void put_columns(const Tensor& from, Tensor& to, std::int64_t first) {
  const std::int64_t count = from.shape()[1];
  for (std::int64_t p = 0; p < from.shape()[0]; ++p)
    std::copy_n(from.as<std::int32_t>() + p * count, count,
                to.as<std::int32_t>() + p * to.shape()[1] + first);
}

Tensor narrowed(const Tensor& values, Shape shape, Dtype dtype) {
  Tensor out(std::move(shape), dtype);
  check(out.elements() == values.elements(), "encode_vptq: entries of a codebook");
  for (std::int64_t i = 0; i < out.elements(); ++i) {
    const float value = values.as<float>()[i];
    auto& stored = out.as<std::uint16_t>()[i];
    stored = dtype == Dtype::kBF16 ? numeric::f32_to_bf16(value) : numeric::f32_to_f16(value);
    const float back =
        dtype == Dtype::kBF16 ? numeric::bf16_to_f32(stored) : numeric::f16_to_f32(stored);
    check(std::bit_cast<std::uint32_t>(back) == std::bit_cast<std::uint32_t>(value),
          "encode_vptq: values exact in their dtype");
  }
  return out;
}

// Numbers of 0..65535 as the two's complement that their 16 bits are.
Tensor as_words16(const Tensor& numbers, Shape shape) {
  Tensor out(std::move(shape), Dtype::kI16);
  for (std::int64_t i = 0; i < out.elements(); ++i)
    out.as<std::uint16_t>()[i] = static_cast<std::uint16_t>(numbers.as<std::int32_t>()[i]);
  return out;
}

void check_codes(const Tensor& codes, const Shape& shape, std::int64_t entries) {
  check(codes.shape() == shape && codes.dtype() == Dtype::kI32, "encode_vptq: I32 indices");
  check(std::all_of(codes.as<std::int32_t>(), codes.as<std::int32_t>() + codes.elements(),
                    [&](std::int32_t c) { return c >= 0 && c < entries; }),
        "encode_vptq: indices within their codebook");
}

Tensor packed_indices(const VectorCodes& weight) {
  const VectorLayout& layout = weight.layout;
  const std::int64_t chunks = layout.chunks(weight.rows());
  const std::int64_t size = layout.group_size(weight.cols());
  const std::int64_t words = row_words(layout, weight.cols());
  Tensor out({layout.groups, chunks, words}, Dtype::kI32);
  for (std::int64_t g = 0; g < layout.groups; ++g) {
    const Tensor low = columns_of(weight.indices, g * size, size);
    const Tensor high =
        layout.residuals > 0 ? columns_of(weight.residual_indices, g * size, size) : Tensor();
    const Tensor packed =
        pack_indices(low, index_bits(layout.centroids), high, index_bits(layout.residuals));
    std::copy_n(packed.as<std::int32_t>(), packed.elements(),
                out.as<std::int32_t>() + g * chunks * words);
  }
  return out;
}

// One module of a checkpoint, held against its config.
class VectorReader {
 public:
  VectorReader(const StoredModule& stored, const VectorModule& config)
      : stored_(stored), config_(config), layout_(config.layout) {}

  VectorCodes read() {
    VectorCodes weight;
    weight.layout = layout_;
    weight.n_rows = config_.rows;
    weight.n_cols = config_.cols;
    read_indices(weight);
    const std::int64_t groups = layout_.groups;
    weight.dtype = view(kCentroids, {groups, layout_.centroids * layout_.length}).dtype;
    weight.centroids = values(kCentroids, {groups, layout_.centroids * layout_.length},
                              {groups * layout_.centroids, layout_.length});
    if (layout_.residuals > 0)
      weight.residuals = values(kResiduals, {groups, layout_.residuals * layout_.length},
                                {groups * layout_.residuals, layout_.length});
    if (layout_.outliers > 0) read_outliers(weight);
    if (layout_.permuted) weight.perm = order();
    if (layout_.normed) {
      weight.scale = values(kScale, {config_.cols}, {config_.cols});
      weight.offset = values(kOffset, {config_.cols}, {config_.cols});
    }
    refuse_the_rest();
    return weight;
  }

 private:
  TensorView view(std::string_view suffix, const Shape& shape) const {
    if (!stored_.has(suffix))
      fail(ErrorKind::kInput, stored_.subject(suffix), "missing; expected {}",
           tensor::to_string(shape));
    TensorView found = stored_.view(suffix);
    if (found.shape != shape)
      fail(ErrorKind::kInput, stored_.subject(suffix), "shape {}; expected {}",
           tensor::to_string(found.shape), tensor::to_string(shape));
    return found;
  }

  TensorView typed(std::string_view suffix, const Shape& shape, Dtype dtype) const {
    TensorView found = view(suffix, shape);
    if (found.dtype != dtype)
      fail(ErrorKind::kInput, stored_.subject(suffix), "dtype {}; expected {}",
           numeric::name_of(found.dtype), numeric::name_of(dtype));
    return found;
  }

  Tensor values(std::string_view suffix, const Shape& stored, Shape shape) const {
    view(suffix, stored);
    return tensor::make_f32(std::move(shape), stored_.scales(suffix));
  }

  void read_indices(VectorCodes& weight) const {
    const std::int64_t chunks = layout_.chunks(config_.rows);
    const std::int64_t words = row_words(layout_, config_.cols);
    const std::int64_t size = layout_.group_size(config_.cols);
    const TensorView all = typed(kIndices, {layout_.groups, chunks, words}, Dtype::kI32);
    weight.indices = Tensor({chunks, layout_.groups * size}, Dtype::kI32);
    if (layout_.residuals > 0)
      weight.residual_indices = Tensor(weight.indices.shape(), Dtype::kI32);
    for (std::int64_t g = 0; g < layout_.groups; ++g) {
      const TensorView part{all.data + g * chunks * words * 4, Dtype::kI32, {chunks, words}, {}};
      Tensor low({chunks, size}, Dtype::kI32);
      Tensor high({chunks, size}, Dtype::kI32);
      unpack_indices(part, index_bits(layout_.centroids), index_bits(layout_.residuals), low,
                     layout_.residuals > 0 ? &high : nullptr);
      put_columns(low, weight.indices, g * size);
      if (layout_.residuals > 0) put_columns(high, weight.residual_indices, g * size);
    }
  }

  void read_outliers(VectorCodes& weight) const {
    const std::int64_t chunks = layout_.outlier_chunks(config_.rows);
    weight.outlier_indices = numbers(kOutlierIndices, {1, chunks, layout_.outliers},
                                     {chunks, layout_.outliers}, layout_.outlier_centroids);
    weight.outlier_centroids =
        values(kOutlierCentroids, {1, layout_.outlier_centroids * layout_.outlier_length},
               {layout_.outlier_centroids, layout_.outlier_length});
  }

  // Sixteen-bit numbers without sign, each below `end`.
  Tensor numbers(std::string_view suffix, const Shape& stored, Shape shape,
                 std::int64_t end) const {
    const TensorView found = typed(suffix, stored, Dtype::kI16);
    Tensor out(std::move(shape), Dtype::kI32);
    for (std::int64_t i = 0; i < out.elements(); ++i) {
      const std::int32_t number = reinterpret_cast<const std::uint16_t*>(found.data)[i];
      if (number >= end)
        fail(ErrorKind::kInput, stored_.subject(suffix), "element {} is {}; expected less than {}",
             i, number, end);
      out.as<std::int32_t>()[i] = number;
    }
    return out;
  }

  Tensor order() const {
    Tensor perm = numbers(kPerm, {config_.cols}, {config_.cols}, config_.cols);
    std::vector<bool> seen(static_cast<std::size_t>(config_.cols), false);
    for (std::int64_t j = 0; j < config_.cols; ++j) {
      const auto column = static_cast<std::size_t>(perm.as<std::int32_t>()[j]);
      if (seen[column])
        fail(ErrorKind::kInput, stored_.subject(kPerm), "column {} twice; expected each once",
             column);
      seen[column] = true;
    }
    return perm;
  }

  // What the config does not speak of must not lie beside what it does.
  void refuse_the_rest() const {
    const auto refuse = [&](std::string_view suffix, bool expected) {
      if (!expected && stored_.has(suffix))
        fail(ErrorKind::kInput, stored_.subject(suffix),
             "there, though the config asks for none; expected it to be absent");
    };
    refuse(kResiduals, layout_.residuals > 0);
    refuse(kOutlierIndices, layout_.outliers > 0);
    refuse(kOutlierCentroids, layout_.outliers > 0);
    refuse(kPerm, layout_.permuted);
    refuse(kScale, layout_.normed);
    refuse(kOffset, layout_.normed);
  }

  const StoredModule& stored_;
  const VectorModule& config_;
  const VectorLayout& layout_;
};

}  // namespace

int index_bits(std::int64_t entries) {
  return entries <= 1 ? 0
                      : static_cast<int>(std::bit_width(static_cast<std::uint64_t>(entries - 1)));
}

Tensor pack_indices(const Tensor& low, int low_bits, const Tensor& high, int high_bits) {
  const int bits = low_bits + high_bits;
  check(low_bits >= 1 && bits <= 32, "pack_indices: 1..32 bits");
  const std::int64_t rows = low.shape()[0];
  const std::int64_t cols = low.shape()[1];
  const std::int64_t words = base::ceil_div<std::int64_t>(cols * bits, 32);
  Tensor out({rows, words}, Dtype::kI32);
  for (std::int64_t p = 0; p < rows; ++p) {
    auto* to = out.as<std::uint32_t>() + p * words;
    for (std::int64_t j = 0; j < cols; ++j) {
      std::uint64_t field = low.as<std::uint32_t>()[p * cols + j];
      if (high_bits > 0) field |= std::uint64_t{high.as<std::uint32_t>()[p * cols + j]} << low_bits;
      const std::int64_t at = j * bits;
      const std::uint64_t shifted = field << (at % 32);
      to[at / 32] |= static_cast<std::uint32_t>(shifted);
      if (at % 32 + bits > 32) to[at / 32 + 1] |= static_cast<std::uint32_t>(shifted >> 32);
    }
  }
  return out;
}

void unpack_indices(const TensorView& words, int low_bits, int high_bits, Tensor& low,
                    Tensor* high) {
  const int bits = low_bits + high_bits;
  check(low_bits >= 1 && bits <= 32, "unpack_indices: 1..32 bits");
  const std::int64_t rows = low.shape()[0];
  const std::int64_t cols = low.shape()[1];
  const std::int64_t row_words = words.shape[1];
  check(words.shape[0] == rows && row_words == base::ceil_div<std::int64_t>(cols * bits, 32),
        "unpack_indices: words of every row");
  const std::uint64_t low_mask = (std::uint64_t{1} << low_bits) - 1;
  const std::uint64_t high_mask = (std::uint64_t{1} << high_bits) - 1;
  for (std::int64_t p = 0; p < rows; ++p) {
    const auto* from = reinterpret_cast<const std::uint32_t*>(words.data) + p * row_words;
    for (std::int64_t j = 0; j < cols; ++j) {
      const std::int64_t at = j * bits;
      std::uint64_t field = from[at / 32];
      if (at % 32 + bits > 32) field |= std::uint64_t{from[at / 32 + 1]} << 32;
      field >>= at % 32;
      low.as<std::int32_t>()[p * cols + j] = static_cast<std::int32_t>(field & low_mask);
      if (high != nullptr)
        high->as<std::int32_t>()[p * cols + j] =
            static_cast<std::int32_t>((field >> low_bits) & high_mask);
    }
  }
}

std::vector<checkpoint::SafetensorsWriter::Entry> vptq_layout(const std::string& module,
                                                              std::int64_t rows, std::int64_t cols,
                                                              const VectorLayout& layout,
                                                              Dtype dtype) {
  check(dtype == Dtype::kBF16 || dtype == Dtype::kF16, "vptq_layout: codebooks in BF16 or F16");
  check(layout.residuals == 0 || index_bits(layout.residuals) > 0, "vptq_layout: residuals");
  const auto name = [&](std::string_view suffix) { return module + "." + std::string(suffix); };
  std::vector<checkpoint::SafetensorsWriter::Entry> entries{
      {name(kIndices), Dtype::kI32, {layout.groups, layout.chunks(rows), row_words(layout, cols)}},
      {name(kCentroids), dtype, {layout.groups, layout.centroids * layout.length}}};
  if (layout.residuals > 0)
    entries.push_back({name(kResiduals), dtype, {layout.groups, layout.residuals * layout.length}});
  if (layout.permuted) {
    check(cols <= 65536, "vptq_layout: columns that 16 bits can name");
    entries.push_back({name(kPerm), Dtype::kI16, {cols}});
  }
  if (layout.normed) {
    entries.push_back({name(kScale), dtype, {cols}});
    entries.push_back({name(kOffset), dtype, {cols}});
  }
  if (layout.outliers > 0) {
    entries.push_back(
        {name(kOutlierIndices), Dtype::kI16, {1, layout.outlier_chunks(rows), layout.outliers}});
    entries.push_back(
        {name(kOutlierCentroids), dtype, {1, layout.outlier_centroids * layout.outlier_length}});
  }
  return entries;
}

std::vector<NamedTensor> encode_vptq(const std::string& module, const VectorCodes& weight) {
  const VectorLayout& layout = weight.layout;
  const Shape codes{layout.chunks(weight.rows()), weight.cols() - layout.outliers};
  check_codes(weight.indices, codes, layout.centroids);
  if (layout.residuals > 0) check_codes(weight.residual_indices, codes, layout.residuals);
  if (layout.outliers > 0)
    check_codes(weight.outlier_indices, {layout.outlier_chunks(weight.rows()), layout.outliers},
                layout.outlier_centroids);
  check(layout.permuted == !weight.perm.empty() && layout.normed == !weight.scale.empty(),
        "encode_vptq: order and norm as the layout says");
  std::vector<NamedTensor> tensors;
  for (auto& entry : vptq_layout(module, weight.rows(), weight.cols(), layout, weight.dtype)) {
    const std::string_view suffix = std::string_view(entry.name).substr(module.size() + 1);
    tensor::Tensor data;
    if (suffix == kIndices)
      data = packed_indices(weight);
    else if (suffix == kPerm)
      data = as_words16(weight.perm, entry.shape);
    else if (suffix == kOutlierIndices)
      data = as_words16(weight.outlier_indices, entry.shape);
    else
      data = narrowed(suffix == kCentroids          ? weight.centroids
                      : suffix == kResiduals        ? weight.residuals
                      : suffix == kOutlierCentroids ? weight.outlier_centroids
                      : suffix == kScale            ? weight.scale
                                                    : weight.offset,
                      entry.shape, entry.dtype);
    tensors.push_back({std::move(entry.name), std::move(data)});
  }
  return tensors;
}

VectorCodes read_vptq(const StoredModule& stored, const VectorModule& config) {
  return VectorReader(stored, config).read();
}

}  // namespace whit::formats
