#include "model/arch/fields.h"

#include <cmath>
#include <limits>
#include <utility>

#include "base/error.h"

namespace whit::model::arch {

using base::ErrorKind;
using nlohmann::json;

namespace {

constexpr std::size_t kShownCharacters = 80;

std::string shown(const json& value) {
  std::string text = value.dump(-1, ' ', true, json::error_handler_t::replace);
  if (text.size() > kShownCharacters) text = text.substr(0, kShownCharacters) + "...";
  return text;
}

[[noreturn]] void wrong(std::string subject, const json& value, std::string_view expected) {
  base::fail(ErrorKind::kInput, std::move(subject), "found {}; expected {}", shown(value),
             expected);
}

double finite(const json& value, std::string subject) {
  const double number = value.is_number() ? value.get<double>() : std::nan("");
  if (!(std::abs(number) <= static_cast<double>(std::numeric_limits<float>::max())))
    wrong(std::move(subject), value, "a number");
  return number;
}

}  // namespace

Fields::Fields(const json& object, std::string path) : object_(&object), path_(std::move(path)) {
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

const json& Fields::at(std::string_view key, const char* expected) const {
  const auto found = object_->find(key);
  if (found == object_->end())
    base::fail(ErrorKind::kInput, subject(key), "missing; expected {}", expected);
  return *found;
}

std::int64_t Fields::integer(std::string_view key, std::int64_t low, std::int64_t high) const {
  const json& value = at(key, "a whole number");
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
  const json& value = at(key, "true or false");
  if (!value.is_boolean()) wrong(subject(key), value, "true or false");
  return value.get<bool>();
}

std::string Fields::text_or(std::string_view key, std::string_view otherwise) const {
  if (!has(key)) return std::string(otherwise);
  const json& value = at(key, "a string");
  if (!value.is_string()) wrong(subject(key), value, "a string");
  return value.get<std::string>();
}

Fields Fields::object(std::string_view key) const {
  return Fields(at(key, "an object"), fmt::format("{}{}.", path_, key));
}

void Fields::require_text(std::string_view key, std::string_view expected) const {
  const std::string found = text_or(key, expected);
  if (found != expected)
    base::fail(ErrorKind::kUnsupported, subject(key), "found {}; expected {}", shown(json(found)),
               expected);
}

}  // namespace whit::model::arch
