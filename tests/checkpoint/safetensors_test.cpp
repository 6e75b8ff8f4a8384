#include "checkpoint/safetensors.h"

#include "checkpoint/raw_files.h"

namespace whit::checkpoint {
namespace {

using base::ErrorKind;
using testing::expect_error;
using testing::Folder;
using testing::safetensors;

SafetensorsHeader parse(const std::string& file) {
  return parse_safetensors_header(std::as_bytes(std::span(file)), "f.safetensors");
}

struct Refused {
  const char* what;
  std::string file;
  const char* subject;
  const char* detail;
  ErrorKind kind = ErrorKind::kInput;
};
void PrintTo(const Refused& r, std::ostream* out) {
  *out << r.what;
}

class RefusedHeader : public ::testing::TestWithParam<Refused> {};
TEST_P(RefusedHeader, SaysWhere) {
  const Refused& p = GetParam();
  expect_error(p.kind, p.subject, p.detail, [&] { parse(p.file); });
}

std::string one(const std::string& fields, std::size_t bytes) {
  return safetensors(R"({"t":{)" + fields + "}}", std::string(bytes, 'x'));
}

std::string two(const std::string& a, const std::string& b, std::size_t bytes) {
  return safetensors(R"({"a":{"dtype":"U8","shape":[4],"data_offsets":)" + a +
                         R"(},"b":{"dtype":"U8","shape":[4],"data_offsets":)" + b + "}}",
                     std::string(bytes, 'x'));
}

std::string with_length(std::uint64_t length) {
  std::string file;
  for (unsigned i = 0; i < 8; ++i) file.push_back(static_cast<char>(length >> (8 * i) & 0xff));
  return file + "{}";
}

std::string nested_extra() {
  return one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1],"x":)" + std::string(1000000, '['),
             1);
}

const char* const kFile = "f.safetensors";
const char* const kTensor = "f.safetensors: tensor t";

INSTANTIATE_TEST_SUITE_P(
    Length, RefusedHeader,
    ::testing::Values(Refused{"empty", "", kFile, "0 bytes"},
                      Refused{"seven bytes", std::string(7, '\0'), kFile, "7 bytes"},
                      Refused{"2^60", with_length(1ULL << 60), kFile,
                              "header of 1152921504606846976"},
                      Refused{"2^64-1", with_length(~0ULL), kFile, "at most 100000000"},
                      Refused{"over cap", with_length(100'000'001), kFile, "at most 100000000"},
                      Refused{"truncated", with_length(3), kFile, "truncated"},
                      Refused{"no JSON", with_length(0), kFile, "no JSON"}));

INSTANTIATE_TEST_SUITE_P(
    Json, RefusedHeader,
    ::testing::Values(
        Refused{"bad UTF-8", safetensors("{\"\xff\":1}", ""), kFile, "UTF-8"},
        Refused{"surrogate", safetensors(R"({"\ud800":{}})", ""), kFile, "surrogate"},
        Refused{"mark", safetensors("\xef\xbb\xbf{}", ""), kFile, "byte order mark"},
        Refused{"NUL padding", safetensors(std::string("{}\0\0", 4), ""), kFile, "NUL"},
        Refused{"rest", safetensors("{} x", ""), kFile, "no JSON"},
        Refused{"array", safetensors("[]", ""), kFile, "expected a JSON object"},
        Refused{"number", safetensors("7", ""), kFile, "expected a JSON object"},
        Refused{"bomb", safetensors(std::string(1000000, '['), ""), kFile,
                "expected a JSON object"},
        Refused{"bomb in a tensor", nested_extra(), kTensor, "nested deeper"},
        Refused{"tensor is text", safetensors(R"({"t":"x"})", ""), kTensor, "expected an object"},
        Refused{"metadata number", safetensors(R"({"__metadata__":{"k":1}})", ""), kFile, "'k'"},
        Refused{"metadata null", safetensors(R"({"__metadata__":{"k":null}})", ""), kFile, "'k'"},
        Refused{"metadata list", safetensors(R"({"__metadata__":{"k":[]}})", ""), kFile, "'k'"},
        Refused{"metadata text", safetensors(R"({"__metadata__":"x"})", ""), kFile,
                "expected an object"},
        Refused{"metadata key twice", safetensors(R"({"__metadata__":{"k":"a","k":"b"}})", ""),
                kFile, "twice"},
        Refused{
            "name twice",
            safetensors(
                R"({"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]},"t":{"dtype":"U8","shape":[1],"data_offsets":[0,1]}})",
                "x"),
            kTensor, "twice"}));

