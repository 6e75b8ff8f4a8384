#include <CLI/CLI.hpp>
#include <fstream>
#include <iostream>
#include <memory>
#include <sstream>

#include "base/error.h"
#include "checkpoint/json_file.h"
#include "cli/session.h"
#include "cli/text_input.h"
#include "cli/verb.h"
#include "text/tokenizer.h"

namespace whit::cli {

namespace verb_tokenize {

using base::ErrorKind;
using Ids = std::vector<text::TokenId>;

struct Flags {
  std::string model, text, jsonl;
  bool has_text = false, decode = false, special = false;
};

Ids ids_from_json(const report::Json& json, const std::string& subject) {
  if (!json.is_array()) base::fail(ErrorKind::kInput, subject, "no list of ids; expected one");
  Ids ids;
  for (const auto& entry : json) {
    if (!entry.is_number_integer() || entry.get<std::int64_t>() < 0 ||
        entry.get<std::int64_t>() > std::numeric_limits<text::TokenId>::max())
      base::fail(ErrorKind::kInput, subject, "{}; expected a token id", entry.dump());
    ids.push_back(entry.get<text::TokenId>());
  }
  return ids;
}

// "1 2 3", "1,2,3" or "[1, 2, 3]".
Ids ids_from_text(std::string text, const std::string& subject) {
  for (auto& c : text)
    if (c == ',' || c == '[' || c == ']') c = ' ';
  std::istringstream words(text);
  std::string list;
  for (std::string word; words >> word;) list += (list.empty() ? "" : ",") + word;
  return ids_from_json(checkpoint::parse_ordered_json("[" + list + "]", subject), subject);
}

// One line of --jsonl: {"id", "text"} -> {"id", "ids"}, or back.
report::Json answer(const text::Tokenizer& tokenizer, const Flags& flags, const report::Json& row,
                    const std::string& subject) {
  const char* wanted = flags.decode ? "ids" : "text";
  if (!row.is_object() || !row.contains(wanted))
    base::fail(ErrorKind::kInput, subject, "no field {}; expected one", wanted);
  report::Json out;
  if (row.contains("id")) out["id"] = row["id"];
  if (flags.decode) {
    out["text"] = tokenizer.decode(ids_from_json(row["ids"], subject), !flags.special);
    return out;
  }
  if (!row["text"].is_string())
    base::fail(ErrorKind::kInput, subject, "text is {}; expected text", row["text"].type_name());
  out["ids"] = tokenizer.encode(row["text"].get<std::string>(), flags.special);
  return out;
}

int run_jsonl(Session& session, const text::Tokenizer& tokenizer, const Flags& flags) {
  std::ifstream file;
  if (flags.jsonl != "-") file.open(flags.jsonl);
  if (flags.jsonl != "-" && !file)
    base::fail(ErrorKind::kInput, flags.jsonl, "cannot be read; expected a file of JSON lines");
  std::istream& lines = flags.jsonl == "-" ? std::cin : file;
  std::string line;
  report::Json rows = report::Json::array();
  for (int number = 1; std::getline(lines, line); ++number) {
    if (line.find_first_not_of(" \t\r") == std::string::npos) continue;
    const std::string subject = fmt::format("{}:{}", flags.jsonl, number);
    auto row = answer(tokenizer, flags, checkpoint::parse_ordered_json(line, subject), subject);
    if (session.flags().json)
      rows.push_back(std::move(row));
    else
      session.stream(report::dump(row, -1) + "\n");
  }
  if (session.flags().json) session.stream(report::dump({{"rows", std::move(rows)}}) + "\n");
  return 0;
}

int run(Session& session, const Flags& flags) {
  std::filesystem::path path = flags.model;
  if (!std::filesystem::exists(path)) path = session.model_folder(flags.model);
  const auto tokenizer = text::load_tokenizer(path);
  if (!flags.jsonl.empty()) return run_jsonl(session, *tokenizer, flags);
  const std::string input = flags.has_text ? flags.text : read_stdin();
  if (flags.decode) {
    const std::string text = tokenizer->decode(ids_from_text(input, "TEXT"), !flags.special);
    session.print({{"text", text}}, text + "\n");
    return 0;
  }
  const auto ids = tokenizer->encode(input, flags.special);
  session.print({{"ids", ids}, {"tokens", ids.size()}}, fmt::format("{}\n", fmt::join(ids, " ")));
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("MODEL", flags->model,
                 "model folder, or a file: tokenizer.json, SentencePiece, tiktoken, tekken, GGUF")
      ->required();
  auto* text = app.add_option("TEXT", flags->text, "what to tokenize; else stdin is read");
  app.add_option("--jsonl", flags->jsonl,
                 "lines {\"id\", \"text\"} in, {\"id\", \"ids\"} out; - is stdin")
      ->type_name("FILE");
  app.add_flag("--decode", flags->decode, "ids in, text out");
  app.add_flag("--special", flags->special,
               "add the special tokens of a prompt (BOS and the like); with --decode, show them");
  return [flags, text](Session& session) {
    flags->has_text = text->count() > 0;
    return run(session, *flags);
  };
}

}  // namespace verb_tokenize

Verb tokenize_verb() {
  return {"tokenize", "Token ids of a text, and back",
          "  whit tokenize demo/moe-15m 'The old man'\n"
          "  whit tokenize demo/moe-15m --decode '480 729 439'\n"
          "  whit tokenize tokenizer.json --jsonl rows.jsonl > ids.jsonl\n",
          verb_tokenize::declare};
}

}  // namespace whit::cli
