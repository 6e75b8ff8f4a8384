#include "cli/session.h"

#include <omp.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <cstring>

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

void check_device(const std::string& device) {
  if (device == "auto" || device == "cpu") return;
  const bool cuda =
      device == "cuda" || (device.starts_with("cuda:") && device.size() > 5 &&
                           device.find_first_not_of("0123456789", 5) == std::string::npos);
  if (cuda)
    throw base::Error(ErrorKind::kUnsupported, "--device",
                      device + "; this whit was built without CUDA, expected auto or cpu");
  base::fail(ErrorKind::kUsage, "--device", "{}; expected auto, cpu, cuda or cuda:N", device);
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
  check_device(flags_.device);
  omp_set_num_threads(flags_.threads > 0 ? flags_.threads : threads_of_rank(ranks));
  memory_flag_bytes();
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
  if (!backend_) backend_ = compute::make_cpu_backend(threads());
  return *backend_;
}

std::uint64_t Session::memory_flag_bytes() const {
  return flags_.max_memory.empty() ? 0 : base::parse_bytes(flags_.max_memory, "--max-memory");
}

std::uint64_t Session::max_memory_bytes() const {
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
