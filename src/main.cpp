#include <unistd.h>

#include <cstdlib>

#include "cli/program.h"

int main(int argc, char** argv) {
  // OpenMP's runtime reads its wait policy when it is loaded, before main. Its default spins
  // between parallel regions, which costs several times the work where other processes want the
  // cores.
  if (std::getenv("OMP_WAIT_POLICY") == nullptr) {
    ::setenv("OMP_WAIT_POLICY", "passive", 1);
    ::execv("/proc/self/exe", argv);  // returns only where it fails; then things stay as they are
  }
  return whit::cli::run_program(argc, argv);
}
