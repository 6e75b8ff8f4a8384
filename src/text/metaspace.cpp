#include "text/metaspace.h"

#include "text/utf8.h"

namespace whit::text {

MetaspaceFields read_metaspace(const Field& field) {
  MetaspaceFields fields{field.at("replacement").string(), PrependScheme::kAlways,
                         field.boolean_or("split", true)};
  if (fields.replacement.empty() ||
      utf8_step(fields.replacement, 0).size != fields.replacement.size()) {
    field.at("replacement").fail_input("{:?}; expected one character", fields.replacement);
  }
  if (const auto scheme = field.find("prepend_scheme")) {
    const std::string name = scheme->string();
    if (name == "first") {
      fields.scheme = PrependScheme::kFirst;
    } else if (name == "never") {
      fields.scheme = PrependScheme::kNever;
    } else if (name != "always") {
      scheme->fail_input("{:?}; expected always, first or never", name);
    }
    if (!field.boolean_or("add_prefix_space", true) && fields.scheme != PrependScheme::kNever) {
      field.at("add_prefix_space")
          .fail_input("false, and prepend_scheme is {:?}; expected never", name);
    }
  } else if (!field.boolean_or("add_prefix_space", true)) {
    // The old form; the reference's later versions refuse it.
    fields.scheme = PrependScheme::kNever;
  }
  return fields;
}

}  // namespace whit::text
