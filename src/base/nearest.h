#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace whit::base {

// The known word that takes the fewest edits to reach; empty where none is near (more than a third
// of the longer word would have to change).
std::string nearest(std::string_view word, const std::vector<std::string>& known);

}  // namespace whit::base
