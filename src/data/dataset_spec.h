#pragma once

#include <filesystem>
#include <string>
#include <vector>

namespace whit::data {

namespace fs = std::filesystem;

// One set of a dataset, as it was named, and what part of the samples it gives.
struct DatasetPart {
  std::string name;
  double share = 1;
};

// "a.jsonl:0.7,b.parquet:0.3": sets with shares, which are relative to their sum; without shares
// all give the same. A text that is the name of a file is that file, whatever is in it. Errors:
// kUsage, subject "--calibration".
std::vector<DatasetPart> parse_dataset(const std::string& text);

// The samples of each part, by largest remainders. They add up to `samples`.
std::vector<std::int64_t> divide_samples(const std::vector<DatasetPart>& parts,
                                         std::int64_t samples);

// Where a set lies: a file, a folder, or a dataset of the Hugging Face cache `hub_cache`:
//   open-thoughts   open-thoughts/OpenThoughts-114k
//   open-platypus   garage-bAInd/Open-Platypus
//   fineweb-edu     HuggingFaceFW/fineweb-edu, its sample/10BT
//   org/name[@revision]
// In a dataset with a folder `data`, only that is read.
// Errors: kInput, subject = name, with the folder that was looked at and the command that fills it.
fs::path find_dataset(const std::string& name, const fs::path& hub_cache);

}  // namespace whit::data