INSTANTIATE_TEST_SUITE_P(
    Entry, RefusedHeader,
    ::testing::Values(
        Refused{"no dtype", one(R"("shape":[1],"data_offsets":[0,1])", 1), kTensor,
                "no field 'dtype'"},
        Refused{"no shape", one(R"("dtype":"U8","data_offsets":[0,1])", 1), kTensor,
                "no field 'shape'"},
        Refused{"no offsets", one(R"("dtype":"U8","shape":[1])", 1), kTensor,
                "no field 'data_offsets'"},
        Refused{"field twice",
                one(R"("dtype":"U8","dtype":"U8","shape":[1],"data_offsets":[0,1])", 1), kTensor,
                "twice"},
        Refused{"dtype unknown", one(R"("dtype":"U9","shape":[1],"data_offsets":[0,1])", 1),
                kTensor, "unknown dtype 'U9'"},
        Refused{"dtype foreign", one(R"("dtype":"C64","shape":[1],"data_offsets":[0,8])", 8),
                kTensor, "C64", ErrorKind::kUnsupported},
        Refused{"dtype number", one(R"("dtype":7,"shape":[1],"data_offsets":[0,1])", 1), kTensor,
                "expected a string"},
        Refused{"dtype list", one(R"("dtype":["U8"],"shape":[1],"data_offsets":[0,1])", 1), kTensor,
                "expected a string"},
        Refused{"shape negative", one(R"("dtype":"U8","shape":[-1],"data_offsets":[0,1])", 1),
                kTensor, "non-negative"},
        Refused{"shape minus zero", one(R"("dtype":"U8","shape":[-0],"data_offsets":[0,0])", 0),
                kTensor, "non-negative"},
        Refused{"shape fraction", one(R"("dtype":"U8","shape":[1.0],"data_offsets":[0,1])", 1),
                kTensor, "1.0"},
        Refused{"shape nested", one(R"("dtype":"U8","shape":[[1]],"data_offsets":[0,1])", 1),
                kTensor, "an array"},
        Refused{"shape null", one(R"("dtype":"U8","shape":null,"data_offsets":[0,1])", 1), kTensor,
                "null"},
        Refused{"extent 2^63",
                one(R"("dtype":"U8","shape":[9223372036854775808],"data_offsets":[0,1])", 1),
                kTensor, "2^63"},
        Refused{"extent 2^64",
                one(R"("dtype":"U8","shape":[18446744073709551616],"data_offsets":[0,1])", 1),
                kTensor, "18446744073709551616"},
        Refused{"overflow",
                one(R"("dtype":"F32","shape":[4294967296,4294967296],"data_offsets":[0,0])", 0),
                kTensor, "overflows"},
        Refused{"overflow behind zero",
                one(R"("dtype":"F32","shape":[4294967296,4294967296,0],"data_offsets":[0,0])", 0),
                kTensor, "overflows"},
        Refused{"half a byte", one(R"("dtype":"F4","shape":[3],"data_offsets":[0,2])", 2), kTensor,
                "within a byte"},
        Refused{"one offset", one(R"("dtype":"U8","shape":[1],"data_offsets":[0])", 1), kTensor,
                "1 data_offsets"},
        Refused{"three offsets", one(R"("dtype":"U8","shape":[1],"data_offsets":[0,1,1])", 1),
                kTensor, "more than two"},
        Refused{"backwards", one(R"("dtype":"U8","shape":[0],"data_offsets":[1,0])", 1), kTensor,
                "backwards"},
        Refused{"span too short", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,4])", 4),
                kTensor, "span 4 bytes; shape [2] of F32 needs 8"},
        Refused{"beyond the end", one(R"("dtype":"F32","shape":[2],"data_offsets":[0,8])", 7),
                kTensor, "data ends at byte 8 of the data; the file has 7"}));

