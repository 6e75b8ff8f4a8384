#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "data/rows.h"
#include "pickle/document.h"
#include "pickle/numpy.h"

namespace whit::data {

// Texts of an Arrow array as a pickle holds it: validity bits, offsets, bytes.
struct ArrowTexts {
  std::uint64_t length = 0, offset = 0;
  std::size_t offset_bytes = 4;  // 4: string, 8: large_string
  std::string_view validity;     // empty: all are there
  std::string_view offsets, bytes;
  // Bytes that the pickle holds as text, as protocol 2 does; the others are the document's.
  std::vector<std::shared_ptr<const std::string>> decoded;
};

// The names that pickled pandas tables consist of, those of NumPy and Arrow among them.
const std::vector<std::string_view>& table_globals();

// A pandas DataFrame, as pandas 1.0 to 3 pickle it: columns lie in blocks of one type each. Only
// columns of texts, numbers and lists, dicts and arrays of them are read; a column of dates or
// categories may be there. The document must outlive the frame.
class PandasFrame {
 public:
  // Errors: kInput (no DataFrame, or one that contradicts itself), kUnsupported.
  explicit PandasFrame(const pickle::Document& document);

  std::uint64_t rows() const { return rows_; }
  const std::vector<std::string>& columns() const { return columns_; }
  // Whether a column's type is read.
  bool is_read(std::size_t column) const;
  // None, NaN and NA are null. Errors: kInput, kUnsupported.
  Json at(std::uint64_t row, std::size_t column) const;

 private:
  struct Unread {};
  using Values = std::variant<Unread, pickle::Array, std::vector<ArrowTexts>>;
  struct Place {
    std::size_t block = 0;
    std::uint64_t item = 0;
    bool known = false;
  };

  void read_blocks(pickle::ValueId blocks);
  void read_old_blocks(pickle::ValueId state);
  void add_block(pickle::ValueId values, pickle::ValueId placement);
  void place(const std::vector<std::int64_t>& columns, std::uint64_t items);
  std::vector<std::int64_t> placement_of(pickle::ValueId id, std::uint64_t items) const;
  void read_column_names(pickle::ValueId axis);
  void set_rows(std::uint64_t rows);

  const pickle::Document& document_;
  std::uint64_t rows_ = 0;
  bool rows_known_ = false;
  std::vector<std::string> columns_;
  std::vector<Place> places_;
  std::vector<Values> blocks_;
};

// A value of a pickle as JSON: None, bools, numbers, texts, lists, tuples, dicts with texts as
// keys, arrays and scalars of NumPy. Errors: kInput, kUnsupported, subject = the document's.
Json json_of(const pickle::Document& document, pickle::ValueId id);
// "module name" of what an object was made by; empty where `id` is no such object.
std::string_view call_of(const pickle::Document& document, pickle::ValueId id);

Json json_of(const pickle::Number& number);

// An array of texts as a pickle of pandas holds it, or nothing where it is another kind of array.
std::vector<ArrowTexts> read_arrow_texts(const pickle::Document& document, pickle::ValueId id);
std::uint64_t length_of(const std::vector<ArrowTexts>& chunks);
// The text of a row, or null.
Json text_at(const std::vector<ArrowTexts>& chunks, std::uint64_t row);

}  // namespace whit::data
