#include <CLI/CLI.hpp>
#include <algorithm>
#include <memory>

#include "base/error.h"
#include "checkpoint/json_file.h"
#include "cli/serving_flags.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "report/npy.h"
#include "runtime/streamed_forward.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace verb_logits {

struct Flags {
  std::string model, ids, out;
  ServingFlags serving;
};

std::vector<std::int32_t> read_ids(const std::string& path, const model::ModelSpec& spec) {
  using base::ErrorKind;
  const auto json = checkpoint::parse_json(base::read_text_file(path), path);
  if (!json.is_array() || json.empty())
    base::fail(ErrorKind::kInput, path, "no list of token ids; expected one, such as [1, 5, 7]");
  std::vector<std::int32_t> ids;
  for (const auto& entry : json) {
    if (!entry.is_number_integer() || entry.get<std::int64_t>() < 0 ||
        entry.get<std::int64_t>() >= spec.vocabulary)
      base::fail(ErrorKind::kInput, path, "{} at place {}; expected a token id from 0 to {}",
                 entry.dump(), ids.size(), spec.vocabulary - 1);
    ids.push_back(entry.get<std::int32_t>());
  }
  return ids;
}

int run(Session& session, const Flags& flags) {
  const auto model = runtime::open_model(session.model_folder(flags.model));
  auto& backend = session.backend();
  auto& cancel = session.cancel();
  const auto weights = runtime::make_stored_weights(model.checkpoint, backend);
  model::Sequences sequences;
  sequences.append(read_ids(flags.ids, model.spec));

  const auto served = served_from(flags.serving, model);
  runtime::StreamedForward forward(backend, model.spec, *weights, sequences, nullptr,
                                   served.serving.get());
  forward.run([&](std::int64_t done, std::int64_t total) {
    cancel.throw_if_cancelled();
    session.events().emit({"progress",
                           {{"stage", std::string("forward")},
                            {"done", done},
                            {"total", total},
                            {"unit", std::string("layers")}}});
  });
  tell_served(session, served);
  report::NpyWriter writer(flags.out, sequences.tokens(), model.spec.vocabulary);
  const std::int64_t step = runtime::head_rows(model.spec);
  for (std::int64_t row = 0; row < sequences.tokens(); row += step) {
    cancel.throw_if_cancelled();
    const auto logits = forward.head(row, std::min(step, sequences.tokens() - row));
    const tensor::Tensor host = backend.memory().download(logits.view());
    writer.write(host.matrix());
  }
  writer.finish();
  session.print(
      {{"tokens", sequences.tokens()},
       {"vocabulary", model.spec.vocabulary},
       {"output", flags.out}},
      fmt::format("{}: fp32 [{}, {}]\n", flags.out, sequences.tokens(), model.spec.vocabulary));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  app.add_option("--ids", flags->ids, "JSON list of token ids: one sequence, position 0 first")
      ->type_name("FILE")
      ->required();
  app.add_option("--out", flags->out, "logits, fp32 [tokens, vocabulary], as .npy")
      ->type_name("FILE")
      ->required();
  declare_serving_flags(app, flags->serving);
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_logits

Verb logits_verb() {
  return {"logits", "Logits of a sequence of token ids, as a NumPy file",
          "  echo '[0, 480, 729, 439]' > ids.json\n"
          "  whit logits demo/moe-15m --ids ids.json --out logits.npy\n",
          verb_logits::declare};
}

}  // namespace whit::cli
