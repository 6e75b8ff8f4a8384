#pragma once

#include <string>

namespace whit::cli {

// Version, commit, compiler, backends, BLAS and communicators of this program.
std::string version_text();

}  // namespace whit::cli
