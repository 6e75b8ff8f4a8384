#pragma once

#include <string>

#include "report/quality_table.h"

namespace whit::report {

// A page of its own: for each text and number of bits a bar chart of mean KL, KL against seconds,
// and the table. Nothing outside the page is referred to; it follows the reader's light or dark
// colours. Well-formed XML.
std::string to_html(const QualityTable& table);

}  // namespace whit::report
