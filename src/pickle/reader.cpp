#include "base/error.h"
#include "pickle/document.h"
#include "pickle/machine.h"
#include "pickle/opcodes.h"

namespace whit::pickle {

using base::ErrorKind;
using base::fail;

namespace {

constexpr std::size_t kMaxLine = 256;  // of a global's module or name

// Goes through the opcodes of a pickle and tells the machine what to do.
class Reader {
 public:
  Reader(std::string_view bytes, const Policy& policy, const std::string& subject)
      : bytes_(bytes), machine_(bytes, policy, subject) {}

  Document run() {
    if (bytes_.size() < 2 || static_cast<unsigned char>(bytes_[0]) != kProto) {
      fail(ErrorKind::kUnsupported, machine_.subject(),
           "does not begin as a pickle of protocol 2 or later; expected one");
    }
    while (true) {
      if (at_ >= bytes_.size()) {
        fail(ErrorKind::kInput, machine_.subject(),
             "ends at byte {} without a stop; expected a whole pickle", at_);
      }
      op_at_ = at_;
      const auto op = static_cast<unsigned char>(bytes_[at_++]);
      machine_.begin(op, op_at_);
      if (op == kStop) return machine_.finish(at_);
      if (!number(op) && !text(op) && !container(op) && !memo(op) && !call(op)) other(op);
    }
  }

 private:
  std::string_view take(std::uint64_t size) {
    if (size > bytes_.size() - at_) {
      machine_.refuse(fmt::format("needs {} bytes and {} are left", size, bytes_.size() - at_),
                      "a whole pickle");
    }
    const std::string_view taken = bytes_.substr(at_, static_cast<std::size_t>(size));
    at_ += static_cast<std::size_t>(size);
    return taken;
  }

  // Little-endian.
  std::uint64_t take_number(std::size_t size) {
    const std::string_view taken = take(size);
    std::uint64_t value = 0;
    for (std::size_t i = 0; i < size; ++i) {
      value |= std::uint64_t{static_cast<unsigned char>(taken[i])} << (8 * i);
    }
    return value;
  }

  std::string_view take_line() {
    const std::size_t end = bytes_.substr(at_, kMaxLine).find('\n');
    if (end == std::string_view::npos) {
      machine_.refuse("a name without an end", "a name and a line end");
    }
    const std::string_view line = take(end);
    ++at_;
    return line;
  }

  bool number(unsigned char op) {
    switch (op) {
      case kNone:
        machine_.push(Kind::kNone, 0);
        return true;
      case kNewTrue:
      case kNewFalse:
        machine_.push(Kind::kBool, op == kNewTrue ? 1 : 0);
        return true;
      case kBinInt1:
      case kBinInt2:
        machine_.push_integer(static_cast<std::int64_t>(take_number(op == kBinInt1 ? 1 : 2)));
        return true;
      case kBinInt:
        machine_.push_integer(static_cast<std::int32_t>(take_number(4)));
        return true;
      case kLong1:
      case kLong4:
        take_long(take_number(op == kLong1 ? 1 : 4));
        return true;
      case kBinFloat:
        take_float();
        return true;
      default:
        return false;
    }
  }

  void take_long(std::uint64_t size) {
    if (size > 8) machine_.refuse(fmt::format("an integer of {} bytes", size), "at most 8");
    if (size == 0) return machine_.push_integer(0);
    const std::uint64_t bits = take_number(static_cast<std::size_t>(size));
    const unsigned unused = 64 - 8 * static_cast<unsigned>(size);
    machine_.push_integer(static_cast<std::int64_t>(bits << unused) >> unused);
  }

  void take_float() {
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8 | static_cast<unsigned char>(c);
    machine_.push(Kind::kFloat, bits);
  }

  void take_view(Kind kind, std::size_t size_bytes) {
    const std::uint64_t size = take_number(size_bytes);
    if (size > UINT32_MAX) {
      fail(ErrorKind::kUnsupported, machine_.subject(), "{} bytes at byte {}; expected below 4 GiB",
           size, op_at_);
    }
    const std::uint64_t place = at_;
    take(size);
    machine_.push_view(kind, place, static_cast<std::uint32_t>(size));
  }

  bool text(unsigned char op) {
    switch (op) {
      case kShortBinUnicode:
        take_view(Kind::kText, 1);
        return true;
      case kBinUnicode:
        take_view(Kind::kText, 4);
        return true;
      case kBinUnicode8:
        take_view(Kind::kText, 8);
        return true;
      case kShortBinString:
      case kShortBinBytes:
        take_view(Kind::kBytes, 1);
        return true;
      case kBinString:
      case kBinBytes:
        take_view(Kind::kBytes, 4);
        return true;
      case kBinBytes8:
      case kByteArray8:
        take_view(Kind::kBytes, 8);
        return true;
      default:
        return false;
    }
  }

