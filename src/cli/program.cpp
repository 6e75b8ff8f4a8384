#include "cli/program.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>
#include <new>
#include <string>
#include <vector>

#include "base/error.h"
#include "base/nearest.h"
#include "cli/command_line.h"
#include "cli/launched_ranks.h"
#include "cli/recipe_file.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "cli/version.h"

namespace whit::cli {

namespace {

using base::ErrorKind;

std::string program_help() {
  std::string text =
      "whit quantizes checkpoints of language models, layer by layer, and measures what was "
      "lost.\n\n"
      "usage: whit VERB MODEL [OUT] [flags]\n\nverbs:\n";
  for (const auto& verb : verbs()) text += fmt::format("  {:<13} {}\n", verb.name, verb.summary);
  for (const auto& verb : two_word_verbs())
    text += fmt::format("  {:<13} {}\n", verb.name, verb.summary);
  text +=
      "\nMODEL is a folder with config.json and safetensors, or org/name[@revision] of the local\n"
      "Hugging Face cache. stdout holds the result; messages go to stderr.\n\n"
      "examples:\n"
      "  whit inspect demo/moe-15m\n"
      "  whit plan demo/moe-15m --bits 4 --group-size 64\n"
      "  whit quantize demo/moe-15m out --method gptq --calibration demo/text/calibration.jsonl\n"
      "  whit eval out --text demo/text/evaluation.txt --reference demo/moe-15m\n"
      "  whit generate out --prompt 'The old man looked out over the sea'\n\n"
      "whit VERB --help tells the flags of a verb with examples; whit --version, what was built "
      "in.\n";
  return text;
}

const Verb& find_verb(const std::string& name) {
  std::vector<std::string> names;
  for (const auto& verb : verbs()) {
    if (verb.name == name) return verb;
    names.emplace_back(verb.name);
  }
  for (const auto& verb : two_word_verbs())
    if (verb.name.starts_with(name + " "))
      base::fail(ErrorKind::kUsage, name, "alone; expected whit {}", verb.name);
  const auto later = later_verbs();
  if (std::find(later.begin(), later.end(), name) != later.end())
    base::fail(ErrorKind::kUnsupported, name,
               "a verb that this version does not have; whit --help lists those that it has");
  base::Error error(ErrorKind::kUsage, name,
                    "an unknown verb; expected one that whit --help lists");
  const auto guess = base::nearest(name, names);
  if (!guess.empty()) error.suggest("did you mean whit " + guess + "?");
  throw error;
}

// The verb of two words that `args` begin with, or null.
const Verb* find_two_words(const std::vector<std::string>& args) {
  if (args.size() < 2) return nullptr;
  for (const auto& verb : two_word_verbs())
    if (verb.name == args[0] + " " + args[1]) return &verb;
  return nullptr;
}

base::Event error_event(const base::Error& error, int code) {
  return {"error",
          {{"exit_code", std::int64_t{code}},
           {"subject", error.subject()},
           {"detail", error.detail()}}};
}

int exit_code(const base::Error& error, int signal) {
  return error.kind() == ErrorKind::kInterrupted && signal > 0 ? 128 + signal
                                                               : static_cast<int>(error.kind());
}

int run_verb(const Verb& verb, std::vector<std::string> args, comm::Communicator& ranks) {
  if (ranks.size() > 1 && !shares_work(verb.name))
    base::fail(ErrorKind::kUsage, std::string(verb.name),
               "started on {} ranks; expected one: ranks share quantize, measure and calibrate",
               ranks.size());
  CLI::App app(std::string(verb.summary), "whit " + std::string(verb.name));
  ProgramFlags flags;
  const Job job = verb.declare(app);
  declare_program_flags(app, flags);
  app.footer("examples:\n" + std::string(verb.examples));
  if (!parse_command_line(app, std::move(args))) {
    fmt::print("{}", app.help());
    finish_stdout();
    return 0;
  }
  Session session(flags, ranks);
  try {
    const int code = job(session);
    finish_stdout();
    session.events().emit({"finished", {{"exit_code", std::int64_t{code}}}});
    return code;
  } catch (const base::Error& error) {
    const int code = exit_code(error, session.signal());
    if (error.subject() != flags.log_json) session.events().emit(error_event(error, code));
    report_rank_error(ranks, error);
    return code;
  }
}

int dispatch(std::vector<std::string> args, comm::Communicator& ranks) {
  if (args.empty() || args.front() == "--help" || args.front() == "-h" || args.front() == "help") {
    fmt::print(args.empty() ? stderr : stdout, "{}", program_help());
    finish_stdout();
    return args.empty() ? static_cast<int>(ErrorKind::kUsage) : 0;
  }
  if (args.front() == "--version") {
    fmt::print("{}", version_text());
    finish_stdout();
    return 0;
  }
  if (args.front().starts_with('-'))
    base::fail(ErrorKind::kUsage, args.front(),
               "stands before the verb; expected whit VERB MODEL [flags]");
  const Verb* two_words = find_two_words(args);
  const Verb& verb = two_words != nullptr ? *two_words : find_verb(args.front());
  args.erase(args.begin(), args.begin() + (two_words != nullptr ? 2 : 1));
  return run_verb(verb, std::move(args), ranks);
}

int run_on(comm::Communicator& ranks, int argc, char** argv) {
  const auto fail_with = [&](ErrorKind kind, const char* subject, const std::string& detail) {
    report_rank_error(ranks, base::Error(kind, subject, detail));
    return static_cast<int>(kind);
  };
  try {
    return dispatch(std::vector<std::string>(argv + 1, argv + std::max(argc, 1)), ranks);
  } catch (const base::Error& error) {
    report_rank_error(ranks, error);
    return exit_code(error, 0);
  } catch (const std::bad_alloc&) {
    return fail_with(ErrorKind::kResource, "memory",
                     "none is left; expected more, or a smaller --max-memory");
  } catch (const std::filesystem::filesystem_error& error) {
    return fail_with(ErrorKind::kResource, error.path1().string().c_str(), error.code().message());
  } catch (const std::exception& error) {
    return fail_with(ErrorKind::kBug, "whit",
                     fmt::format("{}; expected no such exception", error.what()));
  }
}

}  // namespace

int run_program(int argc, char** argv) {
  try {
    const auto ranks = launched_ranks();
    return end_ranks(*ranks, run_on(*ranks, argc, argv));
  } catch (const base::Error& error) {
    report_error(error);
    return static_cast<int>(error.kind());
  }
}

}  // namespace whit::cli
