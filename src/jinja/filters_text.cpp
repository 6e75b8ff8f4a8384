#include <algorithm>

#include "jinja/filters.h"
#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/number.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

template <std::string (*kMapping)(std::string_view)>
Value mapped(Interpreter& interpreter, Bound& bound) {
  const Value text = soft_str(interpreter, bound[0]);
  interpreter.work(text.bytes().size() * 8);
  return interpreter.text_like(text, kMapping(text.bytes()));
}

// Words begin after white space and - ( { [ <.
std::string title_words(std::string_view text) {
  std::string out;
  std::size_t begin = 0;
  const auto put = [&](std::string_view word) {
    if (word.empty()) return;
    std::size_t first = 0;
    next_point(word, first);
    out += upper(word.substr(0, first)) + lower(word.substr(first));
  };
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t here = at;
    const char32_t point = next_point(text, at);
    if (!is_space(point) && std::u32string_view(U"-({[<").find(point) == std::u32string_view::npos)
      continue;
    put(text.substr(begin, here - begin));
    out += text.substr(here, at - here);
    begin = at;
  }
  put(text.substr(begin));
  return out;
}

Value trim(Interpreter& interpreter, Bound& bound) {
  const Value text = soft_str(interpreter, bound[0]);
  std::optional<std::string_view> chars;
  if (bound.has(1) && !bound[1].is_none()) chars = expect_text(interpreter, bound[1], "chars");
  if (chars) interpreter.work(chars->size() * text.bytes().size());
  return interpreter.text_like(text, std::string(strip(text.bytes(), chars, Side::kBoth)));
}

Value replace_filter(Interpreter& interpreter, Bound& bound) {
  const Int most = bound.has(3) && !bound[3].is_none()
                       ? expect_integer(interpreter, bound[3], "count")
                       : Int{-1};
  const auto is_markup = [](const Value& value) { return value.is_text() && value.text().markup; };
  const bool escapes = interpreter.autoescape() &&
                       (is_markup(bound[0]) || is_markup(bound[1]) || is_markup(bound[2]));
  const auto part = [&](std::size_t k) {
    return escapes ? escape(interpreter, bound[k]) : to_str(interpreter, bound[k]);
  };
  return interpreter.text(replace(interpreter, part(0), part(1), part(2), most), escapes);
}

Value indent(Interpreter& interpreter, Bound& bound) {
  const std::string& text = expect_text(interpreter, bound[0], "what is indented");
  std::string indention = "    ";
  if (bound.has(1))
    indention = bound[1].is_text()
                    ? bound[1].bytes()
                    : repeat(interpreter, " ", expect_integer(interpreter, bound[1], "width"));
  const bool first = flag(interpreter, bound, 2, false);
  const bool blank = flag(interpreter, bound, 3, false);
  const std::string ended = text + "\n";
  std::string out;
  bool is_first = true;
  for (const std::string_view line : split_lines(interpreter, ended, false)) {
    if (!is_first) out += "\n";
    if (is_first ? first : blank || !line.empty()) out += indention;
    out += line;
    interpreter.expect_room(out.size());
    is_first = false;
  }
  return interpreter.text_like(bound[0], std::move(out));
}

Value center_filter(Interpreter& interpreter, Bound& bound) {
  const Value text = soft_str(interpreter, bound[0]);
  const Int width = bound.has(1) ? expect_integer(interpreter, bound[1], "width") : Int{80};
  return interpreter.text_like(text, center(interpreter, text.bytes(), width, ' '));
}

Value word_count(Interpreter& interpreter, Bound& bound) {
  const std::string text = to_str(interpreter, bound[0]);
  std::int64_t words = 0;
  bool within = false;
  for (std::size_t at = 0; at < text.size();) {
    const bool is_word = is_in(next_point(text, at), CharClass::kWord);
    words += static_cast<std::int64_t>(is_word && !within);
    within = is_word;
  }
  return Value(words);
}

