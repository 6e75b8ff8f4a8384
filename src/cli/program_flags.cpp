#include "cli/program_flags.h"

#include <CLI/CLI.hpp>

namespace whit::cli {

void declare_program_flags(CLI::App& app, ProgramFlags& flags) {
  constexpr const char* kGroup = "Everywhere";
  app.add_flag("--json", flags.json, "stdout holds one JSON document")->group(kGroup);
  app.add_option("--log-json", flags.log_json, "write events to FILE, one JSON object a line")
      ->type_name("FILE")
      ->group(kGroup);
  app.add_flag("--quiet", flags.quiet, "no progress and no messages but errors")->group(kGroup);
  app.add_flag("--verbose", flags.verbose, "every event on stderr")->group(kGroup);
  app.add_option("--threads", flags.threads, "processor threads; 0: all cores")
      ->check(CLI::Range(0, 4096))
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--device", flags.device, "auto, cpu, cuda or cuda:N")
      ->type_name("NAME")
      ->group(kGroup);
  app.add_option("--max-memory", flags.max_memory, "stay below this much memory, e.g. 8GiB")
      ->type_name("SIZE")
      ->group(kGroup);
  app.add_option("--max-gpu-memory", flags.max_gpu_memory, "the same of a GPU's memory")
      ->type_name("SIZE")
      ->group(kGroup);
  app.add_option("--gpu-precision", flags.gpu_precision,
                 "f32, or bf16: a GPU multiplies BF16 inputs, several times faster")
      ->type_name("NAME")
      ->group(kGroup);
  app.add_option("--seed", flags.seed, "seed of everything that is drawn by chance")
      ->type_name("N")
      ->group(kGroup);
  app.add_option("--recipe", flags.recipe, "JSON file with the same flags as fields; flags win")
      ->type_name("FILE")
      ->group(kGroup);
}

}  // namespace whit::cli
