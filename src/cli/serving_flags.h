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

// What is rounded of `model`; says so as notes. Errors: kUsage where both flags are given.
std::unique_ptr<model::Serving> serving_from(const ServingFlags& flags, Session& session,
                                             const runtime::OpenModel& model);

}  // namespace whit::cli