Value truncate_filter(Interpreter& interpreter, Bound& bound) {
  const Int length = bound.has(1) ? expect_integer(interpreter, bound[1], "length") : Int{255};
  const bool cuts_words = flag(interpreter, bound, 2, false);
  const std::string end = bound.has(3) ? expect_text(interpreter, bound[3], "end") : "...";
  const Int leeway = bound.has(4) && !bound[4].is_none()
                         ? expect_integer(interpreter, bound[4], "leeway")
                         : Int{5};
  const Int end_points = count_points(end);
  if (length < end_points)
    interpreter.fail("expected length >= {}, got {}", int_text(end_points), int_text(length));
  if (leeway < 0) interpreter.fail("expected leeway >= 0, got {}", int_text(leeway));
  const auto size = length_of(interpreter, bound[0]);
  if (!size) interpreter.fail("object of type '{}' has no len()", type_name(bound[0]));
  if (*size <= length + leeway) return bound[0];
  const std::string& text = expect_text(interpreter, bound[0], "what is truncated");
  std::string kept =
      text.substr(0, byte_of_point(text, static_cast<std::int64_t>(length - end_points)));
  if (!cuts_words)
    if (const auto space = kept.rfind(' '); space != std::string::npos) kept.resize(space);
  return interpreter.text_like(bound[0], kept + end);
}

bool is_unreserved(char c) {
  return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_' ||
         c == '.' || c == '-' || c == '~';
}

std::string url_quoted(std::string_view text, bool is_query) {
  std::string out;
  for (const char c : text) {
    if (is_unreserved(c) || (c == '/' && !is_query))
      out.push_back(c);
    else if (c == ' ' && is_query)
      out.push_back('+');
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Value urlencode(Interpreter& interpreter, Bound& bound) {
  Value value = bound[0];
  if (value.is_text() || !is_iterable(value))
    return interpreter.text(url_quoted(to_str(interpreter, value), false));
  if (value.is(Kind::kDict))
    value =
        interpreter.object(std::make_shared<DictView>(value.shared_dict(), DictView::Part::kItems));
  std::string out;
  for (const Value& pair : to_items(interpreter, value)) {
    const auto items = to_items(interpreter, pair);
    if (items.size() != 2) interpreter.fail("urlencode of {} items; expected pairs", items.size());
    if (!out.empty()) out += "&";
    out += url_quoted(to_str(interpreter, items[0]), true) + "=" +
           url_quoted(to_str(interpreter, items[1]), true);
    interpreter.expect_room(out.size());
  }
  return interpreter.text(std::move(out));
}

Value xmlattr(Interpreter& interpreter, Bound& bound) {
  if (!bound[0].is(Kind::kDict))
    interpreter.fail("xmlattr of {}; expected a mapping", type_name(bound[0]));
  std::string out;
  for (const auto& [key, value] : bound[0].dict().entries()) {
    if (value.is_none() || value.is_undefined()) continue;
    const std::string name = expect_text(interpreter, key, "an attribute's name");
    if (name.find_first_of(" \t\n\r\f\v/>=") != std::string::npos)
      interpreter.fail("Invalid character in attribute name: {}", in_quotes(name));
    if (!out.empty()) out += " ";
    out += escape(interpreter, key) + "=\"" + escape(interpreter, value) + "\"";
    interpreter.expect_room(out.size());
  }
  if (flag(interpreter, bound, 1, true) && !out.empty()) out.insert(out.begin(), ' ');
  return interpreter.text(std::move(out), interpreter.autoescape());
}

Value force_escape(Interpreter& interpreter, Bound& bound) {
  return interpreter.text(escaped_html(to_str(interpreter, bound[0])), true);
}

// What no chat template has been seen to use.
Value not_done(Interpreter& interpreter, Bound&) {
  interpreter.refuse(
      "one of the filters pprint, random, striptags, urlize, wordwrap; whit does "
      "not have them");
}

constexpr Callable kTextFilters[] = {
    {"capitalize", "s", mapped<capitalize>},
    {"center", "value,width=", center_filter},
    {"forceescape", "value", force_escape},
    {"indent", "s,width=,first=,blank=", indent},
    {"lower", "s", mapped<lower>},
    {"pprint", "*,**", not_done},
    {"random", "*,**", not_done},
    {"replace", "s,old,new,count=", replace_filter},
    {"striptags", "*,**", not_done},
    {"title", "s", mapped<title_words>},
    {"trim", "value,chars=", trim},
    {"truncate", "s,length=,killwords=,end=,leeway=", truncate_filter},
    {"upper", "s", mapped<upper>},
    {"urlencode", "value", urlencode},
    {"urlize", "*,**", not_done},
    {"wordcount", "s", word_count},
    {"wordwrap", "*,**", not_done},
    {"xmlattr", "d,autospace=", xmlattr},
};

}  // namespace

std::span<const Callable> text_filters() {
  return kTextFilters;
}

}  // namespace whit::jinja
