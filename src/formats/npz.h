#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace whit::formats {

// One array file of NumPy, header and data; `data` is a view of the bytes.
struct NpyFile {
  std::string descr;  // "|O", "<f4"
  bool fortran_order = false;
  std::vector<std::uint64_t> shape;
  std::string_view data;
};

// Versions 1 to 3. Errors: kInput, subject as given.
NpyFile parse_npy(std::string_view bytes, const std::string& subject);

// A member of a zip file, stored or deflated, its checksum proven. Nothing is allocated beyond what
// so many compressed bytes can hold. Errors: kInput (with the names that are there), kUnsupported
// (encrypted, another compression).
std::string read_zip_member(std::string_view zip, const std::string& member,
                            const std::string& subject);

struct ZipMember {
  std::string name;
  std::string_view contents;
};

// A zip file of stored members, in this order; the same bytes for the same members.
std::string make_zip(std::span<const ZipMember> members);
std::string make_zip(const std::string& member, std::string_view contents);

// numpy.savez of one 0-d array of an object that is pickled already.
std::string make_object_npz(std::string_view pickle);

}  // namespace whit::formats
