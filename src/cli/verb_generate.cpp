#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/memory.h"
#include "cli/chat_input.h"
#include "cli/serving_flags.h"
#include "cli/session.h"
#include "cli/text_input.h"
#include "cli/verb.h"
#include "jinja/chat_template.h"
#include "runtime/generate.h"
#include "runtime/streamed_forward.h"
#include "runtime/weights.h"

namespace whit::cli {

namespace verb_generate {

struct Flags {
  std::string model, prompt, messages, chat_template, tokenizer;
  bool has_prompt = false, bare = false;
  runtime::GenerateArgs args;
  ServingFlags serving;
};

report::Json to_json(const runtime::Generation& result, const std::vector<text::TokenId>& prompt) {
  report::Json json{{"text", result.text},
                    {"ids", result.ids},
                    {"finish_reason", result.stopped ? "stop" : "length"},
                    {"prompt_ids", prompt}};
  report::put_number(json, "tokens_per_second",
                     static_cast<double>(result.ids.size()) / result.seconds, "nothing was timed");
  json["prompt_seconds"] = result.prompt_seconds;
  json["seconds"] = result.seconds;
  return json;
}

// What may be spent on decoded weights.
std::uint64_t weight_budget(Session& session, const model::ModelSpec& spec) {
  const std::uint64_t limit = session.max_memory_bytes();
  const std::uint64_t taken = base::resident_bytes() + runtime::working_bytes(spec);
  return limit > taken ? (limit - taken) / 10 * 9 : 0;
}

// The template writes BOS, where the model wants one before a chat.
std::vector<text::TokenId> read_prompt(const Flags& flags, const std::filesystem::path& model,
                                       const text::Tokenizer& tokenizer) {
  if (flags.messages.empty())
    return tokenizer.encode(flags.has_prompt ? flags.prompt : read_stdin(), !flags.bare);
  jinja::ChatArgs args;
  args.add_generation_prompt = true;
  args.now = source_date();
  const auto chat = flags.chat_template.empty()
                        ? jinja::ChatTemplate::load(model)
                        : jinja::ChatTemplate::load(flags.chat_template, model);
  return tokenizer.encode(chat.render(read_messages(flags.messages), args), false);
}

int run(Session& session, const Flags& flags) {
  runtime::GenerateArgs args = flags.args;
  args.sampling.seed = session.flags().seed;
  runtime::validate(args.sampling);
  const auto model = runtime::open_model(session.model_folder(flags.model));
  const auto tokenizer = text::load_tokenizer(
      flags.tokenizer.empty() ? model.checkpoint.folder() : std::filesystem::path(flags.tokenizer));
  const auto prompt = read_prompt(flags, model.checkpoint.folder(), *tokenizer);
  args.eos = runtime::ending_ids(model.checkpoint, tokenizer.get());

  auto& backend = session.backend();
  const auto served = served_from(flags.serving, model);
  args.serving = served.serving.get();
  runtime::ResidentWeights weights(runtime::make_stored_weights(model.checkpoint, backend),
                                   weight_budget(session, model.spec));
  const bool streamed = !session.flags().json;
  const auto result = runtime::generate(
      backend, model.spec, weights, *tokenizer, prompt, args,
      [&](std::string_view piece) {
        if (streamed) session.stream(piece);
      },
      session.cancel());
  if (streamed)
    session.stream("\n");
  else
    session.print(to_json(result, prompt), "");
  tell_served(session, served);
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  auto& sampling = flags->args.sampling;
  app.add_option("MODEL", flags->model, "model folder or org/name[@revision]")->required();
  auto* prompt = app.add_option("--prompt", flags->prompt, "text to continue; else stdin is read")
                     ->type_name("TEXT");
  app.add_option("--messages", flags->messages,
                 "a chat to answer: a JSON list of {\"role\", \"content\", ...}, through the "
                 "model's chat template")
      ->type_name("FILE")
      ->excludes(prompt);
  app.add_option("--chat-template", flags->chat_template, "instead of the model's own")
      ->type_name("FILE");
  app.add_flag("--no-special", flags->bare, "no BOS and the like before the prompt");
  app.add_option("--max-new-tokens", flags->args.max_new_tokens, "stop after N tokens")
      ->check(CLI::Range(std::int64_t{1}, std::int64_t{1} << 31))
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--temperature", sampling.temperature, "0: greedy; 1: as the model says")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--top-k", sampling.top_k, "only the N likeliest tokens; 0: all")->type_name("N");
  app.add_option("--top-p", sampling.top_p, "only the likeliest tokens that sum to X")
      ->type_name("X");
  app.add_option("--min-p", sampling.min_p,
                 "only tokens at least X times as likely as the likeliest")
      ->type_name("X");
  app.add_option("--stop", flags->args.stop, "end before this text; may be repeated")
      ->type_name("TEXT")
      ->expected(1)
      ->take_all();
  declare_serving_flags(app, flags->serving);
  app.add_option("--tokenizer", flags->tokenizer, "folder or file, where MODEL has none")
      ->type_name("PATH");
  return [flags, prompt](Session& session) {
    flags->has_prompt = prompt->count() > 0;
    return run(session, *flags);
  };
}

}  // namespace verb_generate

Verb generate_verb() {
  return {"generate", "Text that continues a prompt, or answers a chat",
          "  whit generate demo/moe-15m --prompt 'The old man' --max-new-tokens 64\n"
          "  whit generate out --prompt 'Once' --temperature 0.8 --top-p 0.95 --seed 7 --stop '.'\n"
          "  whit generate out --messages chat.json --max-new-tokens 200\n"
          "  whit generate out --json < prompt.txt\n",
          verb_generate::declare};
}

}  // namespace whit::cli
