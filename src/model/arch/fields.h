#pragma once

#include <cstdint>
#include <initializer_list>
#include <nlohmann/json_fwd.hpp>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "compute/backend.h"

namespace whit::model::arch {

// Typed access to one object of config.json. Types are strict (84.0 is no integer); a missing, null
// or mistyped field is kInput with subject "config.json: FIELD", unless the function says
// otherwise.
class Fields {
 public:
  // `path` is the prefix of nested fields, e.g. "rope_scaling.". Errors: kInput, no object.
  explicit Fields(const nlohmann::json& object, std::string path = {});

  bool has(std::string_view key) const;      // present, perhaps null
  bool present(std::string_view key) const;  // present and not null

  // Whole numbers within [low, high].
  std::int64_t integer(std::string_view key, std::int64_t low = 1,
                       std::int64_t high = kLargestExtent) const;
  // `otherwise` where the field is absent.
  std::int64_t integer_or(std::string_view key, std::int64_t otherwise, std::int64_t low = 1,
                          std::int64_t high = kLargestExtent) const;
  // Nothing where the field is absent or null.
  std::optional<std::int64_t> maybe_integer(std::string_view key, std::int64_t low = 1) const;

  double number(std::string_view key) const;  // finite, also as a float
  double number_or(std::string_view key, double otherwise) const;
  std::optional<double> maybe_number(std::string_view key) const;  // absent or null: nothing

  bool boolean_or(std::string_view key, bool otherwise) const;
  std::string text_or(std::string_view key, std::string_view otherwise) const;
  Fields object(std::string_view key) const;

  std::vector<std::string> texts(std::string_view key) const;
  std::vector<double> numbers(std::string_view key) const;
  std::vector<std::int64_t> integers(std::string_view key) const;

  // The first of several names of one field that is present, else the first. Errors: kInput where
  // two are present and differ.
  std::string_view one_of(std::initializer_list<std::string_view> keys) const;

  // An activation by transformers' name. Errors: kUnsupported for one that whit does not compute.
  compute::Activation activation_or(std::string_view key, std::string_view otherwise) const;
  // The bound of a soft cap; 0 where the field is null. Errors: kInput unless it is positive.
  float softcap_or(std::string_view key, float otherwise) const;

  // Refuse (kUnsupported) a field that is true, false, or present and not null.
  void refuse_true(std::string_view key) const;
  void refuse_false(std::string_view key) const;
  void refuse_present(std::string_view key) const;
  // Refuses (kUnsupported) any value of a text field but `expected`; absent is taken as `expected`.
  void require_text(std::string_view key, std::string_view expected) const;

  std::string subject(std::string_view key) const;  // "config.json: rope_scaling.factor"

  // Beyond any model; small enough that products of two extents are safe.
  static constexpr std::int64_t kLargestExtent = std::int64_t{1} << 28;

 private:
  const nlohmann::json& at(std::string_view key, const char* expected) const;

  const nlohmann::json* object_;
  std::string path_;
};

}  // namespace whit::model::arch
