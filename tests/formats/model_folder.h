#pragma once

#include <initializer_list>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "checkpoint/raw_files.h"
#include "formats/packed.h"

// Small checkpoints made in a test.
namespace whit::formats::testing {

using checkpoint::Checkpoint;
using checkpoint::testing::expect_error;
using checkpoint::testing::Folder;
using tensor::Dtype;
using tensor::Shape;
using tensor::Tensor;

template <typename T>
Tensor make(Dtype dtype, Shape shape, const std::vector<T>& values) {
  Tensor result(std::move(shape), dtype);
  EXPECT_EQ(result.bytes(), values.size() * sizeof(T));
  std::copy(values.begin(), values.end(), result.as<T>());
  return result;
}
inline Tensor i8(Shape shape, const std::vector<std::int8_t>& v) {
  return make(Dtype::kI8, std::move(shape), v);
}
inline Tensor i64(Shape shape, const std::vector<std::int64_t>& v) {
  return make(Dtype::kI64, std::move(shape), v);
}
inline Tensor i32(Shape shape, const std::vector<std::int32_t>& v) {
  return make(Dtype::kI32, std::move(shape), v);
}
inline Tensor words(Shape shape, const std::vector<std::uint32_t>& v) {
  return make(Dtype::kI32, std::move(shape), v);
}
inline Tensor f32(Shape shape, const std::vector<float>& v) {
  return make(Dtype::kF32, std::move(shape), v);
}
inline Tensor bf16(Shape shape, const std::vector<std::uint16_t>& v) {
  return make(Dtype::kBF16, std::move(shape), v);
}
inline Tensor f8(Shape shape, const std::vector<std::uint8_t>& v) {
  return make(Dtype::kF8E4M3, std::move(shape), v);
}

// A folder with one shard, an index and a config, whose tensors can be replaced.
class ModelFolder {
 public:
  void set(const std::string& name, Tensor tensor) {
    erase(name);
    tensors_.push_back({name, std::move(tensor)});
  }
  void add(std::vector<NamedTensor> tensors) {
    for (NamedTensor& t : tensors) set(t.name, std::move(t.tensor));
  }
  void erase(const std::string& name) {
    std::erase_if(tensors_, [&](const NamedTensor& t) { return t.name == name; });
  }
  void config(const std::string& json) { config_ = json; }
  void quantization(const std::string& json) {
    config_ = R"({"quantization_config":)" + json + "}";
  }

  Checkpoint open() const {
    std::vector<checkpoint::SafetensorsWriter::Entry> entries;
    nlohmann::json index = {{"metadata", {{"total_size", 0}}},
                            {"weight_map", nlohmann::json::object()}};
    std::uint64_t total = 0;
    for (const NamedTensor& t : tensors_) {
      entries.push_back({t.name, t.tensor.dtype(), t.tensor.shape()});
      index["weight_map"][t.name] = "model.safetensors";
      total += t.tensor.bytes();
    }
    index["metadata"]["total_size"] = total;
    checkpoint::SafetensorsWriter writer(folder_.path() / "model.safetensors", entries);
    for (const NamedTensor& t : tensors_) writer.write(t.name, t.tensor.view());
    writer.finish();
    folder_.write("model.safetensors.index.json", index.dump());
    folder_.write("config.json", config_);
    return Checkpoint::open(folder_.path());
  }
  const Folder& folder() const { return folder_; }

 private:
  Folder folder_;
  std::vector<NamedTensor> tensors_;
  std::string config_ = "{}";
};

inline std::string int_config(int bits, bool symmetric, const std::string& strategy,
                              int group_size) {
  return fmt::format(
      R"({{"quant_method":"compressed-tensors","format":"pack-quantized","config_groups":{{"group_0":{{)"
      R"("targets":["Linear"],"weights":{{"num_bits":{},"type":"int","symmetric":{},"strategy":"{}","group_size":{}}}}}}},)"
      R"("ignore":["lm_head"]}})",
      bits, symmetric, strategy, group_size > 0 ? std::to_string(group_size) : "null");
}

inline std::vector<std::uint32_t> words_in(const Tensor& tensor) {
  return {tensor.as<std::uint32_t>(), tensor.as<std::uint32_t>() + tensor.elements()};
}

template <typename T>
std::vector<T> values_in(const Tensor& tensor) {
  return {tensor.as<T>(), tensor.as<T>() + tensor.elements()};
}

inline void expect_same(const Tensor& a, const Tensor& b) {
  ASSERT_EQ(a.empty(), b.empty());
  if (a.empty()) return;
  EXPECT_EQ(a.dtype(), b.dtype());
  ASSERT_EQ(a.shape(), b.shape());
  EXPECT_EQ(std::memcmp(a.data(), b.data(), a.bytes()), 0);
}

}  // namespace whit::formats::testing
