#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "report/inspect.h"

namespace whit::cli {

namespace verb_inspect {

Job declare(CLI::App& app) {
  auto model = std::make_shared<std::string>();
  auto list = std::make_shared<bool>(false);
  auto* folder = app.add_option("MODEL", *model, "model folder or org/name[@revision]");
  app.add_flag("--architectures", *list, "list the architectures that whit computes instead")
      ->excludes(folder);
  return [model, list](Session& session) {
    if (*list) {
      session.print(report::architectures_json(), report::architectures_text());
      return 0;
    }
    if (model->empty())
      base::fail(base::ErrorKind::kUsage, "MODEL", "absent; expected a folder or org/name");
    const auto checkpoint = checkpoint::Checkpoint::open(session.model_folder(*model), false);
    const auto inspection = report::inspect(checkpoint);
    session.print(report::to_json(inspection), report::to_text(inspection));
    return 0;
  };
}

}  // namespace verb_inspect

Verb inspect_verb() {
  return {"inspect", "Tensors, dtypes, sizes, bits per weight, quantization",
          "  whit inspect demo/moe-15m\n"
          "  whit inspect --architectures\n"
          "  whit inspect deepseek-ai/DeepSeek-V3@main --json > inventory.json\n",
          verb_inspect::declare};
}

}  // namespace whit::cli
