#pragma once

#include <ctime>
#include <optional>
#include <string>

#include "jinja/json.h"

namespace whit::cli {

// A file of JSON. Errors: kInput, subject = file.
jinja::Value read_json_value(const std::string& file);

// A list of messages, or an object that holds one as `messages`. Errors: as above.
jinja::Value read_messages(const std::string& file);

// What templates take for now: SOURCE_DATE_EPOCH in UTC (seconds since 1970), which builds set that
// must come out the same; nullopt where it is not set: local time. Errors: kUsage.
std::optional<std::tm> source_date();

}  // namespace whit::cli
