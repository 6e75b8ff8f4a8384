#pragma once

#include <filesystem>
#include <string>

namespace whit::checkpoint {

// MODEL as the command line takes it: a folder, or org/name[@revision] in the local Hugging Face
// cache under `hub_cache` (models--ORG--NAME/snapshots/COMMIT; the revision is a commit or a name
// in refs/, "main" unless given). Errors: kInput, with where it looked.
std::filesystem::path resolve_model(const std::string& model,
                                    const std::filesystem::path& hub_cache);

}  // namespace whit::checkpoint
