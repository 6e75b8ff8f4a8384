#include <algorithm>
#include <array>
#include <nlohmann/json.hpp>

#include "base/error.h"
#include "formats/inc_tree.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::size_t kMaxJsonDepth = 16;

// Builds the tree while the text is read; says where it stands when something is wrong.
class Builder final : public nlohmann::json_sax<nlohmann::json> {
 public:
  Builder(std::string_view text, const std::string& subject) : text_(text), subject_(subject) {}

  bool null() override { return add({}); }
  bool boolean(bool value) override { return add({value}); }
  bool number_integer(number_integer_t value) override { return add({std::int64_t{value}}); }
  bool number_unsigned(number_unsigned_t value) override {
    if (value > INT64_MAX) return add({static_cast<double>(value)});
    return add({static_cast<std::int64_t>(value)});
  }
  bool number_float(number_float_t value, const string_t&) override { return add({value}); }
  bool string(string_t& value) override { return add({std::move(value)}); }
  bool binary(binary_t&) override { return false; }
  bool start_object(std::size_t) override { return open({IncTree::Dict()}); }
  bool start_array(std::size_t) override { return open({IncTree::List()}); }
  bool key(string_t& value) override {
    keys_.back() = std::move(value);
    return true;
  }
  bool end_object() override {
    std::vector<std::string_view> names;
    for (const auto& [name, value] : *stack_.back().dict()) names.emplace_back(name);
    std::sort(names.begin(), names.end());
    const auto twice = std::adjacent_find(names.begin(), names.end());
    keys_.back().clear();
    if (twice != names.end())
      fail(ErrorKind::kInput, place(), "{:?} stands twice; expected once", std::string(*twice));
    return close();
  }
  bool end_array() override { return close(); }
  bool parse_error(std::size_t position, const std::string&,
                   const nlohmann::json::exception& error) override {
    // The position is behind the first character that no JSON value begins with.
    const std::size_t begin = std::min(position == 0 ? 0 : position - 1, text_.size());
    const bool negative = begin > 0 && text_[begin - 1] == '-';
    for (const std::string_view word : {"NaN", "Infinity"})
      if (text_.substr(begin).starts_with(word))
        fail(ErrorKind::kInput, place(), "{}{}; expected a finite number", negative ? "-" : "",
             word);
    fail(ErrorKind::kInput, place(), "no valid JSON ({}); expected a JSON document", error.what());
  }

  IncTree take() { return std::move(root_); }

 private:
  std::string place() const {
    std::string path = subject_;
    for (const auto& key : keys_)
      if (!key.empty()) path += ": " + key;
    return path;
  }
  bool add(IncTree value) {
    if (stack_.empty()) {
      root_ = std::move(value);
    } else if (auto* list = std::get_if<IncTree::List>(&stack_.back().value)) {
      list->push_back(std::move(value));
    } else {
      std::get<IncTree::Dict>(stack_.back().value).emplace_back(keys_.back(), std::move(value));
    }
    return true;
  }
  bool open(IncTree container) {
    if (stack_.size() == kMaxJsonDepth)
      fail(ErrorKind::kInput, place(), "nested deeper than {} levels", kMaxJsonDepth);
    stack_.push_back(std::move(container));
    keys_.emplace_back();
    return true;
  }
  bool close() {
    IncTree done = std::move(stack_.back());
    stack_.pop_back();
    keys_.pop_back();
    return add(std::move(done));
  }

  std::string_view text_;
  std::string subject_;
  std::vector<IncTree> stack_;
  std::vector<std::string> keys_;
  IncTree root_;
};

// Python's repr.
void write_real(double value, std::string& out) {
  const std::string text = fmt::format("{}", value);
  out += text;
  if (text.find_first_of(".en") == std::string::npos) out += ".0";
}

void break_line(int depth, std::string& out) {
  out += '\n';
  out.append(4 * static_cast<std::size_t>(depth), ' ');
}

void write_array(const IncArray& array, std::size_t dimension, std::size_t& next, int depth,
                 std::string& out) {
  if (dimension == array.shape.size()) {
    write_real(array.values[next++], out);
    return;
  }
  const std::uint64_t size = array.shape[dimension];
  out += '[';
  for (std::uint64_t i = 0; i < size; ++i) {
    if (i > 0) out += ',';
    break_line(depth + 1, out);
    write_array(array, dimension + 1, next, depth + 1, out);
  }
  if (size > 0) break_line(depth, out);
  out += ']';
}

void write_text(const std::string& text, std::string& out) {
  out += nlohmann::json(text).dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
}

void write_tree(const IncTree& tree, int depth, std::string& out) {
  if (tree.is_none()) out += "null";
  if (const bool* truth = std::get_if<bool>(&tree.value)) out += *truth ? "true" : "false";
  if (const auto* number = std::get_if<std::int64_t>(&tree.value)) out += std::to_string(*number);
  if (const double* number = std::get_if<double>(&tree.value)) write_real(*number, out);
  if (tree.text() != nullptr) write_text(*tree.text(), out);
  if (const auto* array = tree.array()) {
    std::size_t next = 0;
    write_array(*array, 0, next, depth, out);
  }
  if (const auto* list = tree.list()) {
    out += '[';
    for (std::size_t i = 0; i < list->size(); ++i) {
      if (i > 0) out += ',';
      break_line(depth + 1, out);
      write_tree((*list)[i], depth + 1, out);
    }
    if (!list->empty()) break_line(depth, out);
    out += ']';
  }
  if (const auto* dict = tree.dict()) {
    out += '{';
    for (std::size_t i = 0; i < dict->size(); ++i) {
      if (i > 0) out += ',';
      break_line(depth + 1, out);
      write_text((*dict)[i].first, out);
      out += ": ";
      write_tree((*dict)[i].second, depth + 1, out);
    }
    if (!dict->empty()) break_line(depth, out);
    out += '}';
  }
}

}  // namespace

const IncTree* IncTree::find(std::string_view key) const {
  if (const Dict* entries = dict())
    for (const auto& [name, entry] : *entries)
      if (name == key) return &entry;
  return nullptr;
}

std::string_view IncTree::kind() const {
  constexpr std::array<std::string_view, 8> kKinds{
      "null", "true or false", "a number", "a number", "a text", "a list", "a dict", "an array"};
  return kKinds.at(value.index());
}

IncTree parse_inc_json(std::string_view text, const std::string& subject) {
  Builder builder(text, subject);
  nlohmann::json::sax_parse(text, &builder);
  return builder.take();
}

std::string to_inc_json(const IncTree& tree) {
  std::string out;
  write_tree(tree, 0, out);
  return out;
}

}  // namespace whit::formats
