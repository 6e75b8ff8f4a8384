#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>
#include <optional>

#include "base/error.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "formats/verify.h"

namespace whit::cli {

namespace verb_verify {

struct Flags {
  std::string model, source;
};

int run(Session& session, const Flags& flags) {
  const auto written = checkpoint::Checkpoint::open(session.model_folder(flags.model));
  std::optional<checkpoint::Checkpoint> source;
  if (!flags.source.empty())
    source.emplace(checkpoint::Checkpoint::open(session.model_folder(flags.source)));
  const auto checks = formats::verify(written, source ? &*source : nullptr);
  const bool ok = std::all_of(checks.begin(), checks.end(), [](const auto& c) { return c.ok; });

  report::Json list = report::Json::array();
  std::string text;
  for (const auto& check : checks) {
    list.push_back({{"name", check.name}, {"ok", check.ok}, {"detail", check.detail}});
    text += fmt::format("{:<4}  {:<34}  {}\n", check.ok ? "ok" : "FAIL", check.name, check.detail);
  }
  session.print({{"ok", ok}, {"checks", std::move(list)}}, text + (ok ? "all hold\n" : ""));
  if (!ok) {
    const auto failed =
        std::count_if(checks.begin(), checks.end(), [](const auto& c) { return !c.ok; });
    base::fail(base::ErrorKind::kCheck, flags.model, "{} of {} checks fail; expected all to hold",
               failed, checks.size());
  }
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("OUT", flags->model, "a folder that quantize wrote")->required();
  app.add_option("--source", flags->source, "the original: nothing may be missing or changed")
      ->type_name("MODEL");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_verify

Verb verify_verb() {
  return {"verify", "Decodes the files anew, checks the loaders' rules and the ledger",
          "  whit verify out\n"
          "  whit verify out --source demo/moe-15m --json\n",
          verb_verify::declare};
}

}  // namespace whit::cli
