#include <CLI/CLI.hpp>
#include <memory>

#include "base/error.h"
#include "base/file.h"
#include "cli/session.h"
#include "cli/verb.h"
#include "report/ranges_report.h"

namespace whit::cli {

namespace verb_report_ranges {

using base::ErrorKind;

struct Flags {
  std::vector<std::string> runs;
  std::string html, csv, prefix;
  int world = 0;
};

int run(Session& session, const Flags& flags) {
  if (flags.html.empty() && flags.csv.empty())
    base::fail(ErrorKind::kUsage, "--html", "not given, nor is --csv; expected a file to write");
  std::vector<report::RangesRun> runs;
  auto listed = report::Json::array();
  for (const auto& argument : flags.runs) {
    session.cancel().throw_if_cancelled();
    const auto equals = argument.find('=');
    const std::filesystem::path folder =
        equals == std::string::npos ? argument : argument.substr(equals + 1);
    const std::string name = equals == std::string::npos ? folder.lexically_normal().string()
                                                         : argument.substr(0, equals);
    runs.push_back(report::read_ranges_run(name, folder, {flags.prefix, "", flags.world}));
    listed.push_back(
        {{"name", name}, {"folder", folder.string()}, {"tensors", runs.back().series.size()}});
  }
  auto output = report::Json::array();
  std::string text;
  const auto write = [&](const std::string& path, const std::string& content) {
    if (path.empty()) return;
    base::write_file_atomic(path, content);
    output.push_back(path);
    text += path + "\n";
  };
  write(flags.html, report::ranges_html(runs));
  write(flags.csv, report::to_csv(runs));
  session.print({{"output", std::move(output)}, {"runs", std::move(listed)}}, text);
  return 0;
}

Job declare(CLI::App& app) {
  auto flags = std::make_shared<Flags>();
  app.add_option("RUN", flags->runs, "folder of measurements, or NAME=FOLDER; one or more")
      ->required();
  app.add_option("--html", flags->html, "page with a plot of every tensor over the layers")
      ->type_name("FILE");
  app.add_option("--csv", flags->csv, "the same numbers, single experts too")->type_name("FILE");
  app.add_option("--prefix", flags->prefix, "of the runs' files, where a folder holds several");
  app.add_option("--world", flags->world, "ranks of the runs, where a folder holds several")
      ->type_name("N");
  return [flags](Session& session) { return run(session, *flags); };
}

}  // namespace verb_report_ranges

Verb report_ranges_verb() {
  return {"report ranges", "Maxima of calibration runs over the layers, as plots and CSV",
          "  whit report ranges g3 --html ranges.html\n"
          "  whit report ranges pile=a/g3 chats=b/g3 --html ranges.html --csv ranges.csv\n",
          verb_report_ranges::declare};
}

}  // namespace whit::cli
