#include "jinja/text_ops.h"

#include <algorithm>
#include <cstring>

#include "jinja/format.h"
#include "jinja/interpreter.h"
#include "jinja/operations.h"
#include "jinja/utf8.h"

namespace whit::jinja {

namespace {

bool is_line_end(char32_t c) {
  return (c >= 0x0A && c <= 0x0D) || (c >= 0x1C && c <= 0x1E) || c == 0x85 || c == 0x2028 ||
         c == 0x2029;
}

// Before one more part of a list is found.
void expect_part(const Run& run, const std::vector<std::string_view>& parts) {
  run.expect_room(parts.size() * sizeof(Value));
}

std::vector<std::string_view> split_space(const Run& run, std::string_view text, Int most) {
  std::vector<std::string_view> parts;
  std::size_t at = 0;
  while (true) {
    std::size_t begin = at;
    while (at < text.size()) {
      begin = at;
      if (!is_space(next_point(text, at))) break;
      begin = at;
    }
    if (begin >= text.size()) return parts;
    expect_part(run, parts);
    if (most >= 0 && static_cast<Int>(parts.size()) == most) {
      parts.push_back(strip(text.substr(begin), std::nullopt, Side::kRight));
      return parts;
    }
    at = begin;
    std::size_t end = at;
    while (at < text.size() && !is_space(next_point(text, at))) end = at;
    parts.push_back(text.substr(begin, end - begin));
    at = end;
  }
}

std::vector<std::string_view> split_space_from_right(const Run& run, std::string_view text,
                                                     Int most) {
  std::vector<std::string_view> parts;
  while (true) {
    text = strip(text, std::nullopt, Side::kRight);
    if (text.empty()) break;
    expect_part(run, parts);
    if (most >= 0 && static_cast<Int>(parts.size()) == most) {
      parts.push_back(strip(text, std::nullopt, Side::kLeft));
      break;
    }
    std::size_t begin = text.size();
    for (std::size_t k = begin; k > 0 && !is_space(previous_point(text, k));) begin = k;
    parts.push_back(text.substr(begin));
    text = text.substr(0, begin);
  }
  std::reverse(parts.begin(), parts.end());
  return parts;
}

}  // namespace

std::string_view strip(std::string_view text, std::optional<std::string_view> chars, Side side) {
  const std::u32string set = chars ? decode(*chars) : std::u32string();
  const auto goes = [&](char32_t point) {
    return chars ? set.find(point) != std::u32string::npos : is_space(point);
  };
  std::size_t begin = 0, end = text.size();
  if (side != Side::kRight)
    for (std::size_t at = 0; at < end && goes(next_point(text, at));) begin = at;
  if (side != Side::kLeft)
    for (std::size_t at = end; at > begin && goes(previous_point(text, at));) end = at;
  return text.substr(begin, end - begin);
}

std::size_t find_bytes(std::string_view text, std::string_view part, bool from_right) {
  if (from_right) return text.rfind(part);
  if (part.empty()) return 0;
  const void* found = ::memmem(text.data(), text.size(), part.data(), part.size());
  return found == nullptr ? std::string_view::npos
                          : static_cast<std::size_t>(static_cast<const char*>(found) - text.data());
}

std::vector<std::string_view> split(const Run& run, std::string_view text,
                                    std::optional<std::string_view> separator, Int most,
                                    bool from_right) {
  if (!separator)
    return from_right ? split_space_from_right(run, text, most) : split_space(run, text, most);
  if (separator->empty()) run.fail("empty separator");
  std::vector<std::string_view> parts;
  while (most < 0 || static_cast<Int>(parts.size()) < most) {
    const std::size_t at = find_bytes(text, *separator, from_right);
    if (at == std::string_view::npos) break;
    expect_part(run, parts);
    const std::size_t after = at + separator->size();
    parts.push_back(from_right ? text.substr(after) : text.substr(0, at));
    text = from_right ? text.substr(0, at) : text.substr(after);
  }
  parts.push_back(text);
  if (from_right) std::reverse(parts.begin(), parts.end());
  return parts;
}

std::vector<std::string_view> split_lines(const Run& run, std::string_view text, bool keep_ends) {
  std::vector<std::string_view> lines;
  std::size_t begin = 0;
  for (std::size_t at = 0; at < text.size();) {
    const std::size_t end = at;
    const char32_t point = next_point(text, at);
    if (!is_line_end(point)) continue;
    if (point == '\r' && at < text.size() && text[at] == '\n') ++at;
    expect_part(run, lines);
    lines.push_back(text.substr(begin, (keep_ends ? at : end) - begin));
    begin = at;
  }
  if (begin < text.size()) lines.push_back(text.substr(begin));
  return lines;
}

std::string replace(Interpreter& interpreter, std::string_view text, std::string_view old_part,
                    std::string_view new_part, Int most) {
  interpreter.work(text.size());
  std::string out;
  Int count = 0;
  const auto put = [&](std::string_view part) {
    interpreter.expect_room(out.size() + part.size());
    out += part;
  };
  if (old_part.empty()) {  // before each character and at the end
    for (std::size_t at = 0; at <= text.size() && (most < 0 || count < most); ++count) {
      put(new_part);
      if (at == text.size()) return out;
      const std::size_t begin = at;
      next_point(text, at);
      put(text.substr(begin, at - begin));
      if (most >= 0 && count + 1 >= most) {
        put(text.substr(at));
        return out;
      }
    }
    return out + std::string(text);
  }
  while (most < 0 || count < most) {
    const std::size_t at = find_bytes(text, old_part, false);
    if (at == std::string_view::npos) break;
    put(text.substr(0, at));
    put(new_part);
    text.remove_prefix(at + old_part.size());
    ++count;
  }
  put(text);
  return out;
}

std::string pad(Interpreter& interpreter, std::string text, Int width, char32_t fill, Align align) {
  const Int missing = width - static_cast<Int>(count_points(text));
  if (missing <= 0) return text;
  std::string unit;
  append_point(unit, fill);
  interpreter.expect_room(text.size());
  const Int left = align == Align::kLeft ? 0 : align == Align::kCenter ? missing / 2 : missing;
  const std::string before = repeat(interpreter, unit, left);
  const std::string after = repeat(interpreter, unit, missing - left);
  std::size_t head = 0;
  if (align == Align::kAfterSign && !text.empty() &&
      (text[0] == '-' || text[0] == '+' || text[0] == ' '))
    head = 1;
  return text.substr(0, head) + before + text.substr(head) + after;
}

std::string center(Interpreter& interpreter, const std::string& text, Int width, char32_t fill) {
  const Int missing = width - static_cast<Int>(count_points(text));
  if (missing <= 0) return text;
  const Int left = missing / 2 + (missing & width & 1);
  const Int right = missing - left;
  std::string unit;
  append_point(unit, fill);
  return repeat(interpreter, unit, left) + text + repeat(interpreter, unit, right);
}

const std::string& expect_text(Interpreter& interpreter, const Value& value,
                               std::string_view what) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  if (!value.is_text()) interpreter.fail("{} is {}; expected a text", what, type_name(value));
  return value.bytes();
}

Int expect_integer(Interpreter& interpreter, const Value& value, std::string_view what) {
  if (value.is_undefined()) interpreter.fail("{}", value.undefined_message());
  if (!value.is_integral())
    interpreter.fail("{} is {}; expected an integer", what, type_name(value));
  return value.integer();
}

}  // namespace whit::jinja
