#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/file.h"
#include "tensor/tensor.h"

namespace whit::checkpoint {

namespace fs = std::filesystem;

struct TensorInfo {
  std::string name;
  tensor::Dtype dtype = tensor::Dtype::kF32;
  tensor::Shape shape;
  std::uint64_t offset = 0;  // of its first byte in the file
  std::uint64_t bytes = 0;
};

// A longer header is refused, as by the safetensors library.
inline constexpr std::uint64_t kMaxHeaderBytes = 100'000'000;

// The header of safetensors bytes, parsed and proven; what SafetensorsFile and the fuzzer share.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;  // by offset
  std::map<std::string, std::string> metadata;
};

// `file`: the whole file. Proves length, UTF-8 and JSON, dtype, shape x dtype == span, spans
// without holes or overlap, end of data == end of file. Refuses what the Rust library refuses, and
// besides it any key that stands twice. Errors: kInput (subject: `subject`, or "`subject`: tensor
// NAME"); kUnsupported for a dtype of safetensors that whit has no type for.
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file,
                                           const std::string& subject);

// One safetensors file, mapped, its header proven. Errors: kInput, subject = path (and tensor).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);
  SafetensorsFile(SafetensorsFile&&) noexcept;
  SafetensorsFile& operator=(SafetensorsFile&&) noexcept;
  ~SafetensorsFile();

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by offset
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;
  // On the mapping, aligned to the element: a tensor that lies askew in the file (old writers did
  // not pad the header) is copied once. Valid until `release` of the same tensor.
  tensor::TensorView view(const TensorInfo& info) const;
  void release(const TensorInfo& info) const;  // pages of this tensor may go
  const fs::path& path() const { return file_.path(); }
  std::uint64_t file_bytes() const { return file_.bytes().size(); }

 private:
  struct Straightened;
  base::MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::map<std::string, std::string> metadata_;
  std::unique_ptr<Straightened> straightened_;
};

}  // namespace whit::checkpoint
