#pragma once

#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include <nlohmann/json.hpp>

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

// One safetensors file, mapped; the header is proven before anything is used: length, JSON, dtype,
// shape x dtype == span, spans without holes or overlap, end of data == end of file.
// Errors: kInput, subject = path (and tensor).
class SafetensorsFile {
 public:
  explicit SafetensorsFile(const fs::path& path);

  const std::vector<TensorInfo>& tensors() const { return tensors_; }  // by offset
  const std::map<std::string, std::string>& metadata() const { return metadata_; }
  const TensorInfo* find(std::string_view name) const;
  tensor::TensorView view(const TensorInfo& info) const;
  void release(const TensorInfo& info) const;  // pages of this tensor may go
  const fs::path& path() const { return file_.path(); }
  std::uint64_t file_bytes() const { return file_.bytes().size(); }

 private:
  base::MappedFile file_;
  std::vector<TensorInfo> tensors_;
  std::map<std::string, std::size_t, std::less<>> by_name_;
  std::map<std::string, std::string> metadata_;
};

// The header of safetensors bytes, parsed and proven; what SafetensorsFile and the fuzzer share.
struct SafetensorsHeader {
  std::vector<TensorInfo> tensors;
  std::map<std::string, std::string> metadata;
};
SafetensorsHeader parse_safetensors_header(std::span<const std::byte> file, const std::string& subject);

// A Hugging Face folder: config.json and the tensors of its shards, by name.
class Checkpoint {
 public:
  // Opens the folder. Reads model.safetensors.index.json or, without one, every *.safetensors (a
  // single model.safetensors as a rule; `consolidated*` is passed over). config.json may be absent
  // where `require_config` is false. Errors: kInput.
  static Checkpoint open(const fs::path& folder, bool require_config = true);

  const fs::path& folder() const { return folder_; }
  const nlohmann::json& config() const { return config_; }

  std::vector<std::string> names() const;  // sorted
  bool has(std::string_view name) const;
  const TensorInfo& info(std::string_view name) const;    // kInput where there is none
  tensor::TensorView view(std::string_view name) const;   // on the mapping
  const SafetensorsFile& file_of(std::string_view name) const;
  void release(std::string_view name) const;
  const std::vector<std::unique_ptr<SafetensorsFile>>& files() const { return files_; }
  std::uint64_t tensor_bytes() const;

 private:
  fs::path folder_;
  nlohmann::json config_;
  std::vector<std::unique_ptr<SafetensorsFile>> files_;
  std::map<std::string, std::size_t, std::less<>> file_by_tensor_;
};

// MODEL as the command line takes it: a folder, or org/name[@revision] in the local Hugging Face
// cache under `hub_cache`. Errors: kInput, with where it looked.
fs::path resolve_model(const std::string& model, const fs::path& hub_cache);

// A file of tensors whose layout is known before its data: header first, then every tensor's bytes
// in the announced order. Writes through base::AtomicFile; "format": "pt" is always in the metadata.
class SafetensorsWriter {
 public:
  struct Entry {
    std::string name;
    tensor::Dtype dtype;
    tensor::Shape shape;
  };
  SafetensorsWriter(const fs::path& path, std::vector<Entry> entries);
  ~SafetensorsWriter();

  // The next announced tensor; name, dtype and shape must match (else kBug).
  void write(std::string_view name, const tensor::TensorView& data);
  // Durable under its final name; returns the hash (base::hash) of the whole file.
  std::string finish();

 private:
  struct State;
  std::unique_ptr<State> state_;
};

// Bytes that such a file will have.
std::uint64_t safetensors_bytes(const std::vector<SafetensorsWriter::Entry>& entries);

}  // namespace whit::checkpoint
