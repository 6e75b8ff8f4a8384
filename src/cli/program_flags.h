#pragma once

#include <cstdint>
#include <string>

namespace CLI {
class App;
}

namespace whit::cli {

// Flags of every verb.
struct ProgramFlags {
  bool json = false;
  bool quiet = false;
  bool verbose = false;
  int threads = 0;  // 0: all cores
  std::string device = "auto";
  std::string log_json;
  std::string max_memory;
  std::string max_gpu_memory;
  std::string gpu_precision = "f32";
  std::string recipe;
  std::uint64_t seed = 0;
};

void declare_program_flags(CLI::App& app, ProgramFlags& flags);

}  // namespace whit::cli
