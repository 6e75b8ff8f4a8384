#include "text/json_field.h"

#include "base/file.h"

namespace whit::text {

Json read_json_file(const fs::path& path, std::uint64_t max_bytes) {
  const std::string contents = base::read_text_file(path, max_bytes);
  try {
    return Json::parse(contents);
  } catch (const Json::exception& error) {
    base::fail(base::ErrorKind::kInput, path.string(), "not JSON ({}); expected a JSON document",
               error.what());
  }
}

std::string Field::subject() const {
  return path_.empty() ? *file_ : *file_ + ": " + path_;
}

Field Field::at(std::string_view key) const {
  if (!value_->is_object()) fail_type("an object");
  const auto found = value_->find(std::string(key));
  std::string path = path_.empty() ? std::string(key) : path_ + "." + std::string(key);
  if (found == value_->end()) {
    base::fail(base::ErrorKind::kInput, *file_ + ": " + path, "missing; expected this field");
  }
  return {*found, *file_, std::move(path)};
}

std::optional<Field> Field::find(std::string_view key) const {
  if (!value_->is_object()) fail_type("an object");
  const auto found = value_->find(std::string(key));
  if (found == value_->end() || found->is_null()) return std::nullopt;
  return at(key);
}

Field Field::item(std::size_t index) const {
  if (index >= size()) fail_input("{} items; expected more than {}", size(), index);
  return {(*value_)[index], *file_, fmt::format("{}[{}]", path_, index)};
}

std::size_t Field::size() const {
  if (!value_->is_array()) fail_type("an array");
  return value_->size();
}

std::string Field::string() const {
  if (!value_->is_string()) fail_type("a string");
  return value_->get<std::string>();
}

bool Field::boolean() const {
  if (!value_->is_boolean()) fail_type("true or false");
  return value_->get<bool>();
}

std::int64_t Field::integer() const {
  if (!value_->is_number_integer()) fail_type("an integer");
  if (value_->is_number_unsigned() && value_->get<std::uint64_t>() > INT64_MAX) {
    fail_input("{}; expected an integer of 64 bits", value_->get<std::uint64_t>());
  }
  return value_->get<std::int64_t>();
}

std::string Field::string_or(std::string_view key, std::string_view fallback) const {
  const auto field = find(key);
  return field ? field->string() : std::string(fallback);
}

bool Field::boolean_or(std::string_view key, bool fallback) const {
  const auto field = find(key);
  return field ? field->boolean() : fallback;
}

void Field::fail_type(std::string_view expected) const {
  fail_input("found {}; expected {}", value_->type_name(), expected);
}

}  // namespace whit::text
