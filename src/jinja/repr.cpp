#include "jinja/interpreter.h"
#include "jinja/nested.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

std::string_view type_name(const Value& value) {
  switch (value.kind()) {
    case Kind::kMissing:
      return "missing";
    case Kind::kUndefined:
      return "Undefined";
    case Kind::kNone:
      return "NoneType";
    case Kind::kBool:
      return "bool";
    case Kind::kInt:
      return "int";
    case Kind::kFloat:
      return "float";
    case Kind::kText:
      return value.text().markup ? "Markup" : "str";
    case Kind::kList:
      return "list";
    case Kind::kTuple:
      return "tuple";
    case Kind::kDict:
      return "dict";
    case Kind::kObject:
      return value.object()->type_name();
  }
  return "";
}

std::string type_description(const Value& value) {
  if (value.is_none()) return "None";
  const std::string_view name = type_name(value);
  if (name == "Markup") return "markupsafe.Markup object";
  if (name == "Undefined" || name == "LoopContext" || name == "Macro")
    return fmt::format("jinja2.runtime.{} object", name);
  return fmt::format("{} object", name);
}

namespace {

std::string escaped_point(char32_t point) {
  const auto code = static_cast<unsigned>(point);
  if (code < 0x100) return fmt::format("\\x{:02x}", code);
  return code < 0x10000 ? fmt::format("\\u{:04x}", code) : fmt::format("\\U{:08x}", code);
}

}  // namespace

std::string to_ascii(Interpreter& interpreter, const Value& value) {
  const std::string text = to_repr(interpreter, value);
  std::string out;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_point(text, at);
    if (point < 0x80)
      out.push_back(static_cast<char>(point));
    else
      out += escaped_point(point);
    interpreter.expect_room(out.size());
  }
  return out;
}

std::string in_quotes(std::string_view utf8) {
  const bool has_single = utf8.find('\'') != std::string_view::npos;
  const char quote = has_single && utf8.find('"') == std::string_view::npos ? '"' : '\'';
  std::string out(1, quote);
  for (std::size_t at = 0; at < utf8.size();) {
    const char32_t point = next_point(utf8, at);
    if (point == static_cast<char32_t>(quote) || point == '\\') {
      out += {'\\', static_cast<char>(point)};
    } else if (point == '\n' || point == '\r' || point == '\t') {
      out += {'\\', point == '\n' ? 'n' : point == '\r' ? 'r' : 't'};
    } else if (point < 0x80 ? point >= 0x20 && point != 0x7F
                            : is_in(point, CharClass::kPrintable)) {
      append_point(out, point);
    } else {
      out += escaped_point(point);
    }
  }
  out.push_back(quote);
  return out;
}

namespace {

// One text grows for the whole value, and is measured as it does.
class Writer {
 public:
  explicit Writer(Interpreter& interpreter) : interpreter_(interpreter) {}

  void write(const Value& value) {
    interpreter_.step();
    switch (value.kind()) {
      case Kind::kMissing:
      case Kind::kUndefined:
        return put("Undefined");
      case Kind::kNone:
        return put("None");
      case Kind::kBool:
        return put(value.boolean() ? "True" : "False");
      case Kind::kInt:
        return put(int_text(value.integer()));
      case Kind::kFloat:
        return put(float_repr(value.number()));
      case Kind::kText:
        return put(value.text().markup ? "Markup(" + in_quotes(value.bytes()) + ")"
                                       : in_quotes(value.bytes()));
      case Kind::kList:
        return write_items(value.items(), "[", "]");
      case Kind::kTuple:
        return write_items(value.items(), "(", value.items().size() == 1 ? ",)" : ")");
      case Kind::kDict:
        return write_dict(value.dict());
      case Kind::kObject:
        return write_object(*value.object());
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text) {
    out_ += text;
    interpreter_.work(text.size());
    interpreter_.expect_room(out_.size());
  }
  void write_items(const std::vector<Value>& items, std::string_view open, std::string_view close) {
    put(open);
    for (std::size_t k = 0; k < items.size(); ++k) {
      if (k > 0) put(", ");
      write(items[k]);
    }
    put(close);
  }
  void write_dict(const Dict& dict) {
    put("{");
    bool is_first = true;
    for (const auto& [key, value] : dict.entries()) {
      if (!std::exchange(is_first, false)) put(", ");
      write(key);
      put(": ");
      write(value);
    }
    put("}");
  }
  // A namespace may hold itself.
  void write_object(const Object& object) {
    const auto nested = interpreter_.deeper();
    put(object.repr(interpreter_));
  }

  Interpreter& interpreter_;
  std::string out_;
};

}  // namespace

std::string to_repr(Interpreter& interpreter, const Value& value) {
  Writer writer(interpreter);
  writer.write(value);
  return writer.take();
}

std::string to_str(Interpreter& interpreter, const Value& value) {
  if (value.is_text()) return value.bytes();
  return value.is_undefined() ? "" : to_repr(interpreter, value);
}

Value soft_str(Interpreter& interpreter, const Value& value) {
  return value.is_text() ? value : interpreter.text(to_str(interpreter, value));
}

std::string escaped_html(std::string_view utf8) {
  std::string out;
  for (const char c : utf8) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out.push_back(c);
    }
  }
  return out;
}

std::string escape(Interpreter& interpreter, const Value& value) {
  if (value.is_text() && value.text().markup) return value.bytes();
  return escaped_html(to_str(interpreter, value));
}

}  // namespace whit::jinja
