#include "cli/launched_ranks.h"

#include <fmt/format.h>

#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

#include "cli/command_line.h"

namespace whit::cli {

namespace {

// What Open MPI, MPICH and Slurm's MPI plugins tell a process that they start.
constexpr const char* kRankCounts[] = {"OMPI_COMM_WORLD_SIZE", "PMI_SIZE"};

// Ranks as a rule fail alike (a flag, a file that is not there); the first speaks for them.
constexpr std::chrono::milliseconds kGrace{1000};

}  // namespace

std::unique_ptr<comm::Communicator> launched_ranks() {
  for (const char* name : kRankCounts) {
    const char* value = std::getenv(name);
    if (value != nullptr && std::string_view(value) != "1" && *value != '\0')
      return comm::make_mpi();
  }
  return comm::make_single();
}

bool shares_work(std::string_view verb) {
  return verb == "quantize" || verb == "measure" || verb == "calibrate";
}

void report_rank_error(const comm::Communicator& ranks, const base::Error& error) {
  if (ranks.size() == 1) return report_error(error);
  if (ranks.rank() != 0) std::this_thread::sleep_for(kGrace);
  base::Error named(error.kind(),
                    fmt::format("rank {} of {}: {}", ranks.rank(), ranks.size(), error.subject()),
                    error.detail());
  for (const auto& line : error.context()) named.add_context(line);
  if (!error.suggestion().empty()) named.suggest(error.suggestion());
  report_error(named);
}

int end_ranks(comm::Communicator& ranks, int exit_code) {
  if (exit_code != 0 && ranks.size() > 1) ranks.abort(exit_code);
  return exit_code;
}

}  // namespace whit::cli
