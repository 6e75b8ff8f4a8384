#include "checkpoint/safetensors.h"

#include <cstring>
#include <mutex>

#include "base/checked.h"

namespace whit::checkpoint {

// Copies of tensors that lie askew for their element type, by offset.
struct SafetensorsFile::Straightened {
  std::mutex mutex;
  std::map<std::uint64_t, tensor::Tensor> copies;
};

SafetensorsFile::SafetensorsFile(const fs::path& path)
    : file_(path), straightened_(std::make_unique<Straightened>()) {
  SafetensorsHeader header = parse_safetensors_header(file_.bytes(), path.string());
  tensors_ = std::move(header.tensors);
  metadata_ = std::move(header.metadata);
  for (std::size_t i = 0; i < tensors_.size(); ++i) by_name_.emplace(tensors_[i].name, i);
}

SafetensorsFile::SafetensorsFile(SafetensorsFile&&) noexcept = default;
SafetensorsFile& SafetensorsFile::operator=(SafetensorsFile&&) noexcept = default;
SafetensorsFile::~SafetensorsFile() = default;

const TensorInfo* SafetensorsFile::find(std::string_view name) const {
  const auto it = by_name_.find(name);
  return it == by_name_.end() ? nullptr : &tensors_[it->second];
}

tensor::TensorView SafetensorsFile::view(const TensorInfo& info) const {
  const std::byte* data = file_.bytes().data() + info.offset;
  const auto alignment = static_cast<std::uint64_t>(std::max(numeric::bits_of(info.dtype) / 8, 1));
  if (info.offset % alignment == 0 || info.bytes == 0) return {data, info.dtype, info.shape, {}};
  const std::lock_guard lock(straightened_->mutex);
  auto it = straightened_->copies.find(info.offset);
  if (it == straightened_->copies.end()) {
    tensor::Tensor copy(info.shape, info.dtype);
    std::memcpy(copy.data(), data, static_cast<std::size_t>(info.bytes));
    it = straightened_->copies.emplace(info.offset, std::move(copy)).first;
  }
  return it->second.view();
}

void SafetensorsFile::release(const TensorInfo& info) const {
  file_.release(static_cast<std::size_t>(info.offset), static_cast<std::size_t>(info.bytes));
  const std::lock_guard lock(straightened_->mutex);
  straightened_->copies.erase(info.offset);
}

}  // namespace whit::checkpoint
