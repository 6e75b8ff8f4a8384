#include <algorithm>
#include <cstring>

#include "base/checked.h"
#include "base/error.h"
#include "formats/bit_packing.h"
#include "formats/stored_module.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using scheme::GroupedInt;
using scheme::NumberType;
using scheme::QuantArgs;
using scheme::Strategy;
using tensor::Dtype;
using tensor::Shape;
using tensor::TensorView;

struct Extent {
  std::int64_t rows = 0;
  std::int64_t cols = 0;
};

Extent read_weight_shape(const StoredModule& stored) {
  if (!stored.has("weight_shape"))
    fail(ErrorKind::kInput, stored.subject("weight_shape"), "missing; weight_packed needs it");
  const TensorView view = stored.view("weight_shape");
  const bool good =
      (view.dtype == Dtype::kI64 || view.dtype == Dtype::kI32) && view.shape == Shape{2};
  if (!good)
    fail(ErrorKind::kInput, stored.subject("weight_shape"), "{} {}; expected I64 [2]",
         numeric::name_of(view.dtype), tensor::to_string(view.shape));
  std::int64_t extents[2] = {0, 0};
  for (std::size_t i = 0; i < 2; ++i) {
    if (view.dtype == Dtype::kI64) {
      std::memcpy(&extents[i], view.data + 8 * i, 8);
    } else {
      std::int32_t narrow = 0;
      std::memcpy(&narrow, view.data + 4 * i, 4);
      extents[i] = narrow;
    }
  }
  if (extents[0] <= 0 || extents[1] <= 0)
    fail(ErrorKind::kInput, stored.subject("weight_shape"), "[{}, {}]; expected positive extents",
         extents[0], extents[1]);
  return {extents[0], extents[1]};
}

struct Fields {
  int bits = 0;
  WordPacking packing = WordPacking::kDense;
};

// The config's bits where they fit the columns; without a config, the only bits that do.
Fields fields_of(const StoredModule& stored, std::int64_t cols, std::int64_t words) {
  const std::string subject = stored.subject("weight_packed");
  if (const QuantArgs* args = stored.args(NumberType::kInt)) {
    if (const auto packing = packing_of(cols, args->num_bits, words))
      return {args->num_bits, *packing};
    fail(ErrorKind::kInput, subject, "{} words a row; {} columns of {} bits need {}", words, cols,
         args->num_bits, words_of(cols, args->num_bits, WordPacking::kDense));
  }
  const std::int64_t full = words * 32 / cols;  // of rows that fill their last word
  if (words * 32 % cols == 0 && full >= 2 && full <= 8)
    return {static_cast<int>(full), WordPacking::kDense};
  for (const WordPacking packing : {WordPacking::kDense, WordPacking::kWholeElements}) {
    std::vector<int> fits;
    for (int bits = 2; bits <= 8; ++bits)
      if (words_of(cols, bits, packing) == words) fits.push_back(bits);
    if (fits.size() == 1) return {fits[0], packing};
    if (fits.size() > 1)
      fail(ErrorKind::kInput, subject,
           "{} words for {} columns fit {} to {} bits; expected a config", words, cols,
           fits.front(), fits.back());
  }
  fail(ErrorKind::kInput, subject,
       "{} words a row for {} columns fit no number of bits; expected 2..8", words, cols);
}

struct Grid {
  Strategy strategy = Strategy::kGroup;
  std::int64_t groups = 1;
  std::int64_t group_size = 0;
};

[[noreturn]] void fail_scale(const StoredModule& stored, const Shape& found,
                             const std::string& expected) {
  fail(ErrorKind::kInput, stored.subject("weight_scale"), "shape {}; expected {}",
       tensor::to_string(found), expected);
}

Grid grid_by_config(const StoredModule& stored, const Shape& shape, Extent extent,
                    const QuantArgs& args) {
  switch (args.strategy) {
    case Strategy::kTensor:
      if (tensor::element_count(shape) != 1) fail_scale(stored, shape, "[1] (strategy tensor)");
      return {Strategy::kTensor, 1, extent.cols};
    case Strategy::kChannel:
      if (shape != Shape{extent.rows, 1} && shape != Shape{extent.rows})
        fail_scale(stored, shape, fmt::format("[{}, 1] (strategy channel)", extent.rows));
      return {Strategy::kChannel, 1, extent.cols};
    case Strategy::kGroup: {
      const std::int64_t groups = base::ceil_div(extent.cols, args.group_size);
      if (shape != Shape{extent.rows, groups})
        fail_scale(stored, shape,
                   fmt::format("[{}, {}] (groups of {})", extent.rows, groups, args.group_size));
      return {Strategy::kGroup, groups, args.group_size};
    }
    default:
      fail(ErrorKind::kUnsupported, stored.subject("weight_scale"),
           "strategy {} of integers; expected tensor, channel or group",
           scheme::name_of(args.strategy));
  }
}

