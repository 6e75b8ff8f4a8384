#include "cli/session.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>

#include "base/error.h"
#include "base/memory.h"
#include "checkpoint/resolve.h"

namespace whit::cli {

namespace {

namespace fs = std::filesystem;
using base::ErrorKind;

std::string environment(const char* name) {
  const char* value = std::getenv(name);
  return value == nullptr ? std::string() : std::string(value);
}

Verbosity verbosity_of(const ProgramFlags& flags) {
  if (flags.quiet && flags.verbose)
    base::fail(ErrorKind::kUsage, "--quiet", "given together with --verbose; expected one of them");
  return flags.quiet ? Verbosity::kQuiet : flags.verbose ? Verbosity::kVerbose : Verbosity::kNormal;
}

// The GPU's ordinal, or nothing for the processor.
std::optional<int> gpu_of(const std::string& device, const comm::Communicator& ranks) {
  if (device == "cpu") return std::nullopt;
  const auto found = static_cast<int>(compute::cuda_devices().size());
  // Ranks of one machine take its GPUs in turn.
  if (device == "auto")
    return found > 0 ? std::optional(ranks.rank() % ranks.local_size() % found) : std::nullopt;
  int ordinal = 0;
  if (device.starts_with("cuda:")) {
    const char* end = device.data() + device.size();
    const auto [rest, code] = std::from_chars(device.data() + 5, end, ordinal);
    if (code != std::errc() || rest != end || ordinal < 0) ordinal = -1;
  } else if (device != "cuda") {
    ordinal = -1;
  }
  if (ordinal < 0)
    base::fail(ErrorKind::kUsage, "--device", "{}; expected auto, cpu, cuda or cuda:N", device);
  if (!compute::built_with_cuda())
    base::fail(ErrorKind::kUnsupported, "--device",
               "{}; this whit was built without CUDA, expected auto or cpu", device);
  if (ordinal >= found)
    base::fail(ErrorKind::kUnsupported, "--device", "{}; this machine has {} CUDA device{}", device,
               found, found == 1 ? "" : "s");
  return ordinal;
}

compute::Precision precision_of(const std::string& name) {
  if (name == "f32") return compute::Precision::kF32;
  if (name == "bf16") return compute::Precision::kBF16;
  base::fail(ErrorKind::kUsage, "--gpu-precision", "{}; expected f32 or bf16", name);
}

// All cores that the process may use; those of the machine are shared by its ranks unless the
// launcher has bound each to its own.
int threads_of_rank(const comm::Communicator& ranks) {
  const int allowed = omp_get_max_threads();
  const auto cores = static_cast<int>(sysconf(_SC_NPROCESSORS_ONLN));
  return ranks.local_size() == 1 || omp_get_num_procs() < cores
             ? allowed
             : std::max(1, std::min(allowed, cores / ranks.local_size()));
}

}  // namespace

Session::Session(const ProgramFlags& flags, comm::Communicator& ranks)
    : flags_(flags),
      ranks_(ranks),
      console_(ranks.rank() == 0 ? verbosity_of(flags) : Verbosity::kQuiet,
               isatty(STDERR_FILENO) == 1) {
  gpu_ = gpu_of(flags_.device, ranks);
  precision_of(flags_.gpu_precision);
  omp_set_num_threads(flags_.threads > 0 ? flags_.threads : threads_of_rank(ranks));
  if (!flags_.max_memory.empty()) base::parse_bytes(flags_.max_memory, "--max-memory");
  if (!flags_.max_gpu_memory.empty()) base::parse_bytes(flags_.max_gpu_memory, "--max-gpu-memory");
  if (ranks.rank() != 0) return;
  events_.add(console_);
  if (!flags_.log_json.empty()) events_.add(log_.emplace(flags_.log_json));
}

void Session::warn(const std::string& text) {
  events_.emit({"warning", {{"text", text}}});
}

base::CancelToken& Session::cancel() {
  if (!guard_) guard_.emplace(token_);
  return token_;
}

int Session::threads() const {
  return omp_get_max_threads();
}

compute::Backend& Session::backend() {
  if (!backend_)
    backend_ = gpu_ ? compute::make_cuda_backend(*gpu_, precision_of(flags_.gpu_precision))
                    : compute::make_cpu_backend(threads());
  return *backend_;
}

std::uint64_t Session::memory_flag_bytes() {
  if (on_gpu())
    return flags_.max_gpu_memory.empty()
               ? backend().memory().available() / 20 * 19
               : base::parse_bytes(flags_.max_gpu_memory, "--max-gpu-memory");
  return flags_.max_memory.empty() ? 0 : base::parse_bytes(flags_.max_memory, "--max-memory");
}

std::uint64_t Session::max_memory_bytes() {
  const std::uint64_t flag = memory_flag_bytes();
  return flag > 0 ? flag
                  : base::resident_bytes() + base::available_memory_bytes() /
                                                 static_cast<std::uint64_t>(ranks_.local_size());
}

fs::path Session::hub_cache() const {
  if (const auto cache = environment("HF_HUB_CACHE"); !cache.empty()) return cache;
  if (const auto home = environment("HF_HOME"); !home.empty()) return fs::path(home) / "hub";
  if (const auto cache = environment("XDG_CACHE_HOME"); !cache.empty())
    return fs::path(cache) / "huggingface" / "hub";
  return fs::path(environment("HOME")) / ".cache" / "huggingface" / "hub";
}

fs::path Session::model_folder(const std::string& model) const {
  return checkpoint::resolve_model(model, hub_cache());
}

void Session::print(const report::Json& json, std::string_view text) {
  stream(flags_.json ? report::dump(json) + "\n" : std::string(text));
}

void Session::stream(std::string_view text) {
  if (ranks_.rank() != 0) return;
  if (std::fwrite(text.data(), 1, text.size(), stdout) != text.size() || std::fflush(stdout) != 0)
    finish_stdout();
}

void finish_stdout() {
  if (std::fflush(stdout) == 0 && std::ferror(stdout) == 0) return;
  base::fail(ErrorKind::kResource, "stdout", "{}; expected room for the result",
             std::strerror(errno));
}

}  // namespace whit::cli
