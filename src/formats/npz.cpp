#include "formats/npz.h"

#include <zip.h>

#include <charconv>
#include <memory>

#include "base/checked.h"
#include "base/error.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;

constexpr std::string_view kMagic = "\x93NUMPY";
constexpr std::size_t kMaxHeader = 65536;
constexpr std::size_t kMaxNpyDimensions = 32;
// What deflate can make of one byte, at most.
constexpr std::uint64_t kMostInflation = 1032;

using Archive = std::unique_ptr<zip_t, decltype(&zip_discard)>;

std::string message_of(zip_error_t& error) {
  std::string message = zip_error_strerror(&error);
  zip_error_fini(&error);
  return message;
}

Archive open_archive(std::string_view zip, const std::string& subject) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* source = zip_source_buffer_create(zip.data(), zip.size(), 0, &error);
  zip_t* archive = source == nullptr ? nullptr : zip_open_from_source(source, ZIP_RDONLY, &error);
  if (archive == nullptr) {
    if (source != nullptr) zip_source_free(source);
    fail(ErrorKind::kInput, subject, "no zip file ({}); expected an .npz of NumPy",
         message_of(error));
  }
  zip_error_fini(&error);
  return {archive, zip_discard};
}

std::string names_in(zip_t* archive) {
  std::string names;
  const zip_int64_t count = zip_get_num_entries(archive, 0);
  for (zip_int64_t i = 0; i < count && i < 5; ++i) {
    const char* name = zip_get_name(archive, static_cast<zip_uint64_t>(i), ZIP_FL_ENC_RAW);
    names += (i == 0 ? "" : ", ") + std::string(name == nullptr ? "?" : name);
  }
  return count == 0 ? "nothing" : names;
}

std::uint64_t checked_size(const zip_stat_t& stat, std::string_view zip,
                           const std::string& subject) {
  constexpr zip_uint64_t kNeeded = ZIP_STAT_SIZE | ZIP_STAT_COMP_SIZE | ZIP_STAT_COMP_METHOD;
  if ((stat.valid & kNeeded) != kNeeded)
    fail(ErrorKind::kInput, subject, "a member without a size; expected one");
  if ((stat.valid & ZIP_STAT_ENCRYPTION_METHOD) != 0 && stat.encryption_method != ZIP_EM_NONE)
    fail(ErrorKind::kUnsupported, subject, "an encrypted member; expected a plain one");
  if (stat.comp_method != ZIP_CM_STORE && stat.comp_method != ZIP_CM_DEFLATE)
    fail(ErrorKind::kUnsupported, subject, "compression {}; expected none, or deflate",
         stat.comp_method);
  const std::uint64_t most =
      stat.comp_method == ZIP_CM_STORE
          ? stat.comp_size
          : base::checked_mul<std::uint64_t>(stat.comp_size, kMostInflation).value_or(0);
  if (stat.comp_size > zip.size() || stat.size > most)
    fail(ErrorKind::kInput, subject, "a member of {} bytes, {} of them stored; expected fewer",
         stat.size, stat.comp_size);
  return stat.size;
}

// The words of a header's dict: enough of Python's literals for what NumPy writes.
class HeaderWords {
 public:
  HeaderWords(std::string_view text, const std::string& subject) : text_(text), subject_(subject) {}

  [[noreturn]] void refuse() const {
    fail(ErrorKind::kInput, subject_, "an array's header is {:?}; expected NumPy's",
         std::string(text_.substr(0, 200)));
  }
  bool take(char c) {
    skip();
    if (at_ >= text_.size() || text_[at_] != c) return false;
    ++at_;
    return true;
  }
  void need(char c) {
    if (!take(c)) refuse();
  }
  bool take_word(std::string_view word) {
    skip();
    if (!text_.substr(at_).starts_with(word)) return false;
    at_ += word.size();
    return true;
  }
  std::string quoted() {
    skip();
    const char quote = at_ < text_.size() ? text_[at_] : '\0';
    const auto end = quote == '\'' || quote == '"' ? text_.find(quote, at_ + 1) : std::string::npos;
    if (end == std::string::npos) refuse();
    std::string value(text_.substr(at_ + 1, end - at_ - 1));
    at_ = end + 1;
    return value;
  }
  std::uint64_t number() {
    skip();
    std::uint64_t value = 0;
    const char* begin = text_.data() + at_;
    const auto [end, error] = std::from_chars(begin, text_.data() + text_.size(), value);
    if (error != std::errc()) refuse();
    at_ += static_cast<std::size_t>(end - begin);
    return value;
  }
  void end() {
    skip();
    if (at_ != text_.size()) refuse();
  }

 private:
  void skip() {
    while (at_ < text_.size() && (text_[at_] == ' ' || text_[at_] == '\n')) ++at_;
  }

  std::string_view text_;
  std::string subject_;
  std::size_t at_ = 0;
};

void read_header(HeaderWords words, NpyFile& file) {
  words.need('{');
  while (!words.take('}')) {
    const std::string key = words.quoted();
    words.need(':');
    if (key == "descr") {
      file.descr = words.quoted();
    } else if (key == "fortran_order") {
      file.fortran_order = words.take_word("True");
      if (!file.fortran_order && !words.take_word("False")) words.refuse();
    } else if (key == "shape") {
      words.need('(');
      while (!words.take(')')) {
        if (file.shape.size() == kMaxNpyDimensions) words.refuse();
        file.shape.push_back(words.number());
        if (!words.take(',')) {
          words.need(')');
          break;
        }
      }
    } else {
      words.refuse();
    }
    if (!words.take(',')) {
      words.need('}');
      break;
    }
  }
  words.end();
  if (file.descr.empty()) words.refuse();
}

}  // namespace

