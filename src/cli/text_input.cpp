#include "cli/text_input.h"

#include <array>
#include <cstdio>

namespace whit::cli {

std::string read_stdin() {
  std::string text;
  std::array<char, 65536> buffer{};
  std::size_t count = 0;
  while ((count = std::fread(buffer.data(), 1, buffer.size(), stdin)) > 0)
    text.append(buffer.data(), count);
  return text;
}

}  // namespace whit::cli
