#pragma once

#include <string>

#include "data/samples.h"

namespace CLI {
class App;
}  // namespace CLI

namespace whit::cli {

class Session;

// Flags that say how sequences are drawn from a dataset, as they were typed.
struct SampleFlags {
  data::SampleArgs args;
  std::string cut = "random";
};

// What the dataset argument takes, for help.
inline constexpr const char* kDatasetHelp =
    "a file or folder, open-thoughts, open-platypus, fineweb-edu, org/name of the Hugging Face "
    "cache, or several with shares: A:0.7,B:0.3";

void declare_sample_flags(CLI::App& app, SampleFlags& flags);

// --tokenizer and --chat-template; declare_sample_flags has them too.
void declare_text_files(CLI::App& app, data::TextFiles& files);

// Errors: kUsage, subject = flag.
data::SampleArgs samples_from(const SampleFlags& flags, const Session& session);

}  // namespace whit::cli
