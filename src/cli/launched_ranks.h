#pragma once

#include <memory>
#include <string_view>

#include "base/error.h"
#include "comm/communicator.h"

namespace whit::cli {

// The ranks that a launcher (mpirun, srun) started with this process, as its environment tells; one
// rank where nothing does. Errors: kUnsupported where there are several and no MPI is built in.
std::unique_ptr<comm::Communicator> launched_ranks();

// Whether several ranks may run a verb together.
bool shares_work(std::string_view verb);

// Reports an error that ends this rank, and with it all of them.
void report_rank_error(const comm::Communicator& ranks, const base::Error& error);

// Ends the other ranks where this one has failed; returns the exit code.
int end_ranks(comm::Communicator& ranks, int exit_code);

}  // namespace whit::cli
