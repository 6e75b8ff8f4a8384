#include "cli/serving_flags.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/session.h"

namespace whit::cli {

void declare_serving_flags(CLI::App& app, ServingFlags& flags) {
  app.add_flag("--weights-only", flags.weights_only,
               "leave activations and KV cache as they are, whatever the config says");
  app.add_flag("--served", flags.served,
               "round them as the config says also of quant_method fp8, whose weights are "
               "judged alone otherwise");
}

runtime::ServedModel served_from(const ServingFlags& flags, const runtime::OpenModel& model) {
  using runtime::ServeMode;
  if (flags.weights_only && flags.served)
    base::fail(base::ErrorKind::kUsage, "--served",
               "given together with --weights-only; expected one of them");
  return runtime::make_serving(model.checkpoint, model.spec,
                               flags.weights_only ? ServeMode::kWeightsOnly
                               : flags.served     ? ServeMode::kFull
                                                  : ServeMode::kAuto);
}

void tell_served(Session& session, const runtime::ServedModel& served) {
  for (const auto& note : served.notes) session.events().emit({"note", {{"text", note}}});
}

}  // namespace whit::cli
