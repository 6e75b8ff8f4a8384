#include <algorithm>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/methods.h"
#include "jinja/operations.h"
#include "jinja/text_ops.h"
#include "jinja/unicode.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

const std::string& text_at(Interpreter& interpreter, const Bound& bound, std::size_t k) {
  return expect_text(interpreter, bound[k], "the method's argument");
}
Int integer_at(Interpreter& interpreter, const Bound& bound, std::size_t k, Int otherwise) {
  return bound.has(k) ? expect_integer(interpreter, bound[k], "the method's argument") : otherwise;
}
std::optional<std::string_view> optional_text(Interpreter& interpreter, const Bound& bound,
                                              std::size_t k) {
  if (!bound.has(k) || bound[k].is_none()) return std::nullopt;
  return text_at(interpreter, bound, k);
}

template <std::string (*kMapping)(std::string_view)>
Value mapped(Interpreter& interpreter, Bound& bound) {
  interpreter.work(bound[0].bytes().size() * 8);
  return interpreter.text_like(bound[0], kMapping(bound[0].bytes()));
}

template <Side kSide>
Value stripped(Interpreter& interpreter, Bound& bound) {
  const auto chars = optional_text(interpreter, bound, 1);
  if (chars) interpreter.work(chars->size() * bound[0].bytes().size());
  return interpreter.text_like(bound[0], std::string(strip(bound[0].bytes(), chars, kSide)));
}

Value parts_list(Interpreter& interpreter, const Value& like,
                 const std::vector<std::string_view>& parts) {
  std::vector<Value> items;
  items.reserve(parts.size());
  for (const auto part : parts) items.push_back(interpreter.text_like(like, std::string(part)));
  return interpreter.list(std::move(items));
}

template <bool kFromRight>
Value split_method(Interpreter& interpreter, Bound& bound) {
  const auto separator = optional_text(interpreter, bound, 1);
  const Int most = integer_at(interpreter, bound, 2, -1);
  interpreter.work(bound[0].bytes().size() * 8);
  if (kFromRight && separator)
    interpreter.work(bound[0].bytes().size() * (separator->size() / 8 + 1) * 8);
  return parts_list(interpreter, bound[0],
                    split(interpreter, bound[0].bytes(), separator, most, kFromRight));
}

Value split_lines_method(Interpreter& interpreter, Bound& bound) {
  interpreter.work(bound[0].bytes().size() * 8);
  const bool keeps = bound.has(1) && is_truthy(interpreter, bound[1]);
  return parts_list(interpreter, bound[0], split_lines(interpreter, bound[0].bytes(), keeps));
}

// Bytes [begin, end) of the code points [start, stop); nullopt where start is past the end.
std::optional<std::pair<std::size_t, std::size_t>> window(Interpreter& interpreter,
                                                          const Bound& bound) {
  const auto& text = bound[0].text();
  const auto place = [&](std::size_t k, Int otherwise) {
    if (!bound.has(k) || bound[k].is_none()) return otherwise;
    const Int index = expect_integer(interpreter, bound[k], "a place in a text");
    return index < 0 ? std::max<Int>(index + text.points, 0) : index;
  };
  const Int start = place(2, 0), stop = std::min<Int>(place(3, text.points), text.points);
  if (start > text.points || start > stop) return std::nullopt;
  interpreter.work(text.bytes.size());
  return std::pair(byte_of_point(text.bytes, static_cast<std::int64_t>(start)),
                   byte_of_point(text.bytes, static_cast<std::int64_t>(stop)));
}

template <bool kFromRight, bool kMustFind>
Value find_method_of_text(Interpreter& interpreter, Bound& bound) {
  const std::string& part = text_at(interpreter, bound, 1);
  const auto& bytes = bound[0].bytes();
  std::size_t at = std::string_view::npos;
  if (const auto range = window(interpreter, bound)) {
    if (kFromRight) interpreter.step(bytes.size() / 8 * (part.size() / 8 + 1));
    at = find_bytes(std::string_view(bytes).substr(range->first, range->second - range->first),
                    part, kFromRight);
    if (at != std::string_view::npos) at += range->first;
  }
  if (at != std::string_view::npos)
    return Value(count_points(std::string_view(bytes).substr(0, at)));
  if (kMustFind) interpreter.fail("substring not found");
  return Value(-1);
}

