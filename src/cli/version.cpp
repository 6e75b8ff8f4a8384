#include "cli/version.h"

#include <fmt/format.h>

#include "base/build_info.h"
#include "comm/communicator.h"
#include "compute/backend.h"

namespace whit::cli {

std::string version_text() {
  std::string text = fmt::format("whit {} ({})\n", base::kVersion, base::kCommit);
  text += fmt::format("compiler       {}, {}", base::kCompiler, base::kBuildType);
  if (!base::kSanitizers.empty()) text += fmt::format(", sanitizers {}", base::kSanitizers);
  text += fmt::format("\nsystem         {}\n", base::kSystem);
  text += fmt::format("backends       reference, cpu: {}\n", compute::make_cpu_backend(0)->name());
  if (compute::built_with_cuda()) {
    const auto devices = compute::cuda_devices();
    text +=
        fmt::format("               cuda: {}\n",
                    devices.empty() ? "no device" : fmt::format("{}", fmt::join(devices, ", ")));
  }
  text += fmt::format("blas           {}\n", base::kBlas);
  const std::string_view mpi = comm::mpi_library();
  text += fmt::format("communicators  single{}\n", mpi.empty() ? "" : fmt::format(", {}", mpi));
  return text;
}

}  // namespace whit::cli
