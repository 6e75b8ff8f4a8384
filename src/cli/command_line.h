#pragma once

#include <string>
#include <vector>

#include "base/error.h"

namespace CLI {
class App;
}

namespace whit::cli {

// Parses a verb's arguments: flags in kebab-case or with underscores, then the fields of --recipe
// for what was left out. Returns false where help was asked for. Errors: kUsage, naming the flag
// and the nearest known one.
bool parse_command_line(CLI::App& app, std::vector<std::string> args);

// "whit: error: SUBJECT: DETAIL" with its context and suggestion, on stderr.
void report_error(const base::Error& error);

}  // namespace whit::cli