Value count(Interpreter& interpreter, Bound& bound) {
  const std::string& part = text_at(interpreter, bound, 1);
  const auto range = window(interpreter, bound);
  if (!range) return Value(0);
  std::string_view text =
      std::string_view(bound[0].bytes()).substr(range->first, range->second - range->first);
  if (part.empty()) return Value(count_points(text) + 1);
  std::int64_t found = 0;
  for (std::size_t at = 0; (at = find_bytes(text, part, false)) != std::string_view::npos; ++found)
    text.remove_prefix(at + part.size());
  return Value(found);
}

template <bool kAtStart>
Value has_affix(Interpreter& interpreter, Bound& bound) {
  const auto range = window(interpreter, bound);
  if (!range) return Value(false);
  const std::string_view text =
      std::string_view(bound[0].bytes()).substr(range->first, range->second - range->first);
  const auto has = [&](const Value& affix) {
    if (!affix.is_text())
      interpreter.fail("{} first arg must be str or a tuple of str, not {}",
                       kAtStart ? "startswith" : "endswith", type_name(affix));
    return kAtStart ? text.starts_with(affix.bytes()) : text.ends_with(affix.bytes());
  };
  if (bound[1].is_undefined()) interpreter.fail("{}", bound[1].undefined_message());
  if (!bound[1].is(Kind::kTuple)) return Value(has(bound[1]));
  const auto& affixes = bound[1].items();
  return Value(std::any_of(affixes.begin(), affixes.end(), has));
}

template <bool kAtStart>
Value without_affix(Interpreter& interpreter, Bound& bound) {
  std::string_view text = bound[0].bytes();
  const std::string& affix = text_at(interpreter, bound, 1);
  if (kAtStart && text.starts_with(affix))
    text.remove_prefix(affix.size());
  else if (!kAtStart && text.ends_with(affix))
    text.remove_suffix(affix.size());
  return interpreter.text_like(bound[0], std::string(text));
}

Value replace_method(Interpreter& interpreter, Bound& bound) {
  const bool markup = bound[0].text().markup;
  const auto part = [&](std::size_t k) {
    const std::string& text = text_at(interpreter, bound, k);
    return markup ? escape(interpreter, bound[k]) : text;
  };
  return interpreter.text_like(bound[0], replace(interpreter, bound[0].bytes(), part(1), part(2),
                                                 integer_at(interpreter, bound, 3, -1)));
}

Value join_method(Interpreter& interpreter, Bound& bound) {
  const bool markup = bound[0].text().markup;
  std::string out;
  bool is_first = true;
  std::size_t place = 0;
  for (const Value& item : to_items(interpreter, bound[1])) {
    if (!markup && !item.is_text())
      interpreter.fail("sequence item {}: expected str instance, {} found", place, type_name(item));
    ++place;
    if (!std::exchange(is_first, false)) out += bound[0].bytes();
    out += markup ? escape(interpreter, item) : item.bytes();
    interpreter.expect_room(out.size());
  }
  return interpreter.text_like(bound[0], std::move(out));
}

template <bool kFromRight>
Value partition(Interpreter& interpreter, Bound& bound) {
  const std::string& separator = text_at(interpreter, bound, 1);
  if (separator.empty()) interpreter.fail("empty separator");
  const std::string_view text = bound[0].bytes();
  interpreter.work(text.size() * (kFromRight ? separator.size() / 8 + 1 : 1));
  const std::size_t at = find_bytes(text, separator, kFromRight);
  const auto part = [&](std::string_view piece) {
    return interpreter.text_like(bound[0], std::string(piece));
  };
  if (at == std::string_view::npos) {
    if (kFromRight) return interpreter.tuple({part(""), part(""), bound[0]});
    return interpreter.tuple({bound[0], part(""), part("")});
  }
  return interpreter.tuple(
      {part(text.substr(0, at)), part(separator), part(text.substr(at + separator.size()))});
}

char32_t fill_at(Interpreter& interpreter, const Bound& bound, std::size_t k) {
  if (!bound.has(k)) return ' ';
  const std::u32string fill = decode(text_at(interpreter, bound, k));
  if (fill.size() != 1) interpreter.fail("The fill character must be exactly one character long");
  return fill[0];
}

template <Align kAlign>
Value justified(Interpreter& interpreter, Bound& bound) {
  const Int width = integer_at(interpreter, bound, 1, 0);
  const char32_t fill = fill_at(interpreter, bound, 2);
  return interpreter.text_like(
      bound[0], kAlign == Align::kCenter ? center(interpreter, bound[0].bytes(), width, fill)
                                         : pad(interpreter, bound[0].bytes(), width, fill, kAlign));
}

