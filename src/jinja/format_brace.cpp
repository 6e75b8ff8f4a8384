#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"

namespace whit::jinja {

namespace {

bool is_number(std::string_view text) {
  return !text.empty() && text.size() < 10 &&
         text.find_first_not_of("0123456789") == std::string_view::npos;
}

class BraceFormatter {
 public:
  BraceFormatter(Interpreter& interpreter, const Arguments& arguments, bool markup)
      : interpreter_(interpreter), arguments_(arguments), markup_(markup) {}

  std::string run(std::string_view format, int depth) {
    if (depth < 0) interpreter_.fail("Max string recursion exceeded");
    std::string out;
    for (std::size_t at = 0; at < format.size();) {
      const char c = format[at];
      if (c != '{' && c != '}') {
        const std::size_t end = std::min(format.find_first_of("{}", at), format.size());
        out += format.substr(at, end - at);
        at = end;
      } else if (at + 1 < format.size() && format[at + 1] == c) {
        out.push_back(c);
        at += 2;
      } else if (c == '}') {
        interpreter_.fail("Single '}}' encountered in format string");
      } else {
        const std::size_t end = field_end(format, at + 1);
        out += field(format.substr(at + 1, end - at - 1), depth);
        at = end + 1;
      }
      interpreter_.expect_room(out.size());
    }
    return out;
  }

 private:
  std::size_t field_end(std::string_view format, std::size_t at) const {
    int open = 1;
    for (; at < format.size(); ++at) {
      if (format[at] == '{') ++open;
      if (format[at] == '}' && --open == 0) return at;
    }
    interpreter_.fail("expected '}}' before end of string");
  }

  std::string field(std::string_view text, int depth) {
    // Brackets of an index hide ! and :.
    std::size_t name_end = 0;
    for (bool in_index = false; name_end < text.size(); ++name_end) {
      if (text[name_end] == '[') in_index = true;
      if (text[name_end] == ']') in_index = false;
      if (!in_index && (text[name_end] == '!' || text[name_end] == ':')) break;
    }
    Value value = look_up(text.substr(0, name_end));
    std::string_view rest = text.substr(name_end);
    if (!rest.empty() && rest[0] == '!') {
      if (rest.size() < 2)
        interpreter_.fail("end of string while looking for conversion specifier");
      if (rest.size() > 2 && rest[2] != ':')
        interpreter_.fail("expected ':' after conversion specifier");
      value = converted(value, rest[1]);
      rest.remove_prefix(2);
    }
    const std::string spec = rest.empty() ? "" : run(rest.substr(1), depth - 1);
    if (!markup_) return format_value(interpreter_, value, spec);
    if (value.is_text() && value.text().markup) {
      if (!spec.empty()) interpreter_.fail("Unsupported format specification for Markup.");
      return value.bytes();
    }
    return escaped_html(format_value(interpreter_, value, spec));
  }

  Value converted(const Value& value, char conversion) {
    if (conversion == 's') return soft_str(interpreter_, value);
    if (conversion == 'r') return interpreter_.text(to_repr(interpreter_, value));
    if (conversion == 'a') return interpreter_.text(to_ascii(interpreter_, value));
    interpreter_.fail("Unknown conversion specifier {}", conversion);
  }

  Value first(std::string_view name) {
    if (name.empty() || is_number(name)) {
      const bool is_automatic = name.empty();
      if ((is_automatic && mode_ == Mode::kManual) || (!is_automatic && mode_ == Mode::kAutomatic))
        interpreter_.fail("cannot mix manual field specification and automatic field numbering");
      mode_ = is_automatic ? Mode::kAutomatic : Mode::kManual;
      const std::size_t index =
          is_automatic ? next_++ : static_cast<std::size_t>(*parse_int(interpreter_, name, 10));
      if (index >= arguments_.positional.size())
        interpreter_.fail("Replacement index {} out of range for positional args tuple", index);
      return arguments_.positional[index];
    }
    for (const auto& [key, value] : arguments_.named)
      if (key == name) return value;
    interpreter_.fail("no argument {} of format()", in_quotes(name));
  }

  Value look_up(std::string_view path) {
    std::size_t at = std::min(path.find_first_of(".["), path.size());
    Value value = first(path.substr(0, at));
    while (at < path.size()) {
      if (path[at] == '.') {
        const std::size_t end = std::min(path.find_first_of(".[", at + 1), path.size());
        if (end == at + 1) interpreter_.fail("Empty attribute in format string");
        value = get_attribute(interpreter_, value, path.substr(at + 1, end - at - 1));
        at = end;
        continue;
      }
      const std::size_t end = path[at] == '[' ? path.find(']', at) : std::string_view::npos;
      if (end == std::string_view::npos) interpreter_.fail("Missing ']' in format string");
      const std::string_view key = path.substr(at + 1, end - at - 1);
      if (key.empty()) interpreter_.fail("Empty attribute in format string");
      value = get_item(interpreter_, value,
                       is_number(key) ? Value(*parse_int(interpreter_, key, 10))
                                      : interpreter_.text(std::string(key)));
      at = end + 1;
    }
    return value;
  }

  enum class Mode { kUnset, kAutomatic, kManual };
  Interpreter& interpreter_;
  const Arguments& arguments_;
  const bool markup_;
  Mode mode_ = Mode::kUnset;
  std::size_t next_ = 0;
};

}  // namespace

Value brace_format(Interpreter& interpreter, const Value& format, const Arguments& arguments) {
  BraceFormatter formatter(interpreter, arguments, format.text().markup);
  return interpreter.text_like(format, formatter.run(format.bytes(), 2));
}

}  // namespace whit::jinja
