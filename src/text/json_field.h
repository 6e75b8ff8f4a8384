#pragma once

#include <cstdint>
#include <filesystem>
#include <nlohmann/json.hpp>
#include <optional>
#include <string>
#include <string_view>

#include "base/error.h"

namespace whit::text {

namespace fs = std::filesystem;
using Json = nlohmann::json;

// Reads a JSON file. Errors: kInput, subject = path.
Json read_json_file(const fs::path& path, std::uint64_t max_bytes = 512ULL << 20);

// A value inside a JSON file that knows its name, so that every error says "FILE: FIELD".
// Keeps references: the document must outlive it.
class Field {
 public:
  Field(const Json& value, const std::string& file) : value_(&value), file_(&file) {}

  const Json& json() const { return *value_; }
  std::string subject() const;

  bool is_null() const { return value_->is_null(); }
  Field at(std::string_view key) const;                   // must be there
  std::optional<Field> find(std::string_view key) const;  // nullopt where absent or null
  Field item(std::size_t index) const;
  std::size_t size() const;  // of an array

  std::string string() const;
  bool boolean() const;
  std::int64_t integer() const;
  std::string string_or(std::string_view key, std::string_view fallback) const;
  bool boolean_or(std::string_view key, bool fallback) const;

  [[noreturn]] void fail_type(std::string_view expected) const;

  template <typename... Args>
  [[noreturn]] void fail_input(fmt::format_string<Args...> detail, Args&&... args) const {
    throw base::Error(base::ErrorKind::kInput, subject(),
                      fmt::format(detail, std::forward<Args>(args)...));
  }
  template <typename... Args>
  [[noreturn]] void fail_unsupported(fmt::format_string<Args...> detail, Args&&... args) const {
    throw base::Error(base::ErrorKind::kUnsupported, subject(),
                      fmt::format(detail, std::forward<Args>(args)...));
  }

 private:
  Field(const Json& value, const std::string& file, std::string path)
      : value_(&value), file_(&file), path_(std::move(path)) {}

  const Json* value_;
  const std::string* file_;
  std::string path_;
};

}  // namespace whit::text