  bool container(unsigned char op) {
    return new_container(op) || filled_container(op) || growing_container(op);
  }

  bool new_container(unsigned char op) {
    const Kind kind = op == kEmptyList    ? Kind::kList
                      : op == kEmptyTuple ? Kind::kTuple
                      : op == kEmptyDict  ? Kind::kDict
                                          : Kind::kSet;
    if (kind == Kind::kSet && op != kEmptySet) return false;
    machine_.push_list(kind, {});
    return true;
  }

  bool filled_container(unsigned char op) {
    switch (op) {
      case kTuple1:
      case kTuple2:
      case kTuple3:
        machine_.push_list(Kind::kTuple, machine_.pop_many(1U + op - kTuple1));
        return true;
      case kTuple:
        machine_.push_list(Kind::kTuple, machine_.pop_to_mark());
        return true;
      case kList:
        machine_.push_list(Kind::kList, machine_.pop_to_mark());
        return true;
      case kFrozenSet:
        machine_.push_list(Kind::kSet, machine_.pop_to_mark());
        return true;
      case kDict:
        machine_.push_list(Kind::kDict, machine_.check_pairs(machine_.pop_to_mark()));
        return true;
      default:
        return false;
    }
  }

  bool growing_container(unsigned char op) {
    switch (op) {
      case kAppend:
        machine_.append(Kind::kList, machine_.pop_many(1));
        return true;
      case kAppends:
        machine_.append(Kind::kList, machine_.pop_to_mark());
        return true;
      case kAddItems:
        machine_.append(Kind::kSet, machine_.pop_to_mark());
        return true;
      case kSetItem:
        machine_.append(Kind::kDict, machine_.pop_many(2));
        return true;
      case kSetItems:
        machine_.append(Kind::kDict, machine_.check_pairs(machine_.pop_to_mark()));
        return true;
      default:
        return false;
    }
  }

  bool memo(unsigned char op) {
    switch (op) {
      case kBinPut:
      case kLongBinPut:
        machine_.put(take_number(op == kBinPut ? 1 : 4));
        return true;
      case kMemoize:
        machine_.memoize();
        return true;
      case kBinGet:
      case kLongBinGet:
        machine_.get(take_number(op == kBinGet ? 1 : 4));
        return true;
      default:
        return false;
    }
  }

  bool call(unsigned char op) {
    switch (op) {
      case kGlobal: {
        const std::string_view module = take_line();
        machine_.push_global(module, take_line());
        return true;
      }
      case kStackGlobal: {
        const auto names = machine_.pop_many(2);
        machine_.push_global(machine_.text_of(names[0]), machine_.text_of(names[1]));
        return true;
      }
      case kReduce:
      case kNewObj:
      case kNewObjEx:
        machine_.push_object(op == kNewObjEx);
        return true;
      case kBuild:
        machine_.build();
        return true;
      case kBinPersId:
        machine_.push_persistent();
        return true;
      default:
        return false;
    }
  }

  void other(unsigned char op) {
    switch (op) {
      case kProto:
        return take_protocol();
      case kFrame:
        return take_frame();
      case kMark:
        return machine_.mark();
      case kPop:
        return machine_.pop_or_unmark();
      case kPopMark:
        machine_.pop_to_mark();
        return;
      case kDup:
        return machine_.push(machine_.top());
      default:
        break;
    }
    fail(ErrorKind::kInput, machine_.subject(), "{} at byte {}, {}", op_name(op), op_at_,
         refusal_of(op));
  }

  void take_protocol() {
    const std::uint64_t version = take_number(1);
    if (version < 2 || version > 5) {
      fail(ErrorKind::kUnsupported, machine_.subject(), "protocol {}; expected 2 to 5", version);
    }
  }

  // A frame only tells how far to read ahead.
  void take_frame() {
    const std::uint64_t size = take_number(8);
    if (size > bytes_.size() - at_) {
      machine_.refuse(fmt::format("a frame of {} bytes and {} are left", size, bytes_.size() - at_),
                      "a whole pickle");
    }
  }

  std::string_view bytes_;
  Machine machine_;
  std::size_t at_ = 0;
  std::size_t op_at_ = 0;
};

}  // namespace

Document read(std::string_view bytes, const Policy& policy, const std::string& subject) {
  return Reader(bytes, policy, subject).run();
}

}  // namespace whit::pickle