INSTANTIATE_TEST_SUITE_P(
    Cover, RefusedHeader,
    ::testing::Values(
        Refused{"overlap", two("[0,4]", "[2,6]", 6), "tensor b", "inside the tensor before it"},
        Refused{"same bytes", two("[0,4]", "[0,4]", 4), "tensor b", "inside the tensor before it"},
        Refused{"hole", two("[0,4]", "[5,9]", 9), "tensor b", "after a hole"},
        Refused{"hole at the start", one(R"("dtype":"U8","shape":[1],"data_offsets":[1,2])", 2),
                kTensor, "after a hole"},
        Refused{"trailing", two("[0,4]", "[4,8]", 9), kFile, "1 bytes after the last tensor"},
        Refused{"data without tensors", safetensors("{}", "x"), kFile, "1 bytes after"}));

TEST(SafetensorsHeader, AcceptsWhatTheLibraryAccepts) {
  EXPECT_TRUE(parse(safetensors("{}", "")).tensors.empty());
  EXPECT_TRUE(parse(safetensors(R"(  {"__metadata__":null}   )", "")).metadata.empty());
  EXPECT_EQ(parse(safetensors(R"({"__metadata__":{"format":"pt"}})", "")).metadata.at("format"),
            "pt");
  const auto extra =
      one(R"("x":{"y":[1,null,{}]},"data_offsets":[0,4],"shape":[],"dtype":"F32")", 4);
  EXPECT_EQ(parse(extra).tensors.at(0).bytes, 4U);
  const auto zero = one(R"("dtype":"F32","shape":[0,7],"data_offsets":[0,0])", 0);
  EXPECT_EQ(parse(zero).tensors.at(0).bytes, 0U);
  const auto fp4 = one(R"("dtype":"F4","shape":[2,3],"data_offsets":[0,3])", 3);
  EXPECT_EQ(parse(fp4).tensors.at(0).bytes, 3U);
}

TEST(SafetensorsHeader, OrdersByOffset) {
  const SafetensorsHeader header = parse(two("[4,8]", "[0,4]", 8));
  ASSERT_EQ(header.tensors.size(), 2U);
  EXPECT_EQ(header.tensors[0].name, "b");
  EXPECT_EQ(header.tensors[1].offset, header.tensors[0].offset + 4);
}

TEST(SafetensorsFile, AlignsTensorsThatLieAskew) {
  const float value = 1.5F;
  std::string data = "\x07";
  data.append(reinterpret_cast<const char*>(&value), 4);
  const Folder folder;
  const SafetensorsFile file(folder.write(
      "a.safetensors", safetensors(R"({"a":{"dtype":"I8","shape":[1],"data_offsets":[0,1]},)"
                                   R"("b":{"dtype":"F32","shape":[1],"data_offsets":[1,5]}})",
                                   data)));
  const tensor::TensorView view = file.view(*file.find("b"));
  EXPECT_EQ(reinterpret_cast<std::uintptr_t>(view.data) % 4, 0U);
  EXPECT_EQ(*reinterpret_cast<const float*>(view.data), 1.5F);
  file.release(*file.find("b"));
  EXPECT_EQ(tensor::to_f32_vector(file.view(*file.find("b"))).at(0), 1.5F);
  EXPECT_EQ(file.find("c"), nullptr);
}

TEST(SafetensorsFile, NamesAMissingFile) {
  expect_error(ErrorKind::kInput, "/nowhere/x.safetensors", "opening",
               [] { SafetensorsFile file("/nowhere/x.safetensors"); });
}

}  // namespace
}  // namespace whit::checkpoint
