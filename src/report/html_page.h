#pragma once

#include <string>

namespace whit::report {

// A page of its own around `body`, under `title` (plain text): nothing outside it is referred to,
// it follows the reader's light or dark colours, and is well-formed XML where the body is. Its
// style knows the classes of svg_plot.h and svg_lines.h.
std::string html_page(const std::string& title, const std::string& body);

}  // namespace whit::report
