#pragma once

#include <string_view>

namespace whit::cli {

// What a user of a flag of another tool's (VPTQ's script; its name without dashes in
// front, inner ones as `-`) types instead; empty for names that are none of these.
std::string_view instead_of(std::string_view flag);

}  // namespace whit::cli
