#include "pickle/writer.h"

#include <gtest/gtest.h>

#include <array>

#include "pickle/numpy.h"

namespace whit::pickle {
namespace {

TEST(PickleWriter, IsReadBack) {
  Writer writer;
  writer.begin_dict();
  writer.text("numbers");
  writer.begin_list();
  for (const std::int64_t value : {std::int64_t{0}, std::int64_t{255}, std::int64_t{256},
                                   std::int64_t{-1}, INT64_MAX, INT64_MIN})
    writer.integer(value);
  writer.real(0.1);
  writer.none();
  writer.end_list();
  writer.integer(7);
  writer.begin_tuple();
  writer.end_tuple();
  writer.end_dict();
  const std::string bytes = writer.finish();
  const auto document = read(bytes, {}, "p");
  const auto numbers = document.items(*document.find(document.root(), "numbers"));
  ASSERT_EQ(numbers.size(), 8U);
  EXPECT_EQ(document.integer(numbers[1]), 255);
  EXPECT_EQ(document.integer(numbers[3]), -1);
  EXPECT_EQ(document.integer(numbers[4]), INT64_MAX);
  EXPECT_EQ(document.integer(numbers[5]), INT64_MIN);
  EXPECT_EQ(document.real(numbers[6]), 0.1);
  EXPECT_EQ(document.kind(numbers[7]), Kind::kNone);
  EXPECT_EQ(document.kind(document.entries(document.root())[3]), Kind::kTuple);
}

TEST(PickleWriter, Arrays) {
  Writer writer;
  writer.begin_object_array();
  writer.begin_list();
  const std::array<std::uint64_t, 2> shape{2, 1};
  const std::vector<double> values{1.5, 0.1};
  writer.array(Writer::Float::kF32, shape, values);
  writer.array(Writer::Float::kF64, shape, values);
  writer.array(Writer::Float::kF64, {}, std::vector<double>{3});
  writer.end_list();
  writer.end_object_array();
  const std::string bytes = writer.finish();
  const auto document = read(bytes, {numpy_globals(), false}, "p");
  const Array outer = read_array(document, document.root());
  EXPECT_TRUE(outer.shape.empty());
  ASSERT_EQ(outer.objects.size(), 1U);
  const auto arrays = document.items(outer.objects[0]);
  ASSERT_EQ(arrays.size(), 3U);
  const Array narrow = read_array(document, arrays[0]);
  EXPECT_EQ(narrow.shape, (std::vector<std::uint64_t>{2, 1}));
  EXPECT_EQ(std::get<double>(number_at(document, narrow, 1)), double{0.1F});
  const Array wide = read_array(document, arrays[1]);
  EXPECT_EQ(std::get<double>(number_at(document, wide, 1)), 0.1);
  EXPECT_TRUE(read_array(document, arrays[2]).shape.empty());
}

}  // namespace
}  // namespace whit::pickle
