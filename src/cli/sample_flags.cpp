#include "cli/sample_flags.h"

#include <CLI/CLI.hpp>

#include "base/error.h"
#include "cli/session.h"

namespace whit::cli {

void declare_sample_flags(CLI::App& app, SampleFlags& flags) {
  auto& args = flags.args;
  app.add_option("--column", args.column, "field of the rows that holds text, ids or a chat")
      ->type_name("NAME");
  app.add_option("--num-calibration-samples", args.samples, "sequences to draw")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--max-sequence-length,--seq-len", args.max_length, "longer ones are cut")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--min-sequence-length,--least-tokens", args.min_length,
                 "shorter ones are passed over")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--pack", args.pack, "join rows until a sequence is full");
  app.add_option("--cut", flags.cut, "where a row that is too long gives its first sequence")
      ->type_name("random|start")
      ->capture_default_str();
  declare_text_files(app, args.files);
}

void declare_text_files(CLI::App& app, data::TextFiles& files) {
  app.add_option("--tokenizer", files.tokenizer,
                 "folder or file, where the model has none or another is wanted")
      ->type_name("PATH");
  app.add_option("--chat-template", files.chat_template,
                 "for rows that are chats, instead of the model's own")
      ->type_name("FILE");
}

data::SampleArgs samples_from(const SampleFlags& flags, const Session& session) {
  data::SampleArgs args = flags.args;
  if (flags.cut != "random" && flags.cut != "start")
    base::fail(base::ErrorKind::kUsage, "--cut", "{}; expected random or start", flags.cut);
  args.from_start = flags.cut == "start";
  args.seed = session.flags().seed;
  args.hub_cache = session.hub_cache();
  return args;
}

}  // namespace whit::cli
