#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

namespace whit::numeric {

// Element types as safetensors names them; each is kept as what it is, never as a look-alike.
enum class Dtype : std::uint8_t {
  kBool,
  kU8,
  kI8,
  kU16,
  kI16,
  kU32,
  kI32,
  kU64,
  kI64,
  kF16,
  kBF16,
  kF32,
  kF64,
  kF8E4M3,  // E4M3FN: no infinities, 448 is the largest
  kF8E5M2,
  kF8E8M0,  // a power of two, 2^(byte-127)
  kF4E2M1,  // two codes a byte
};

// Bits of one element.
int bits_of(Dtype dtype);

// The safetensors spelling ("F8_E4M3") and back.
std::string_view name_of(Dtype dtype);
std::optional<Dtype> dtype_from_name(std::string_view safetensors_name);

bool is_floating(Dtype dtype);

}  // namespace whit::numeric