Value zero_filled(Interpreter& interpreter, Bound& bound) {
  const std::string& text = bound[0].bytes();
  const bool has_sign = !text.empty() && (text[0] == '+' || text[0] == '-');
  return interpreter.text_like(bound[0],
                               pad(interpreter, text, integer_at(interpreter, bound, 1, 0), '0',
                                   has_sign ? Align::kAfterSign : Align::kRight));
}

Value expand_tabs(Interpreter& interpreter, Bound& bound) {
  const Int size = integer_at(interpreter, bound, 1, 8);
  const std::string& text = bound[0].bytes();
  std::string out;
  Int column = 0;
  for (std::size_t at = 0; at < text.size();) {
    const char32_t point = next_point(text, at);
    if (point == '\t') {
      const Int spaces = size > 0 ? size - column % size : 0;
      interpreter.expect_room(out.size());
      out += repeat(interpreter, " ", spaces);
      column += spaces;
    } else {
      append_point(out, point);
      column = point == '\n' || point == '\r' ? 0 : column + 1;
    }
  }
  return interpreter.text_like(bound[0], std::move(out));
}

Value format_method(Interpreter& interpreter, Bound& bound) {
  return brace_format(interpreter, bound[0], bound.rest);
}

Value format_map_method(Interpreter& interpreter, Bound& bound) {
  if (!bound[1].is(Kind::kDict))
    interpreter.fail("format_map() of {}; expected a mapping", type_name(bound[1]));
  Arguments arguments;
  for (const auto& [key, value] : bound[1].dict().entries())
    if (key.is_text()) arguments.named.emplace_back(key.bytes(), value);
  return brace_format(interpreter, bound[0], arguments);
}

Value not_done(Interpreter& interpreter, Bound&) {
  interpreter.refuse("one of str's methods encode, maketrans, translate; whit does not have them");
}

constexpr Callable kMethods[] = {
    {"capitalize", "/self", mapped<capitalize>},
    {"casefold", "/self", mapped<casefold>},
    {"center", "/self,width,fill=", justified<Align::kCenter>},
    {"count", "/self,sub,start=,end=", count},
    {"encode", "*,**", not_done},
    {"endswith", "/self,suffix,start=,end=", has_affix<false>},
    {"expandtabs", "self,tabsize=", expand_tabs},
    {"find", "/self,sub,start=,end=", find_method_of_text<false, false>},
    {"format", "/self,*,**", format_method},
    {"format_map", "/self,mapping", format_map_method},
    {"index", "/self,sub,start=,end=", find_method_of_text<false, true>},
    {"join", "/self,iterable", join_method},
    {"ljust", "/self,width,fill=", justified<Align::kLeft>},
    {"lower", "/self", mapped<lower>},
    {"lstrip", "/self,chars=", stripped<Side::kLeft>},
    {"maketrans", "*,**", not_done},
    {"partition", "/self,sep", partition<false>},
    {"removeprefix", "/self,prefix", without_affix<true>},
    {"removesuffix", "/self,suffix", without_affix<false>},
    {"replace", "/self,old,new,count=", replace_method},
    {"rfind", "/self,sub,start=,end=", find_method_of_text<true, false>},
    {"rindex", "/self,sub,start=,end=", find_method_of_text<true, true>},
    {"rjust", "/self,width,fill=", justified<Align::kRight>},
    {"rpartition", "/self,sep", partition<true>},
    {"rsplit", "self,sep=,maxsplit=", split_method<true>},
    {"rstrip", "/self,chars=", stripped<Side::kRight>},
    {"split", "self,sep=,maxsplit=", split_method<false>},
    {"splitlines", "self,keepends=", split_lines_method},
    {"startswith", "/self,prefix,start=,end=", has_affix<true>},
    {"strip", "/self,chars=", stripped<Side::kBoth>},
    {"swapcase", "/self", mapped<swapcase>},
    {"title", "/self", mapped<title>},
    {"translate", "*,**", not_done},
    {"upper", "/self", mapped<upper>},
    {"zfill", "/self,width", zero_filled},
};

}  // namespace

std::span<const Callable> text_methods() {
  return kMethods;
}

}  // namespace whit::jinja
