#include "checkpoint/writer.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <nlohmann/json.hpp>
#include <set>

#include "base/checked.h"
#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace whit::checkpoint {

namespace {

using Entries = std::vector<SafetensorsWriter::Entry>;

// Length field, JSON, and spaces up to a multiple of 8.
std::string make_header(const Entries& entries, const SafetensorsWriter::Metadata& metadata) {
  std::string json = R"({"__metadata__":{"format":"pt")";
  for (const auto& [key, value] : metadata) {
    base::check(key != "format", "SafetensorsWriter: the metadata's format");
    json += fmt::format(",{}:{}", nlohmann::json(key).dump(), nlohmann::json(value).dump());
  }
  json += "}";
  std::uint64_t offset = 0;
  for (const auto& entry : entries) {
    const std::uint64_t end = offset + tensor::byte_size(entry.shape, entry.dtype, entry.name);
    json += fmt::format(R"(,{}:{{"dtype":"{}","shape":[{}],"data_offsets":[{},{}]}})",
                        nlohmann::json(entry.name).dump(), numeric::name_of(entry.dtype),
                        fmt::join(entry.shape, ","), offset, end);
    offset = end;
  }
  json += "}";
  json.resize(base::round_up<std::size_t>(json.size(), 8), ' ');
  std::string header;
  for (int i = 0; i < 8; ++i)
    header.push_back(static_cast<char>(static_cast<std::uint64_t>(json.size()) >> (8 * i) & 0xff));
  return header + json;
}

void check_entries(const Entries& entries) {
  std::set<std::string_view> names;
  for (const auto& entry : entries) {
    base::check(names.insert(entry.name).second,
                "SafetensorsWriter: tensor announced twice: " + entry.name);
    base::check(entry.name != "__metadata__", "SafetensorsWriter: a tensor named __metadata__");
  }
}

}  // namespace

struct SafetensorsWriter::State {
  State(const std::filesystem::path& path, Entries announced)
      : file(path), entries(std::move(announced)) {}

  void put(std::span<const std::byte> bytes) {
    file.write(bytes);
    hasher.update(bytes);
  }

  base::AtomicFile file;
  base::Hasher hasher;
  Entries entries;
  std::size_t next = 0;
};

SafetensorsWriter::SafetensorsWriter(const std::filesystem::path& path, std::vector<Entry> entries,
                                     const Metadata& metadata) {
  check_entries(entries);
  const std::string header = make_header(entries, metadata);
  state_ = std::make_unique<State>(path, std::move(entries));
  state_->put(std::as_bytes(std::span(header)));
}

SafetensorsWriter::~SafetensorsWriter() = default;

void SafetensorsWriter::write(std::string_view name, const tensor::TensorView& data) {
  base::check(state_->next < state_->entries.size(),
              fmt::format("SafetensorsWriter: {} after the last announced tensor", name));
  const Entry& expected = state_->entries[state_->next];
  if (name != expected.name || data.dtype != expected.dtype || data.shape != expected.shape)
    base::check(false, fmt::format("SafetensorsWriter: {} {} {} written; {} {} {} announced", name,
                                   numeric::name_of(data.dtype), tensor::to_string(data.shape),
                                   expected.name, numeric::name_of(expected.dtype),
                                   tensor::to_string(expected.shape)));
  base::check(data.device == tensor::Device{}, "SafetensorsWriter: tensor on the host");
  state_->put(data.raw());
  ++state_->next;
}

std::string SafetensorsWriter::finish() {
  if (state_->next != state_->entries.size())
    base::check(false, fmt::format("SafetensorsWriter: {} of {} announced tensors written",
                                   state_->next, state_->entries.size()));
  state_->file.commit();
  return state_->hasher.hex();
}

std::uint64_t safetensors_bytes(const std::vector<SafetensorsWriter::Entry>& entries,
                                const SafetensorsWriter::Metadata& metadata) {
  std::uint64_t bytes = make_header(entries, metadata).size();
  for (const auto& entry : entries)
    bytes += tensor::byte_size(entry.shape, entry.dtype, entry.name);
  return bytes;
}

}  // namespace whit::checkpoint
