#pragma once

#include <string>

#include "text/json_field.h"

namespace whit::text {

// Which pieces get a leading replacement: all, the one at the input's beginning, none.
enum class PrependScheme { kAlways, kFirst, kNever };

struct MetaspaceFields {
  std::string replacement;  // one character
  PrependScheme scheme;
  bool split;
};

// The fields of a Metaspace, pre-tokenizer or decoder, in the old form (add_prefix_space) and the
// new (prepend_scheme). Errors: kInput, subject = field.
MetaspaceFields read_metaspace(const Field& field);

}  // namespace whit::text
