#pragma once

namespace whit::cli {

// The whole program: reads argv, runs one verb, returns the exit code. Never throws.
int run_program(int argc, char** argv);

}  // namespace whit::cli
