#pragma once

#include <string>

namespace whit::cli {

// All of stdin.
std::string read_stdin();

}  // namespace whit::cli
