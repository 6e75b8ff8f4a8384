#include "jinja/template.h"

#include "base/error.h"
#include "jinja/interpreter.h"
#include "jinja/parser.h"
#include "jinja/resolver.h"
#include "jinja/utf8.h"

namespace whit::jinja {

Template::Template(std::string_view source, std::string subject, const Limits& limits)
    : limits_(limits), program_(std::make_unique<Program>()) {
  if (source.size() > limits.template_bytes)
    base::fail(base::ErrorKind::kInput, subject, "a template of {} bytes; expected at most {}",
               source.size(), limits.template_bytes);
  if (!is_utf8(source))
    base::fail(base::ErrorKind::kInput, subject, "no UTF-8; expected a template in UTF-8");
  program_->subject = subject;
  Run run(limits, std::move(subject));
  Resolver(run).resolve(*program_, Parser(run, source).parse());
}

Template::Template(Template&&) noexcept = default;
Template& Template::operator=(Template&&) noexcept = default;
Template::~Template() = default;

std::string Template::render(const Dict& variables, const std::optional<std::tm>& now) const {
  return Interpreter(*program_, limits_, variables, now).render();
}

}  // namespace whit::jinja
