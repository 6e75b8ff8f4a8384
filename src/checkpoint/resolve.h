#pragma once

#include <filesystem>
#include <string>

namespace whit::checkpoint {

enum class Repository { kModel, kDataset };

// org/name[@revision] in the local Hugging Face cache under `hub_cache`
// (models--ORG--NAME or datasets--ORG--NAME, in it snapshots/COMMIT; the revision is a commit or a
// name in refs/, "main" unless given). Errors: kInput, with where it looked.
std::filesystem::path find_snapshot(Repository kind, const std::string& repository,
                                    const std::filesystem::path& hub_cache);

// MODEL as the command line takes it: a folder, or a model of the cache, as above.
std::filesystem::path resolve_model(const std::string& model,
                                    const std::filesystem::path& hub_cache);

}  // namespace whit::checkpoint
