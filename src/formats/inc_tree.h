#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <variant>
#include <vector>

namespace whit::formats {

// An array of numbers, C order; without a shape one number.
struct IncArray {
  std::vector<std::uint64_t> shape;
  std::vector<double> values;
  bool operator==(const IncArray&) const = default;
};

// What a file of Intel Neural Compressor holds, JSON or NPZ. Keys are texts in the file's order.
// Arrays come from NPZ; JSON has lists of lists instead.
struct IncTree {
  struct Entry;
  using List = std::vector<IncTree>;
  using Dict = std::vector<Entry>;
  std::variant<std::monostate, bool, std::int64_t, double, std::string, List, Dict, IncArray> value;

  bool is_none() const { return std::holds_alternative<std::monostate>(value); }
  const List* list() const { return std::get_if<List>(&value); }
  const Dict* dict() const { return std::get_if<Dict>(&value); }
  const std::string* text() const { return std::get_if<std::string>(&value); }
  const IncArray* array() const { return std::get_if<IncArray>(&value); }
  // The value of a key of a dict; null where there is none.
  const IncTree* find(std::string_view key) const;
  std::string_view kind() const;  // "a list"
  bool operator==(const IncTree&) const;
};

struct IncTree::Entry {
  std::string first;
  IncTree second;

  Entry(std::string key, IncTree its_value) : first(std::move(key)), second(std::move(its_value)) {}
  bool operator==(const Entry&) const = default;
};

inline bool IncTree::operator==(const IncTree& other) const {
  return value == other.value;
}

// Errors: kInput (subject: `subject`; with the keys that lead there), NaN and infinities, which
// Python writes into JSON, included.
IncTree parse_inc_json(std::string_view text, const std::string& subject);

// The object in arr_0 of an .npz. Nothing of its pickle is run. Errors: kInput, kUnsupported.
IncTree parse_inc_npz(std::string_view bytes, const std::string& subject);

// As Python's json.dump(indent=4) writes it; arrays as lists of lists.
std::string to_inc_json(const IncTree& tree);

// As numpy.savez writes it, arrays in float32 where that holds every number of the file, else in
// float64; keys that are numbers as numbers.
std::string to_inc_npz(const IncTree& tree);

}  // namespace whit::formats
