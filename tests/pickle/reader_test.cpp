#include <gtest/gtest.h>

#include <array>
#include <deque>
#include <string>

#include "base/error.h"
#include "pickle/document.h"
#include "pickle/numpy.h"

namespace whit::pickle {
namespace {

using base::ErrorKind;

constexpr std::array<std::string_view, 3> kAllowed{"builtins slice", "numpy dtype",
                                                   "numpy.core.multiarray _reconstruct"};

// Bytes of a literal that holds NULs.
template <std::size_t N>
std::string bytes(const char (&literal)[N]) {
  return std::string(literal, N - 1);
}

// Documents refer to the bytes that they were read from: these live as long as the program.
Document parse(std::string pickle, bool persistent_ids = false) {
  static std::deque<std::string> kept;
  return read(kept.emplace_back(std::move(pickle)), {kAllowed, persistent_ids}, "file.pkl");
}

void refuse(const std::string& pickle, const std::string& part,
            ErrorKind kind = ErrorKind::kInput) {
  try {
    parse(pickle);
    ADD_FAILURE() << "accepted; expected: " << part;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(error.subject(), "file.pkl");
    EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
  }
}

TEST(Reader, Values) {
  // (None, True, -2, 300, 2.5, "é", b"\0x", [1, 1], {"k": 7}, {3}, 2^40) in protocol 4
  const std::string pickle =
      bytes("\x80\x04(N\x88J\xfe\xff\xff\xffM\x2c\x01G\x40\x04\0\0\0\0\0\0") +
      bytes("\x8c\x02\xc3\xa9") + bytes("C\x02\0x") +
      "](K\x01K\x01"
      "e" +
      bytes("}\x8c\x01kK\x07s") + bytes("\x8f(K\x03\x90") + bytes("\x8a\x06\0\0\0\0\0\x01") + "t.";
  const Document document = parse(pickle);
  EXPECT_EQ(document.end(), pickle.size());
  const auto items = document.items(document.root());
  ASSERT_EQ(items.size(), 11U);
  EXPECT_EQ(document.kind(items[0]), Kind::kNone);
  EXPECT_TRUE(document.boolean(items[1]));
  EXPECT_EQ(document.integer(items[2]), -2);
  EXPECT_EQ(document.integer(items[3]), 300);
  EXPECT_EQ(document.real(items[4]), 2.5);
  EXPECT_EQ(document.text(items[5]), "\xc3\xa9");
  EXPECT_EQ(document.bytes(items[6]), std::string_view("\0x", 2));
  EXPECT_EQ(document.items(items[7]).size(), 2U);
  EXPECT_EQ(document.integer(*document.find(items[8], "k")), 7);
  EXPECT_FALSE(document.find(items[8], "absent"));
  EXPECT_EQ(document.kind(items[9]), Kind::kSet);
  EXPECT_EQ(document.integer(items[10]), std::int64_t{1} << 40);
  EXPECT_THROW(document.text(items[0]), base::Error);
  EXPECT_THROW(document.object(items[7]), base::Error);
}

TEST(Reader, MemoSharesValuesAndAListMayHoldItself) {
  const Document document =
      parse(bytes("\x80\x02]q\x00(h\x00K\x05"
                  "e."));
  const auto items = document.items(document.root());
  ASSERT_EQ(items.size(), 2U);
  EXPECT_EQ(items[0], document.root());
}

TEST(Reader, CallsBecomeData) {
  const Document document =
      parse(bytes("\x80\x04\x8c\x08"
                  "builtins\x8c\x05slice\x93K\x00K\x04N\x87R}"
                  "b."));
  const Object& slice = document.object(document.root());
  EXPECT_EQ(document.global(slice.callable), "builtins slice");
  EXPECT_EQ(document.items(slice.arguments).size(), 3U);
  ASSERT_TRUE(slice.state);
  EXPECT_EQ(document.kind(*slice.state), Kind::kDict);
}

TEST(Reader, NothingIsRun) {
  refuse(
      "\x80\x02"
      "cos\nsystem\nX\x02\0\0\0"
      "id\x85R.",
      "opcode 'c' (0x63) at byte 2: the global \"os system\"");
  refuse(bytes("\x80\x04\x8c\x05posix\x8c\x06system\x93\x8c\x02id\x85R."),
         "opcode 0x93 at byte 17: the global \"posix system\"");
  refuse(
      "\x80\x02"
      "cbuiltins\neval\n.",
      "\"builtins eval\"");
  refuse(
      "\x80\x02"
      "cnumpy.core.multiarray\nfromfile\n.",
      "\"numpy.core.multiarray fromfile\"");
  refuse("\x80\x02(ios\nsystem\n.", "opcode 'i' (0x69) at byte 3, which makes an instance");
  refuse("\x80\x02(o.", "opcode 'o' (0x6f) at byte 3, which makes an instance");
  refuse("\x80\x02\x82\x01.", "of the extension registry");
  refuse("\x80\x05\x97.", "of a buffer outside of the file");
  refuse("\x80\x02K\x01Q.", "a persistent reference");
  // What a call gave is not called.
  refuse(bytes("\x80\x04K\x01)R."), "calls an integer");
  const Document persistent = parse("\x80\x02K\x01Q.", true);
  EXPECT_EQ(persistent.integer(persistent.persistent(persistent.root())), 1);
}

TEST(Reader, BrokenPicklesAreNamed) {
  refuse("", "does not begin as a pickle", ErrorKind::kUnsupported);
  refuse("(lp0\n.", "does not begin as a pickle", ErrorKind::kUnsupported);
  refuse("\x80\x06N.", "protocol 6; expected 2 to 5", ErrorKind::kUnsupported);
  refuse("\x80\x02I5\n.", "opcode 'I' (0x49) at byte 2, of protocol 0");
  refuse("\x80\x02\xff.", "opcode 0xff at byte 2, which is none");
  refuse("\x80\x02N", "ends at byte 3 without a stop");
  refuse("\x80\x02.", "too few values before it");
  refuse(
      "\x80\x02"
      "e.",
      "no mark before it");
  refuse("\x80\x02Nh\x05.", "nothing is remembered as 5");
  refuse(bytes("\x80\x02X\xff\xff\xff\xff"
               "abc."),
         "needs 4294967295 bytes and 4 are left");
  refuse(bytes("\x80\x04\x8d\xff\xff\xff\xff\xff\xff\xff\x7f."), "below 4 GiB",
         ErrorKind::kUnsupported);
  refuse(bytes("\x80\x04\x95\xff\0\0\0\0\0\0\0N."), "a frame of 255 bytes and 2 are left");
  refuse(bytes("\x80\x02\x8a\x09\0\0\0\0\0\0\0\0\0."), "an integer of 9 bytes");
  refuse("\x80\x02}(K\x01u.", "a key without a value");
  refuse(
      "\x80\x02K\x01K\x02"
      "a.",
      "onto an integer");
  refuse("\x80\x02K\x01}b.", "sets a state on an integer");
  refuse(
      "\x80\x02"
      "cbuiltins",
      "a name without an end");
  // A mark hides what lies below it.
  refuse("\x80\x02K\x01(\x85.", "too few values before it");
}

// numpy.array of `shape` and the type `name`, with `data`, as NumPy pickles it in protocol 4.
std::string array_pickle(const std::string& shape, const std::string& name,
                         const std::string& data) {
  return bytes("\x80\x04\x8c\x15numpy.core.multiarray\x8c\x0c_reconstruct\x93)R(K\x01") + shape +
         bytes(
             "\x8c\x05numpy\x8c\x05"
             "dtype\x93\x8c\x02") +
         name +
         bytes("\x89\x88\x87R(K\x03\x8c\x01<NNNJ\xff\xff\xff\xffJ\xff\xff\xff\xffK\x00tb\x89") +
         data + "tb.";
}

TEST(Numpy, Arrays) {
  const Document document = parse(array_pickle("K\x02\x85", "i2", bytes("C\x04\x01\0\xff\xff")));
  const Array array = read_array(document, document.root());
  EXPECT_EQ(array.shape, (std::vector<std::uint64_t>{2}));
  EXPECT_EQ(std::get<std::int64_t>(number_at(document, array, 0)), 1);
  EXPECT_EQ(std::get<std::int64_t>(number_at(document, array, 1)), -1);
  const Document objects = parse(array_pickle("K\x02\x85", "O8",
                                              "](K\x01K\x02"
                                              "e"));
  EXPECT_EQ(read_array(objects, objects.root()).objects.size(), 2U);
}

TEST(Numpy, ArraysThatContradictThemselvesAreRefused) {
  const auto refuse_array = [](const std::string& pickle, const std::string& part) {
    const Document document = parse(pickle);
    try {
      read_array(document, document.root());
      ADD_FAILURE() << "accepted; expected: " << part;
    } catch (const base::Error& error) {
      EXPECT_NE(std::string(error.what()).find(part), std::string::npos) << error.what();
    }
  };
  refuse_array(array_pickle("K\x03\x85", "i2", bytes("C\x04\x01\0\xff\xff")),
               "shape (3) holds 4 bytes; expected 6");
  refuse_array(array_pickle("K\x03\x85", "O8", "]"), "shape (3) holds 0 objects; expected 3");
  refuse_array(array_pickle("J\xff\xff\xff\xff\x85", "i2", bytes("C\x00")), "dimension is -1");
  const std::string huge = bytes("\x8a\x08\0\0\0\0\0\0\0\x40");
  refuse_array(array_pickle(huge + huge + "\x86", "i2", bytes("C\x00")),
               "expected a smaller shape");
  refuse_array(array_pickle("K\x01\x85", "zz", bytes("C\x00")), "an array of type \"zz\"");
  refuse_array("\x80\x02N.", "a value is None; expected a numpy.ndarray");
}

}  // namespace
}  // namespace whit::pickle