NpyFile parse_npy(std::string_view bytes, const std::string& subject) {
  if (!bytes.starts_with(kMagic) || bytes.size() < 12)
    fail(ErrorKind::kInput, subject, "no array of NumPy; expected one");
  const int version = bytes[6];
  const bool wide = version >= 2;
  if (version < 1 || version > 3)
    fail(ErrorKind::kUnsupported, subject, "an array of version {}; expected 1 to 3", version);
  std::size_t size = 0;
  for (std::size_t i = 0; i < (wide ? 4U : 2U); ++i)
    size |= std::size_t{static_cast<unsigned char>(bytes[8 + i])} << (8 * i);
  const std::size_t begin = wide ? 12 : 10;
  if (size > kMaxHeader || size > bytes.size() - begin)
    fail(ErrorKind::kInput, subject, "an array's header of {} bytes; expected at most {}", size,
         std::min(kMaxHeader, bytes.size() - begin));
  NpyFile file;
  read_header(HeaderWords(bytes.substr(begin, size), subject), file);
  file.data = bytes.substr(begin + size);
  return file;
}

std::string read_zip_member(std::string_view zip, const std::string& member,
                            const std::string& subject) {
  const Archive archive = open_archive(zip, subject);
  const zip_int64_t index = zip_name_locate(archive.get(), member.c_str(), ZIP_FL_ENC_RAW);
  if (index < 0)
    fail(ErrorKind::kInput, subject, "holds {}; expected {}", names_in(archive.get()), member);
  zip_stat_t stat;
  zip_stat_init(&stat);
  if (zip_stat_index(archive.get(), static_cast<zip_uint64_t>(index), 0, &stat) != 0)
    fail(ErrorKind::kInput, subject, "{}; expected a member {}", zip_strerror(archive.get()),
         member);
  std::string contents(checked_size(stat, zip, subject), '\0');
  const std::unique_ptr<zip_file_t, decltype(&zip_fclose)> file(
      zip_fopen_index(archive.get(), static_cast<zip_uint64_t>(index), 0), zip_fclose);
  std::size_t done = 0;
  while (file != nullptr && done < contents.size()) {
    const zip_int64_t read = zip_fread(file.get(), contents.data() + done, contents.size() - done);
    if (read <= 0) break;
    done += static_cast<std::size_t>(read);
  }
  // The checksum is compared where the end is met.
  char beyond = 0;
  if (file == nullptr || done < contents.size() || zip_fread(file.get(), &beyond, 1) != 0)
    fail(ErrorKind::kInput, subject, "{} ends or differs after {} bytes; expected {} and their sum",
         member, done, contents.size());
  return contents;
}

std::string make_zip(const std::string& member, std::string_view contents) {
  const ZipMember one{member, contents};
  return make_zip(std::span(&one, 1));
}

std::string make_zip(std::span<const ZipMember> members) {
  zip_error_t error;
  zip_error_init(&error);
  zip_source_t* target = zip_source_buffer_create(nullptr, 0, 0, &error);
  base::check(target != nullptr, "a buffer for a zip file");
  zip_t* archive = zip_open_from_source(target, ZIP_CREATE | ZIP_TRUNCATE, &error);
  base::check(archive != nullptr, "a zip file in a buffer");
  zip_source_keep(target);
  const std::unique_ptr<zip_source_t, decltype(&zip_source_free)> kept(target, zip_source_free);
  for (const ZipMember& member : members) {
    zip_source_t* source =
        zip_source_buffer(archive, member.contents.data(), member.contents.size(), 0);
    const zip_int64_t index = zip_file_add(archive, member.name.c_str(), source, ZIP_FL_ENC_UTF_8);
    base::check(index >= 0, "a member of a zip file");
    const auto place = static_cast<zip_uint64_t>(index);
    constexpr zip_uint16_t kFirstDay = 0x21;  // 1980-01-01, as numpy.savez has it
    base::check(zip_set_file_compression(archive, place, ZIP_CM_STORE, 0) == 0 &&
                    zip_file_set_dostime(archive, place, 0, kFirstDay, 0) == 0,
                "a stored member of a zip file");
  }
  base::check(zip_close(archive) == 0, "a zip file is written");
  zip_stat_t stat;
  zip_stat_init(&stat);
  base::check(zip_source_stat(target, &stat) == 0 && zip_source_open(target) == 0,
              "a zip file is read back");
  std::string bytes(stat.size, '\0');
  const zip_int64_t read = zip_source_read(target, bytes.data(), bytes.size());
  zip_source_close(target);
  base::check(read == static_cast<zip_int64_t>(bytes.size()), "a zip file is read back whole");
  return bytes;
}

std::string make_object_npz(std::string_view pickle) {
  std::string header = "{'descr': '|O', 'fortran_order': False, 'shape': (), }";
  constexpr std::size_t kPrefix = 10;
  while ((kPrefix + header.size() + 1) % 64 != 0) header += ' ';
  header += '\n';
  std::string npy(kMagic);
  npy += std::string_view("\x01\x00", 2);
  npy += static_cast<char>(header.size() & 0xFF);
  npy += static_cast<char>(header.size() >> 8);
  return make_zip("arr_0.npy", npy + header + std::string(pickle));
}

}  // namespace whit::formats
