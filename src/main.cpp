#include "cli/program.h"

int main(int argc, char** argv) {
  return whit::cli::run_program(argc, argv);
}
