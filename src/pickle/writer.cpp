#include "pickle/writer.h"

#include <bit>

#include "base/error.h"
#include "pickle/opcodes.h"

namespace whit::pickle {

namespace {

// Places in the memo of what every array repeats.
constexpr std::uint8_t kReconstructKey = 0;
constexpr std::uint8_t kNdarrayKey = 1;
constexpr std::uint8_t kDtypeKey = 2;
constexpr std::uint8_t kObjectKey = 3;
constexpr std::uint8_t kF32Key = 4;
constexpr std::uint8_t kF64Key = 5;
constexpr std::uint8_t kArgumentsKey = 6;

}  // namespace

Writer::Writer(int protocol) {
  op(static_cast<char>(Op::kProto));
  op(static_cast<char>(protocol));
}

void Writer::little_endian(std::uint64_t value, int bytes) {
  for (int i = 0; i < bytes; ++i) out_ += static_cast<char>(value >> (8 * i) & 0xFF);
}

void Writer::none() {
  op(Op::kNone);
}

void Writer::boolean(bool value) {
  op(static_cast<char>(value ? Op::kNewTrue : Op::kNewFalse));
}

void Writer::global(std::string_view module, std::string_view name) {
  op(Op::kGlobal);
  for (const std::string_view line : {module, name}) {
    out_ += line;
    out_ += '\n';
  }
}

void Writer::call() {
  op(Op::kReduce);
}
void Writer::persistent() {
  op(Op::kBinPersId);
}

void Writer::integer(std::int64_t value) {
  if (value >= 0 && value < 256) {
    op(Op::kBinInt1);
    little_endian(static_cast<std::uint64_t>(value), 1);
  } else if (value >= INT32_MIN && value <= INT32_MAX) {
    op(Op::kBinInt);
    little_endian(static_cast<std::uint64_t>(value), 4);
  } else {
    op(static_cast<char>(Op::kLong1));
    op(8);
    little_endian(static_cast<std::uint64_t>(value), 8);
  }
}

void Writer::real(double value) {
  op(Op::kBinFloat);
  const auto bits = std::bit_cast<std::uint64_t>(value);
  for (int i = 7; i >= 0; --i) out_ += static_cast<char>(bits >> (8 * i) & 0xFF);
}

void Writer::text(std::string_view value) {
  op(Op::kBinUnicode);
  base::check(value.size() <= UINT32_MAX, "a text of a pickle is short");
  little_endian(value.size(), 4);
  out_ += value;
}

void Writer::bytes(std::string_view value) {
  if (value.size() < 256) {
    op(Op::kShortBinBytes);
    little_endian(value.size(), 1);
  } else {
    base::check(value.size() <= UINT32_MAX, "the bytes of an array are below 4 GiB");
    op(Op::kBinBytes);
    little_endian(value.size(), 4);
  }
  out_ += value;
}

void Writer::begin_list() {
  op(Op::kEmptyList);
  op(Op::kMark);
}
void Writer::end_list() {
  op(Op::kAppends);
}
void Writer::begin_tuple() {
  op(Op::kMark);
}
void Writer::end_tuple() {
  op(Op::kTuple);
}
void Writer::begin_dict() {
  op(Op::kEmptyDict);
  op(Op::kMark);
}
void Writer::end_dict() {
  op(Op::kSetItems);
}

bool Writer::recall(std::uint8_t key) {
  if ((remembered_ >> key & 1U) == 0) return false;
  op(Op::kBinGet);
  little_endian(key, 1);
  return true;
}

void Writer::remember(std::uint8_t key) {
  remembered_ |= 1U << key;
  op(Op::kBinPut);
  little_endian(key, 1);
}

void Writer::reconstruct() {
  if (!recall(kReconstructKey)) {
    out_ += "cnumpy.core.multiarray\n_reconstruct\n";
    remember(kReconstructKey);
  }
  if (!recall(kArgumentsKey)) {
    out_ += "cnumpy\nndarray\n";
    remember(kNdarrayKey);
    op(Op::kBinInt1);
    op(0);
    op(static_cast<char>(Op::kTuple1));
    bytes("b");
    op(static_cast<char>(Op::kTuple3));
    remember(kArgumentsKey);
  }
  op(Op::kReduce);
}

// dtype('f4', False, True), its state (3, '<', None, None, None, -1, -1, 0).
void Writer::dtype(char which) {
  const std::uint8_t key = which == 'O' ? kObjectKey : which == '4' ? kF32Key : kF64Key;
  if (recall(key)) return;
  if (!recall(kDtypeKey)) {
    out_ += "cnumpy\ndtype\n";
    remember(kDtypeKey);
  }
  text(which == 'O' ? "O8" : which == '4' ? "f4" : "f8");
  op(static_cast<char>(Op::kNewFalse));
  op(static_cast<char>(Op::kNewTrue));
  op(static_cast<char>(Op::kTuple3));
  op(Op::kReduce);
  begin_tuple();
  integer(3);
  text(which == 'O' ? "|" : "<");
  none();
  none();
  none();
  integer(-1);
  integer(-1);
  integer(which == 'O' ? 63 : 0);
  end_tuple();
  op(Op::kBuild);
  remember(key);
}

void Writer::shape_of(std::span<const std::uint64_t> shape) {
  begin_tuple();
  for (const std::uint64_t size : shape) integer(static_cast<std::int64_t>(size));
  end_tuple();
}

void Writer::array(Float type, std::span<const std::uint64_t> shape,
                   std::span<const double> values) {
  std::uint64_t count = 1;
  for (const std::uint64_t size : shape) count *= size;
  base::check(count == values.size(), "an array holds as many values as its shape says");
  reconstruct();
  begin_tuple();
  integer(1);
  shape_of(shape);
  dtype(type == Float::kF32 ? '4' : '8');
  op(static_cast<char>(Op::kNewFalse));
  std::string raw;
  for (const double value : values) {
    const bool narrow = type == Float::kF32;
    const std::uint64_t bits = narrow ? std::bit_cast<std::uint32_t>(static_cast<float>(value))
                                      : std::bit_cast<std::uint64_t>(value);
    for (int i = 0; i < (narrow ? 4 : 8); ++i) raw += static_cast<char>(bits >> (8 * i) & 0xFF);
  }
  bytes(raw);
  end_tuple();
  op(Op::kBuild);
}

void Writer::begin_object_array() {
  reconstruct();
  begin_tuple();
  integer(1);
  shape_of({});
  dtype('O');
  op(static_cast<char>(Op::kNewFalse));
  begin_list();
}

void Writer::end_object_array() {
  end_list();
  end_tuple();
  op(Op::kBuild);
}

std::string Writer::finish() {
  op(Op::kStop);
  return std::move(out_);
}

}  // namespace whit::pickle
