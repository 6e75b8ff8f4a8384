#pragma once

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "pickle/document.h"

namespace whit::pickle {

// Names that NumPy's own pickles consist of, of versions 1 and 2.
std::span<const std::string_view> numpy_globals();

// An element type as NumPy names it: 'i', 'u', 'f', 'b', 'O' (values of the pickle), 'S', 'U', 'M',
// 'm', 'V'; `size` in bytes of one element.
struct ArrayType {
  char kind = 'f';
  std::size_t size = 8;
  bool big_endian = false;
  bool operator==(const ArrayType&) const = default;
};

// A numpy.ndarray of a pickle. Bytes are a view of the pickle, unless it had to be decoded.
struct Array {
  ArrayType type;
  std::vector<std::uint64_t> shape;  // empty: a scalar
  bool fortran_order = false;        // the first index varies fastest
  std::string_view bytes;            // of all kinds but 'O'; exactly as many as the shape needs
  std::shared_ptr<const std::string> decoded;  // owner of `bytes`, where protocol 2 recoded them
  std::span<const ValueId> objects;            // of kind 'O'; exactly as many as the shape needs

  std::uint64_t count() const;
};

// Whether a value is an ndarray, by the call that makes it.
bool is_array(const Document& document, ValueId id);

// Errors: kInput (broken), kUnsupported (structured types); subject = the document's.
Array read_array(const Document& document, ValueId id);

// A numpy scalar (numpy.float32(2)) as an array without a shape. Errors: as above.
bool is_scalar(const Document& document, ValueId id);
Array read_scalar(const Document& document, ValueId id);

// An element of a numeric array (integers, floats of 4 and 8 bytes, bools). Errors: kUnsupported.
using Number = std::variant<bool, std::int64_t, std::uint64_t, double>;
Number number_at(const Document& document, const Array& array, std::uint64_t index);

// bytes, or the call of _codecs.encode with which protocol 2 writes them; `decoded` owns the result
// of the latter. Errors: kInput.
std::string_view read_bytes(const Document& document, ValueId id,
                            std::shared_ptr<const std::string>& decoded);

}  // namespace whit::pickle
