#include "model/arch/fields.h"

#include <array>
#include <cmath>
#include <limits>
#include <nlohmann/json.hpp>
#include <utility>

#include "base/error.h"

namespace whit::model::arch {

using base::ErrorKind;

namespace {

constexpr std::size_t kShownCharacters = 80;

std::string shown(const nlohmann::json& value) {
  std::string text = value.dump(-1, ' ', true, nlohmann::json::error_handler_t::replace);
  if (text.size() > kShownCharacters) text = text.substr(0, kShownCharacters) + "...";
  return text;
}

[[noreturn]] void wrong(std::string subject, const nlohmann::json& value,
                        std::string_view expected) {
  base::fail(ErrorKind::kInput, std::move(subject), "found {}; expected {}", shown(value),
             expected);
}

double finite(const nlohmann::json& value, std::string subject) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max())))
    wrong(std::move(subject), value, "a number");
  return number;
}

}  // namespace

Fields::Fields(const nlohmann::json& object, std::string path)
    : object_(&object), path_(std::move(path)) {
  if (object.is_object()) return;
  const std::string name = path_.empty() ? "config.json" : "config.json: " + path_;
  wrong(path_.empty() ? name : name.substr(0, name.size() - 1), object, "an object");
}

std::string Fields::subject(std::string_view key) const {
  return fmt::format("config.json: {}{}", path_, key);
}

bool Fields::has(std::string_view key) const {
  return object_->contains(key);
}

bool Fields::present(std::string_view key) const {
  const auto found = object_->find(key);
  return found != object_->end() && !found->is_null();
}

const nlohmann::json& Fields::at(std::string_view key, const char* expected) const {
  const auto found = object_->find(key);
  if (found == object_->end())
    base::fail(ErrorKind::kInput, subject(key), "missing; expected {}", expected);
  return *found;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const nlohmann::json& value = at(key, "a whole number");
  if (!value.is_number_integer()) wrong(subject(key), value, "a whole number");
  const bool too_large =
      value.is_number_unsigned() && value.get<std::uint64_t>() > static_cast<std::uint64_t>(high);
  if (too_large || value.get<std::int64_t>() < low || value.get<std::int64_t>() > high)
    wrong(subject(key), value, fmt::format("{} to {}", low, high));
  return value.get<std::int64_t>();
}

std::int64_t Fields::integer_or(std::string_view key, std::int64_t otherwise, std::int64_t low,
                                std::int64_t high) const {
  return has(key) ? integer(key, low, high) : otherwise;
}

std::optional<std::int64_t> Fields::maybe_integer(std::string_view key, std::int64_t low) const {
  if (!present(key)) return std::nullopt;
  return integer(key, low);
}

double Fields::number(std::string_view key) const {
  return finite(at(key, "a number"), subject(key));
}

double Fields::number_or(std::string_view key, double otherwise) const {
  return has(key) ? number(key) : otherwise;
}

std::optional<double> Fields::maybe_number(std::string_view key) const {
  if (!present(key)) return std::nullopt;
  return number(key);
}

bool Fields::boolean_or(std::string_view key, bool otherwise) const {
  if (!has(key)) return otherwise;
  const nlohmann::json& value = at(key, "true or false");
  if (!value.is_boolean()) wrong(subject(key), value, "true or false");
  return value.get<bool>();
}

std::string Fields::text_or(std::string_view key, std::string_view otherwise) const {
  if (!has(key)) return std::string(otherwise);
  const nlohmann::json& value = at(key, "a string");
  if (!value.is_string()) wrong(subject(key), value, "a string");
  return value.get<std::string>();
}

Fields Fields::object(std::string_view key) const {
  return Fields(at(key, "an object"), fmt::format("{}{}.", path_, key));
}

namespace {

constexpr std::size_t kLongestList = 1 << 20;

const nlohmann::json& as_list(const nlohmann::json& value, const std::string& subject) {
  if (!value.is_array() || value.size() > kLongestList) wrong(subject, value, "a list");
  return value;
}

}  // namespace

std::vector<std::string> Fields::texts(std::string_view key) const {
  std::vector<std::string> list;
  for (const nlohmann::json& value : as_list(at(key, "a list of strings"), subject(key))) {
    if (!value.is_string()) wrong(subject(key), value, "strings");
    list.push_back(value.get<std::string>());
  }
  return list;
}

std::vector<double> Fields::numbers(std::string_view key) const {
  std::vector<double> list;
  for (const nlohmann::json& value : as_list(at(key, "a list of numbers"), subject(key)))
    list.push_back(finite(value, subject(key)));
  return list;
}

std::vector<std::int64_t> Fields::integers(std::string_view key) const {
  std::vector<std::int64_t> list;
  for (const nlohmann::json& value : as_list(at(key, "a list of whole numbers"), subject(key))) {
    if (!value.is_number_integer()) wrong(subject(key), value, "whole numbers");
    list.push_back(value.get<std::int64_t>());
  }
  return list;
}

std::string_view Fields::one_of(std::initializer_list<std::string_view> keys) const {
  std::string_view found;
  for (const std::string_view key : keys) {
    if (!present(key)) continue;
    if (found.empty())
      found = key;
    else if (object_->at(std::string(key)) != object_->at(std::string(found)))
      wrong(subject(key), object_->at(std::string(key)),
            fmt::format("{}, as {} says", shown(object_->at(std::string(found))), found));
  }
  return found.empty() ? *keys.begin() : found;
}

compute::Activation Fields::activation_or(std::string_view key, std::string_view otherwise) const {
  using compute::Activation;
  static constexpr std::array<std::pair<std::string_view, Activation>, 10> kNames{
      {{"silu", Activation::kSilu},
       {"swish", Activation::kSilu},
       {"gelu", Activation::kGelu},
       {"gelu_python", Activation::kGelu},
       {"gelu_new", Activation::kGeluTanh},
       {"gelu_fast", Activation::kGeluTanh},
       {"gelu_accurate", Activation::kGeluTanh},
       {"gelu_pytorch_tanh", Activation::kGeluTanh},
       {"gelu_python_tanh", Activation::kGeluTanh},
       {"relu", Activation::kRelu}}};
  const std::string found = text_or(key, otherwise);
  for (const auto& [name, activation] : kNames)
    if (name == found) return activation;
  base::fail(ErrorKind::kUnsupported, subject(key),
             "found {}; expected silu, gelu, gelu_pytorch_tanh, relu or another name of these",
             shown(nlohmann::json(found)));
}

float Fields::softcap_or(std::string_view key, float otherwise) const {
  if (!has(key)) return otherwise;
  if (!present(key)) return 0;
  const auto cap = static_cast<float>(number(key));
  if (!(cap > 0)) wrong(subject(key), at(key, "a number"), "a positive number");
  return cap;
}

void Fields::refuse_true(std::string_view key) const {
  if (present(key) && boolean_or(key, false))
    base::fail(ErrorKind::kUnsupported, subject(key), "found true; expected false");
}

void Fields::refuse_false(std::string_view key) const {
  if (present(key) && !boolean_or(key, true))
    base::fail(ErrorKind::kUnsupported, subject(key), "found false; expected true");
}

void Fields::refuse_present(std::string_view key) const {
  if (present(key))
    base::fail(ErrorKind::kUnsupported, subject(key), "found {}; expected null",
               shown(at(key, "null")));
}

void Fields::require_text(std::string_view key, std::string_view expected) const {
  const std::string found = text_or(key, expected);
  if (found != expected)
    base::fail(ErrorKind::kUnsupported, subject(key), "found {}; expected {}",
               shown(nlohmann::json(found)), expected);
}

}  // namespace whit::model::arch
