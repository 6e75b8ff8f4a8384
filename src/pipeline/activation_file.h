#pragma once

#include <filesystem>
#include <memory>

#include "model/activations.h"

namespace whit::pipeline {

// Slots in one unlinked file each inside `folder` (gone with the process); only the leased rows are
// in memory. Errors: kResource where the folder cannot be written or the disk is full.
std::unique_ptr<model::ActivationStore> make_file_store(compute::Backend& backend,
                                                        std::filesystem::path folder);

}  // namespace whit::pipeline
