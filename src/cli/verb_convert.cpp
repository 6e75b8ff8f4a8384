#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "runtime/convert.h"

namespace whit::cli {

namespace verb_convert {

struct Flags {
  std::string model, out, to = "bf16";
  bool overwrite = false;
};

tensor::Dtype dtype_of(const std::string& name) {
  if (name == "f32" || name == "float32") return tensor::Dtype::kF32;
  if (name == "bf16" || name == "bfloat16") return tensor::Dtype::kBF16;
  if (name == "f16" || name == "float16") return tensor::Dtype::kF16;
  base::fail(base::ErrorKind::kUnsupported, "--to", "{}; expected f32, bf16 or f16", name);
}

int run(Session& session, const Flags& flags) {
  const auto dtype = dtype_of(flags.to);
  const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(flags.model));
  runtime::ConvertArgs args;
  args.output = flags.out;
  args.dtype = dtype;
  args.overwrite = flags.overwrite;
  const auto result =
      runtime::convert(checkpoint, args, session.backend(), session.events(), session.cancel());
  session.print({{"output", flags.out},
                 {"bytes", result.bytes},
                 {"tensors", result.tensors},
                 {"decoded", result.decoded}},
                fmt::format("{}: {} tensors, {} of them decoded, {}\n", flags.out, result.tensors,
                            result.decoded, base::format_bytes(result.bytes)));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("OUT", flags->out, "new folder")->required();
  app.add_option("--to", flags->to, "f32, bf16 or f16")->type_name("DTYPE")->capture_default_str();
  app.add_flag("--overwrite", flags->overwrite, "replace what OUT holds");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_convert

Verb convert_verb() {
  return {"convert", "The checkpoint with every weight decoded",
          "  whit convert demo/moe-15m moe-15m-bf16 --to bf16\n"
          "  whit convert out out-f32 --to f32 --json\n",
          verb_convert::declare};
}

}  // namespace whit::cli
