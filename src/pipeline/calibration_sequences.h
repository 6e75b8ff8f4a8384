#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/event.h"
#include "data/samples.h"
#include "model/activations.h"

namespace whit::pipeline {

// Sequences of a calibration dataset for the model in `folder`; adds to `warnings` where there are
// fewer than asked for. Events: "samples", "note". Errors: those of draw_samples.
model::Sequences draw_sequences(const std::filesystem::path& folder,
                                const std::filesystem::path& dataset, const data::SampleArgs& args,
                                std::int64_t vocabulary, base::EventSink& events,
                                std::vector<std::string>& warnings);

}  // namespace whit::pipeline