Grid grid_by_shape(const StoredModule& stored, const Shape& shape, Extent extent) {
  if (shape.size() < 2 && tensor::element_count(shape) == 1)
    return {Strategy::kTensor, 1, extent.cols};
  if (shape == Shape{extent.rows, 1} || shape == Shape{extent.rows})
    return {Strategy::kChannel, 1, extent.cols};
  const bool grouped =
      shape.size() == 2 && shape[0] == extent.rows && shape[1] > 0 && extent.cols % shape[1] == 0;
  if (!grouped)
    fail_scale(
        stored, shape,
        fmt::format("[1], [{0}, 1] or [{0}, groups that divide {1}]", extent.rows, extent.cols));
  return {Strategy::kGroup, shape[1], extent.cols / shape[1]};
}

// Zero points, I8 [rows, groups]: packed along the rows, or plain.
tensor::Tensor read_zeros(const StoredModule& stored, Extent extent, const Grid& grid,
                          Fields fields) {
  const TensorView view = stored.view("weight_zero_point");
  const std::string subject = stored.subject("weight_zero_point");
  tensor::Tensor zeros({extent.rows, grid.groups}, Dtype::kI8);
  auto* out = zeros.as<std::int8_t>();
  const bool two = view.shape.size() == 2 && view.shape[1] == grid.groups;
  const auto packing = two ? packing_of(extent.rows, fields.bits, view.shape[0]) : std::nullopt;
  if (view.dtype == Dtype::kI32 && packing) {
    const WordPacking used = words_of(extent.rows, fields.bits, fields.packing) == view.shape[0]
                                 ? fields.packing
                                 : *packing;
    const auto* words = reinterpret_cast<const std::uint32_t*>(view.data);
    for (std::int64_t g = 0; g < grid.groups; ++g)
      unpack_codes(words + g, grid.groups, extent.rows, fields.bits, used, out + g, grid.groups);
    return zeros;
  }
  const std::int64_t count = view.elements();
  const bool plain = view.dtype == Dtype::kI8 && (count == 1 || count == zeros.elements());
  if (!plain || (count == 1 && grid.strategy != Strategy::kTensor && zeros.elements() != 1))
    fail(ErrorKind::kInput, subject, "{} {}; expected I32 [{}, {}] or I8 like the scales",
         numeric::name_of(view.dtype), tensor::to_string(view.shape),
         words_of(extent.rows, fields.bits, WordPacking::kDense), grid.groups);
  const auto* values = reinterpret_cast<const std::int8_t*>(view.data);
  for (std::int64_t i = 0; i < zeros.elements(); ++i) {
    const std::int8_t zero = values[count == 1 ? 0 : i];
    if (zero < scheme::code_min(fields.bits) || zero > scheme::code_max(fields.bits))
      fail(ErrorKind::kInput, subject, "zero point {}; expected {} bits", zero, fields.bits);
    out[i] = zero;
  }
  return zeros;
}

// weight_g_idx where it says more than k / group_size; a -1 means that it was never filled.
std::vector<std::int32_t> read_group_index(const StoredModule& stored, Extent extent,
                                           const Grid& grid) {
  if (!stored.has("weight_g_idx")) return {};
  const TensorView view = stored.view("weight_g_idx");
  const std::string subject = stored.subject("weight_g_idx");
  if (view.dtype != Dtype::kI32 || view.shape != Shape{extent.cols})
    fail(ErrorKind::kInput, subject, "{} {}; expected I32 [{}]", numeric::name_of(view.dtype),
         tensor::to_string(view.shape), extent.cols);
  const auto* values = reinterpret_cast<const std::int32_t*>(view.data);
  const std::vector<std::int32_t> index(values, values + extent.cols);
  if (std::find(index.begin(), index.end(), -1) != index.end()) return {};
  bool contiguous = true;
  for (std::int64_t k = 0; k < extent.cols; ++k) {
    const std::int32_t group = index[static_cast<std::size_t>(k)];
    if (group < 0 || group >= grid.groups)
      fail(ErrorKind::kInput, subject, "element {} is {}; expected a group of 0..{}", k, group,
           grid.groups - 1);
    contiguous = contiguous && group == k / grid.group_size;
  }
  return contiguous ? std::vector<std::int32_t>{} : index;
}

template <typename T>
tensor::Tensor spread(const tensor::Tensor& grouped, const std::vector<std::int32_t>& index) {
  const std::int64_t rows = grouped.shape()[0];
  const std::int64_t groups = grouped.shape()[1];
  const auto cols = static_cast<std::int64_t>(index.size());
  tensor::Tensor out({rows, cols}, grouped.dtype());
  for (std::int64_t n = 0; n < rows; ++n)
    for (std::int64_t k = 0; k < cols; ++k)
      out.as<T>()[n * cols + k] = grouped.as<T>()[n * groups + index[static_cast<std::size_t>(k)]];
  return out;
}

