#include "data/pandas_frame.h"
#include "expect.h"
#include "pickle/document.h"

namespace {

// Numbers of values of a cell that are looked at; the rest is like them.
constexpr std::uint64_t kRows = 4;

}  // namespace

// A pickle, and what it holds as a table. The bytes that texts are views of stay in place.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const std::string_view bytes(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto document = pickle::read(bytes, {data::table_globals()}, "pickle");
    require(document.end() <= size && document.size() <= size + 1);
    accepts([&] { data::json_of(document, document.root()); });
    const data::PandasFrame frame(document);
    for (std::size_t column = 0; column < frame.columns().size() && column < 16; ++column) {
      if (!frame.is_read(column)) continue;
      for (std::uint64_t row = 0; row < frame.rows() && row < kRows; ++row) {
        accepts([&] { frame.at(row, column); });
        accepts([&] { frame.at(frame.rows() - 1 - row, column); });
      }
    }
  });
  return 0;
}
