#include "pickle/opcodes.h"

#include <fmt/format.h>

namespace whit::pickle {

std::string op_name(unsigned char op) {
  return op >= 0x20 && op < 0x7f ? fmt::format("opcode '{}' (0x{:02x})", static_cast<char>(op), op)
                                 : fmt::format("opcode 0x{:02x}", op);
}

std::string_view refusal_of(unsigned char op) {
  if (std::string_view("ILFSVgpP").find(static_cast<char>(op)) != std::string_view::npos)
    return "of protocol 0; expected protocol 2 to 5";
  if (op == 'i' || op == 'o') return "which makes an instance; expected data only";
  if (op >= 0x82 && op <= 0x84) return "of the extension registry; expected data only";
  if (op == 0x97 || op == 0x98) return "of a buffer outside of the file; expected one within";
  return "which is none; expected one of protocol 2 to 5";
}

}  // namespace whit::pickle
