#include "cli/recipe_file.h"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <set>

#include "base/error.h"
#include "base/nearest.h"
#include "checkpoint/json_file.h"

namespace whit::cli {

namespace {

using base::ErrorKind;

std::string kebab(std::string name) {
  std::replace(name.begin(), name.end(), '_', '-');
  return name;
}

std::string lower(std::string text) {
  std::transform(text.begin(), text.end(), text.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return text;
}

std::string plain_value(const nlohmann::ordered_json& value, const std::string& subject) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_boolean() || value.is_number()) return value.dump();
  base::fail(ErrorKind::kInput, subject,
             "{}; expected text, a number, true, false or a list of them", value.dump());
}

CLI::Option* option_of(CLI::App& app, const std::string& name) {
  for (auto* option : app.get_options()) {
    if (option->get_positional() && lower(option->get_name(true)) == name) return option;
    if (option->check_lname(name)) return option;
  }
  return nullptr;
}

}  // namespace

RecipeFile::RecipeFile(const std::filesystem::path& path) : path_(path) {
  const auto json = checkpoint::read_ordered_json_object(path);
  for (const auto& [key, value] : json.items()) {
    if (value.is_null()) continue;
    const std::string subject = path.string() + ": " + key;
    std::vector<std::string> values;
    if (value.is_array())
      for (const auto& entry : value) values.push_back(plain_value(entry, subject));
    else
      values.push_back(plain_value(value, subject));
    fields_.emplace_back(kebab(key), std::move(values));
  }
}

bool RecipeFile::has(const std::string& name) const {
  return std::any_of(fields_.begin(), fields_.end(),
                     [&](const auto& field) { return field.first == name; });
}

void RecipeFile::fill(CLI::App& app) const {
  for (const auto& [name, values] : fields_) {
    auto* option = option_of(app, name);
    if (option == nullptr || name == "recipe" || name == "help") {
      base::Error error(ErrorKind::kUsage, path_.string() + ": " + name,
                        "an unknown field; expected the name of a flag of " + app.get_name());
      const auto guess = base::nearest(name, flag_names(app));
      if (!guess.empty()) error.suggest("did you mean " + guess + "?");
      throw error;
    }
    if (option->count() > 0 || values.empty()) continue;
    for (const auto& value : values) option->add_result(value);
    option->run_callback();
  }
}

void RecipeFile::relax(CLI::App& app) const {
  for (auto* option : app.get_options())
    if (option->get_positional() && has(lower(option->get_name(true)))) option->required(false);
}

std::vector<std::string> flag_names(const CLI::App& app) {
  std::set<std::string> names;
  for (const auto* option : app.get_options()) {
    for (const auto& name : option->get_lnames()) names.insert(name);
    if (option->get_positional()) names.insert(lower(option->get_name(true)));
  }
  for (const char* internal : {"recipe", "help"}) names.erase(internal);
  return {names.begin(), names.end()};
}

}  // namespace whit::cli
