#pragma once

#include <filesystem>
#include <string>
#include <utility>
#include <vector>

namespace CLI {
class App;
}

namespace whit::cli {

// Flags that stand in a file: names in kebab-case, values as the command line would give them.
class RecipeFile {
 public:
  RecipeFile() = default;
  // Errors: kInput where the file is no JSON object of plain values and lists.
  explicit RecipeFile(const std::filesystem::path& path);

  bool has(const std::string& name) const;
  // Gives every flag of `app` that the command line left out its value of the file; positional
  // arguments go by their names in lower case ("model", "out"). Errors: kUsage for a field that is
  // no flag of `app`, naming the nearest one.
  void fill(CLI::App& app) const;
  // Arguments that the file holds are not required on the command line.
  void relax(CLI::App& app) const;

 private:
  std::filesystem::path path_;
  std::vector<std::pair<std::string, std::vector<std::string>>> fields_;
};

// The name under which an option is known to recipes and suggestions: "group-size", "model".
std::vector<std::string> flag_names(const CLI::App& app);

}  // namespace whit::cli
