#include "numeric/dtype.h"

#include <array>

namespace whit::numeric {

namespace {

struct DtypeRow {
  Dtype dtype;
  std::string_view name;
  int bits;
  bool floating;
};

constexpr std::array<DtypeRow, 17> kRows{{
    {Dtype::kBool, "BOOL", 8, false},
    {Dtype::kU8, "U8", 8, false},
    {Dtype::kI8, "I8", 8, false},
    {Dtype::kU16, "U16", 16, false},
    {Dtype::kI16, "I16", 16, false},
    {Dtype::kU32, "U32", 32, false},
    {Dtype::kI32, "I32", 32, false},
    {Dtype::kU64, "U64", 64, false},
    {Dtype::kI64, "I64", 64, false},
    {Dtype::kF16, "F16", 16, true},
    {Dtype::kBF16, "BF16", 16, true},
    {Dtype::kF32, "F32", 32, true},
    {Dtype::kF64, "F64", 64, true},
    {Dtype::kF8E4M3, "F8_E4M3", 8, true},
    {Dtype::kF8E5M2, "F8_E5M2", 8, true},
    {Dtype::kF8E8M0, "F8_E8M0", 8, true},
    {Dtype::kF4E2M1, "F4", 4, true},
}};

constexpr bool rows_are_in_enum_order() {
  for (std::size_t i = 0; i < kRows.size(); ++i)
    if (static_cast<std::size_t>(kRows[i].dtype) != i) return false;
  return true;
}
static_assert(rows_are_in_enum_order());

const DtypeRow& row_of(Dtype dtype) {
  return kRows[static_cast<std::size_t>(dtype)];
}

}  // namespace

int bits_of(Dtype dtype) {
  return row_of(dtype).bits;
}
std::string_view name_of(Dtype dtype) {
  return row_of(dtype).name;
}
bool is_floating(Dtype dtype) {
  return row_of(dtype).floating;
}

std::optional<Dtype> dtype_from_name(std::string_view safetensors_name) {
  for (const DtypeRow& row : kRows)
    if (row.name == safetensors_name) return row.dtype;
  return std::nullopt;
}

}  // namespace whit::numeric
