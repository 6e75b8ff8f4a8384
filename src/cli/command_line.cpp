#include "cli/command_line.h"

#include <fmt/format.h>

#include <CLI/CLI.hpp>
#include <algorithm>
#include <cstdio>

#include "base/nearest.h"
#include "cli/other_tools.h"
#include "cli/recipe_file.h"

namespace whit::cli {

namespace {

using base::ErrorKind;

void use_dashes(std::vector<std::string>& args) {
  for (auto& arg : args) {
    if (arg == "--") return;
    if (!arg.starts_with("--")) continue;
    const auto end = std::min(arg.find('='), arg.size());
    std::replace(arg.begin(), arg.begin() + static_cast<std::ptrdiff_t>(end), '_', '-');
  }
}

RecipeFile recipe_of(const std::vector<std::string>& args) {
  constexpr std::string_view kFlag = "--recipe";
  for (std::size_t i = 0; i < args.size() && args[i] != "--"; ++i) {
    if (args[i] == kFlag && i + 1 < args.size()) return RecipeFile(args[i + 1]);
    if (args[i].starts_with("--recipe=")) return RecipeFile(args[i].substr(kFlag.size() + 1));
  }
  return {};
}

// The flag that a message of CLI11 speaks of, else the verb.
std::string subject_of(const std::string& message, const std::string& verb) {
  const auto begin = message.find("--");
  if (begin == std::string::npos) return verb;
  const auto end = message.find_first_of(" :,=", begin);
  return message.substr(begin, end - begin);
}

[[noreturn]] void fail_usage(const CLI::App& app, const CLI::ParseError& error) {
  std::string message = error.what();
  const std::string subject = subject_of(message, app.get_name());
  if (message.starts_with(subject + ": ")) message.erase(0, subject.size() + 2);
  throw base::Error(ErrorKind::kUsage, subject,
                    fmt::format("{}; expected as {} --help says", message, app.get_name()));
}

void refuse_extras(const CLI::App& app) {
  const auto extras = app.remaining();
  if (extras.empty()) return;
  const auto flag = std::find_if(extras.begin(), extras.end(),
                                 [](const std::string& extra) { return extra.starts_with('-'); });
  const std::string& first = flag == extras.end() ? extras.front() : *flag;
  if (flag == extras.end())
    base::fail(ErrorKind::kUsage, first, "one argument too many; expected as {} --help says",
               app.get_name());
  const std::string name = first.substr(0, first.find('='));
  base::Error error(
      ErrorKind::kUsage, name,
      fmt::format("an unknown flag; expected one that {} --help lists", app.get_name()));
  const std::string bare = name.substr(std::min(name.find_first_not_of('-'), name.size()));
  if (const auto instead = instead_of(bare); !instead.empty()) {
    error.suggest(std::string(instead));
  } else if (const auto guess = base::nearest(bare, flag_names(app)); !guess.empty()) {
    error.suggest("did you mean --" + guess + "?");
  }
  throw error;
}

}  // namespace

bool parse_command_line(CLI::App& app, std::vector<std::string> args) {
  use_dashes(args);
  app.allow_extras();
  const RecipeFile recipe = recipe_of(args);
  recipe.relax(app);
  try {
    std::reverse(args.begin(), args.end());  // as CLI11 wants a vector
    app.parse(args);
    refuse_extras(app);
    recipe.fill(app);
  } catch (const CLI::CallForHelp&) {
    return false;
  } catch (const CLI::ParseError& error) {
    fail_usage(app, error);
  }
  return true;
}

void report_error(const base::Error& error) {
  fmt::print(stderr, "whit: error: {}\n", error.what());
  for (const auto& line : error.context()) fmt::print(stderr, "  {}\n", line);
  if (!error.suggestion().empty()) fmt::print(stderr, "  {}\n", error.suggestion());
}

}  // namespace whit::cli
