#pragma once

#include <ctime>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "jinja/limits.h"
#include "jinja/value.h"

namespace whit::jinja {

struct Program;

// One Jinja template, as jinja2 reads it in the sandbox in which transformers renders chats:
// trim_blocks, lstrip_blocks, break and continue, generation, tojson without escapes for HTML,
// raise_exception, strftime_now. docs/templates.md tells what is known.
class Template {
 public:
  // `subject` names the template in errors. Errors: kInput: no UTF-8, syntax, with "SUBJECT:LINE".
  Template(std::string_view source, std::string subject, const Limits& limits = {});
  Template(Template&&) noexcept;
  Template& operator=(Template&&) noexcept;
  ~Template();

  // `now` is what strftime_now tells: local time where it is not given. Errors: kInput: what jinja2
  // raises, or what goes past a limit; kUnsupported: what Python would do and whit does not.
  std::string render(const Dict& variables, const std::optional<std::tm>& now = {}) const;

 private:
  Limits limits_;
  std::unique_ptr<Program> program_;
};

}  // namespace whit::jinja