// Scales, zero points and groups of a weight whose codes are there already.
void read_grid(const StoredModule& stored, Fields fields, GroupedInt* weight) {
  if (!stored.has("weight_scale"))
    fail(ErrorKind::kInput, stored.subject("weight_scale"), "missing; the codes need it");
  const TensorView scale = stored.view("weight_scale");
  const Extent extent{weight->rows(), weight->cols()};
  const QuantArgs* args = stored.args(NumberType::kInt);
  const Grid grid = args != nullptr ? grid_by_config(stored, scale.shape, extent, *args)
                                    : grid_by_shape(stored, scale.shape, extent);
  const std::vector<float> values = stored.scales("weight_scale");
  weight->bits = fields.bits;
  weight->group_size = grid.group_size;
  weight->channel = grid.strategy != Strategy::kGroup;
  weight->scale_dtype = scale.dtype;
  weight->scales = tensor::Tensor({extent.rows, grid.groups}, Dtype::kF32);
  for (std::int64_t i = 0; i < weight->scales.elements(); ++i)
    weight->scales.as<float>()[i] =
        values[grid.strategy == Strategy::kTensor ? 0 : static_cast<std::size_t>(i)];

  const bool stored_zeros = stored.has("weight_zero_point");
  if (stored_zeros) {
    tensor::Tensor zeros = read_zeros(stored, extent, grid, fields);
    const auto* first = zeros.as<std::int8_t>();
    const bool all_zero =
        std::all_of(first, first + zeros.elements(), [](std::int8_t z) { return z == 0; });
    if (args == nullptr || !args->symmetric) {
      weight->zeros = std::move(zeros);
    } else if (!all_zero) {
      fail(ErrorKind::kInput, stored.subject("weight_zero_point"),
           "zero points other than 0 in a symmetric scheme; expected none");
    }
  } else if (args != nullptr && !args->symmetric) {
    fail(ErrorKind::kInput, stored.subject("weight_zero_point"),
         "missing; the config says asymmetric");
  }
  const std::vector<std::int32_t> index = read_group_index(stored, extent, grid);
  if (index.empty()) return;
  weight->scales = spread<float>(weight->scales, index);
  if (!weight->symmetric()) weight->zeros = spread<std::int8_t>(weight->zeros, index);
  weight->group_size = 1;
  weight->channel = false;
}

}  // namespace

GroupedInt read_packed_int(const StoredModule& stored) {
  const TensorView packed = stored.view("weight_packed");
  const std::string subject = stored.subject("weight_packed");
  if (packed.shape.size() != 2)
    fail(packed.shape.size() == 3 ? ErrorKind::kUnsupported : ErrorKind::kInput, subject,
         "shape {}; expected [rows, words]", tensor::to_string(packed.shape));
  const Extent extent = read_weight_shape(stored);
  const std::int64_t words = packed.shape[1];
  if (packed.shape[0] != extent.rows)
    fail(ErrorKind::kInput, subject, "{} rows; weight_shape says {}", packed.shape[0], extent.rows);
  // A code takes a bit at least; this bounds what is allocated by what lies in the file.
  if (extent.cols / 32 > words)
    fail(ErrorKind::kInput, subject, "{} words a row; weight_shape says {} columns", words,
         extent.cols);
  const Fields fields = fields_of(stored, extent.cols, words);
  GroupedInt weight;
  weight.codes = tensor::Tensor({extent.rows, extent.cols}, Dtype::kI8);
  for (std::int64_t n = 0; n < extent.rows; ++n)
    unpack_codes(reinterpret_cast<const std::uint32_t*>(packed.data) + n * words, 1, extent.cols,
                 fields.bits, fields.packing, weight.codes.as<std::int8_t>() + n * extent.cols, 1);
  read_grid(stored, fields, &weight);
  return weight;
}

GroupedInt read_plain_int(const StoredModule& stored) {
  const TensorView codes = stored.view("weight");
  if (codes.shape.size() != 2 || codes.elements() == 0)
    fail(ErrorKind::kInput, stored.subject("weight"), "shape {}; expected [rows, columns]",
         tensor::to_string(codes.shape));
  const QuantArgs* args = stored.args(NumberType::kInt);
  GroupedInt weight;
  weight.codes = tensor::Tensor(codes.shape, Dtype::kI8);
  std::memcpy(weight.codes.data(), codes.data, static_cast<std::size_t>(codes.bytes()));
  const Fields fields{args != nullptr ? args->num_bits : 8, WordPacking::kDense};
  const auto* first = weight.codes.as<std::int8_t>();
  for (std::int64_t i = 0; i < codes.elements(); ++i)
    if (first[i] < scheme::code_min(fields.bits) || first[i] > scheme::code_max(fields.bits))
      fail(ErrorKind::kInput, stored.subject("weight"), "code {}; expected {} bits", first[i],
           fields.bits);
  read_grid(stored, fields, &weight);
  return weight;
}

}  // namespace whit::formats
