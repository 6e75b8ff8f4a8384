#include "base/error.h"
#include "comm/communicator.h"

namespace whit::comm {

std::string_view mpi_library() {
  return {};
}

std::unique_ptr<Communicator> make_mpi() {
  throw base::Error(base::ErrorKind::kUnsupported, "ranks",
                    "several processes of one job; this whit was built without MPI")
      .suggest("build where CMake finds MPI (Debian: libopenmpi-dev, openmpi-bin)");
}

}  // namespace whit::comm
