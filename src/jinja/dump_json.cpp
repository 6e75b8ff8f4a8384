#include <algorithm>
#include <cmath>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

std::string number_text(double value) {
  if (std::isnan(value)) return "NaN";
  if (std::isinf(value)) return value < 0 ? "-Infinity" : "Infinity";
  return float_repr(value);
}

void append_escape(std::string& out, char32_t point) {
  switch (point) {
    case '"':
      out += "\\\"";
      return;
    case '\\':
      out += "\\\\";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    case '\t':
      out += "\\t";
      return;
    case '\f':
      out += "\\f";
      return;
    case '\b':
      out += "\\b";
      return;
    default:
      break;
  }
  if (point < 0x10000) {
    out += fmt::format("\\u{:04x}", static_cast<unsigned>(point));
    return;
  }
  const auto rest = static_cast<unsigned>(point - 0x10000);
  out += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
}

std::string json_text(std::string_view utf8, bool ascii) {
  std::string out = "\"";
  for (std::size_t at = 0; at < utf8.size();) {
    const std::size_t begin = at;
    const char32_t point = next_point(utf8, at);
    if (point < 0x20 || point == '"' || point == '\\' || (ascii && point > 0x7E))
      append_escape(out, point);
    else
      out += utf8.substr(begin, at - begin);
  }
  return out + "\"";
}

class Dumper {
 public:
  Dumper(Interpreter& interpreter, const JsonStyle& style)
      : interpreter_(interpreter), style_(style) {}

  void write(const Value& value, int level) {
    interpreter_.step();
    switch (value.kind()) {
      case Kind::kNone:
        return put("null");
      case Kind::kBool:
        return put(value.boolean() ? "true" : "false");
      case Kind::kInt:
        return put(int_text(value.integer()));
      case Kind::kFloat:
        return put(number_text(value.number()));
      case Kind::kText:
        return put(json_text(value.bytes(), style_.ascii));
      case Kind::kList:
      case Kind::kTuple:
        return write_items(value.items(), level);
      case Kind::kDict:
        return write_dict(value.dict(), level);
      default:
        break;
    }
    interpreter_.fail("Object of type {} is not JSON serializable", type_name(value));
  }
  std::string take() { return std::move(out_); }

 private:
  void put(std::string_view text) {
    out_ += text;
    interpreter_.work(text.size());
    interpreter_.expect_room(out_.size());
  }
  void break_line(int level) {
    if (!style_.has_indent) return;
    put("\n");
    for (int k = 0; k < level; ++k) put(style_.indent);
  }
  void write_items(const std::vector<Value>& items, int level) {
    if (items.empty()) return put("[]");
    put("[");
    for (std::size_t k = 0; k < items.size(); ++k) {
      if (k > 0) put(style_.item_separator);
      break_line(level + 1);
      write(items[k], level + 1);
    }
    break_line(level);
    put("]");
  }
  std::string key_text(const Value& key) const {
    switch (key.kind()) {
      case Kind::kText:
        return key.bytes();
      case Kind::kNone:
        return "null";
      case Kind::kBool:
        return key.boolean() ? "true" : "false";
      case Kind::kInt:
        return int_text(key.integer());
      case Kind::kFloat:
        return number_text(key.number());
      default:
        break;
    }
    interpreter_.fail("keys must be str, int, float, bool or None, not {}", type_name(key));
  }
  void write_dict(const Dict& dict, int level) {
    if (dict.entries().empty()) return put("{}");
    std::vector<const std::pair<Value, Value>*> entries;
    for (const auto& entry : dict.entries()) entries.push_back(&entry);
    if (style_.sort_keys)
      std::stable_sort(entries.begin(), entries.end(), [&](const auto* a, const auto* b) {
        return compare(interpreter_, "<", a->first, b->first);
      });
    put("{");
    bool is_first = true;
    for (const auto* entry : entries) {
      if (!std::exchange(is_first, false)) put(style_.item_separator);
      break_line(level + 1);
      put(json_text(key_text(entry->first), style_.ascii));
      put(style_.key_separator);
      write(entry->second, level + 1);
    }
    break_line(level);
    put("}");
  }

  Interpreter& interpreter_;
  const JsonStyle& style_;
  std::string out_;
};

}  // namespace

std::string dump_json(Interpreter& interpreter, const Value& value, const JsonStyle& style) {
  Dumper dumper(interpreter, style);
  dumper.write(value, 0);
  return dumper.take();
}

}  // namespace whit::jinja
