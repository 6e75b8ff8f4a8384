#include "cli/program.h"

#include <fmt/format.h>

#include <cstdio>

namespace whit::cli {

int run_program(int, char**) {
  fmt::print(stderr, "whit: error: command line: no verb is known\n");
  return 2;
}

}  // namespace whit::cli
