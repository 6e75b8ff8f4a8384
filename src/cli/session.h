#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "base/cancel.h"
#include "base/event.h"
#include "cli/console.h"
#include "cli/event_log.h"
#include "cli/program_flags.h"
#include "cli/signals.h"
#include "comm/communicator.h"
#include "compute/backend.h"
#include "report/json.h"

namespace whit::cli {

// What a verb works with: flags of every verb, where events go, the backend, the result's stream.
class Session {
 public:
  // ranks: those that run the same command line; of several the first speaks.
  Session(const ProgramFlags& flags, comm::Communicator& ranks);

  const ProgramFlags& flags() const { return flags_; }
  base::EventSink& events() { return events_; }
  void warn(const std::string& text);

  // From the first call on, SIGINT and SIGTERM ask for an orderly stop.
  base::CancelToken& cancel();
  int signal() const { return token_.signal(); }

  comm::Communicator& ranks() const { return ranks_; }

  // Processor threads that --threads allows.
  int threads() const;
  // Made at the first call. Errors: kUnsupported for devices that were not built in.
  compute::Backend& backend();
  bool on_gpu() const { return gpu_.has_value(); }
  // Where matrices live: --max-memory or what the machine has free; on a GPU --max-gpu-memory or
  // what it has free.
  std::uint64_t max_memory_bytes();
  // The same flag, or 0 where it was not given; on a GPU what it has free.
  std::uint64_t memory_flag_bytes();
  // Where models and datasets of the Hugging Face hub lie on this machine.
  std::filesystem::path hub_cache() const;
  // A folder, or a model of that cache.
  std::filesystem::path model_folder(const std::string& model) const;

  // The result on stdout: the document under --json, else the text.
  void print(const report::Json& json, std::string_view text);
  // Text on stdout at once, for results that grow.
  void stream(std::string_view text);

 private:
  ProgramFlags flags_;
  comm::Communicator& ranks_;
  Console console_;
  std::optional<EventLog> log_;
  FanOut events_;
  base::CancelToken token_;
  std::optional<SignalGuard> guard_;
  std::optional<int> gpu_;  // its ordinal; nothing: the processor
  std::unique_ptr<compute::Backend> backend_;
};

// Flushes stdout. Errors: kResource where it takes no more.
void finish_stdout();

}  // namespace whit::cli
