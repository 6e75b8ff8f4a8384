#pragma once

#include "runtime/serving.h"
#include "runtime/weights.h"

namespace CLI {
class App;
}  // namespace CLI

namespace whit::cli {

class Session;

struct ServingFlags {
  bool weights_only = false, served = false;
};

void declare_serving_flags(CLI::App& app, ServingFlags& flags);

// What is rounded of `model`. Errors: kUsage where both flags are given.
runtime::ServedModel served_from(const ServingFlags& flags, const runtime::OpenModel& model);
// Says so, as notes: once the work is done, so that an error is the first line of a run that fails.
void tell_served(Session& session, const runtime::ServedModel& served);

}  // namespace whit::cli
