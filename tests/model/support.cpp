#include "model/support.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <cmath>
#include <cstring>

#include "base/file.h"

namespace whit::model::testing {

using tensor::Dtype;

std::vector<std::string> tiny_models() {
  std::vector<std::string> names;
  for (const auto& entry : fs::directory_iterator(kData / "golden" / "model"))
    if (entry.is_directory()) names.push_back(entry.path().filename().string());
  std::sort(names.begin(), names.end());
  return names;
}

fs::path tiny_model(const std::string& name) {
  return kData / "golden" / "model" / name;
}

std::unique_ptr<compute::Backend> make_backend(const std::string& name) {
  return name == "cpu" ? compute::make_cpu_backend(1) : compute::make_reference_backend();
}

Model::Model(const fs::path& folder, compute::Backend& backend_in)
    : checkpoint(checkpoint::Checkpoint::open(folder)),
      backend(backend_in),
      spec(load_spec(checkpoint)),
      weights(make_checkpoint_weights(checkpoint, backend)) {}

namespace {

std::vector<float> host_values(compute::Backend& backend, const tensor::Tensor& device) {
  return tensor::to_f32_vector(backend.memory().download(device.view()).view());
}

void forward_decoder(ForwardContext& context, const ModelSpec& spec) {
  forward_embedding(context, spec);
  for (const LayerSpec& layer : spec.layers) forward_layer(context, layer);
}

}  // namespace

std::vector<float> Model::logits(const Sequences& sequences, StageRunner* runner) {
  const auto plain = make_plain_runner(backend, *weights);
  const auto store = make_memory_store(backend);
  ForwardContext context{backend, *weights, *store, sequences,
                         runner != nullptr ? *runner : *plain};
  forward_decoder(context, spec);
  return host_values(backend, forward_head(context, spec, 0, sequences.tokens()));
}

std::vector<float> Model::logits(std::span<const std::int32_t> ids) {
  Sequences sequences;
  sequences.append(ids);
  return logits(sequences);
}

std::vector<float> Model::chunked_logits(std::span<const std::int32_t> ids,
                                         std::span<const std::int64_t> chunks) {
  const auto runner = make_plain_runner(backend, *weights);
  KvCache cache(backend, spec.layers.size());
  std::vector<float> result;
  for (const std::int64_t chunk : chunks) {
    Sequences sequences;
    const std::int64_t done = cache.length();
    sequences.append(ids.subspan(static_cast<std::size_t>(done), static_cast<std::size_t>(chunk)),
                     static_cast<std::int32_t>(done));
    const auto store = make_memory_store(backend);
    ForwardContext context{backend, *weights, *store, sequences, *runner, &cache};
    forward_decoder(context, spec);
    const auto part = host_values(backend, forward_head(context, spec, 0, chunk));
    result.insert(result.end(), part.begin(), part.end());
  }
  return result;
}

std::vector<std::vector<float>> Model::mtp_logits(std::span<const std::int32_t> ids) {
  Sequences sequences;
  sequences.append(ids);
  const auto runner = make_plain_runner(backend, *weights);
  const auto store = make_memory_store(backend);
  ForwardContext context{backend, *weights, *store, sequences, *runner};
  forward_decoder(context, spec);
  std::vector<std::vector<float>> result;
  for (const LayerSpec& layer : spec.mtp_layers) {
    forward_mtp_layer(context, spec, layer);
    ModelSpec exit;
    exit.vocabulary = spec.vocabulary;
    exit.hidden = spec.hidden;
    exit.final_norm = layer.mtp->head_norm;
    exit.head = layer.mtp->head ? *layer.mtp->head : spec.head;
    result.push_back(host_values(backend, forward_head(context, exit, 0, sequences.tokens())));
  }
  return result;
}

Golden golden_of(const std::string& name) {
  const checkpoint::SafetensorsFile file(kData / "golden" / "model" /
                                         (name + ".golden.safetensors"));
  Golden golden;
  for (const float id : tensor::to_f32_vector(file.view(*file.find("ids"))))
    golden.ids.push_back(static_cast<std::int32_t>(id));
  golden.logits = tensor::to_f32_vector(file.view(*file.find("logits")));
  if (const auto* mtp = file.find("mtp_logits"))
    golden.mtp_logits = tensor::to_f32_vector(file.view(*mtp));
  return golden;
}

std::vector<float> read_npy_f32(const fs::path& path) {
  const std::string file = base::read_text_file(path);
  const std::size_t header = 10 + static_cast<std::size_t>(static_cast<unsigned char>(file[8])) +
                             256 * static_cast<std::size_t>(static_cast<unsigned char>(file[9]));
  EXPECT_NE(file.find("'descr': '<f4', 'fortran_order': False"), std::string::npos);
  std::vector<float> values((file.size() - header) / sizeof(float));
  std::memcpy(values.data(), file.data() + header, values.size() * sizeof(float));
  return values;
}

double relative_difference(std::span<const float> a, std::span<const float> b) {
  if (a.size() != b.size()) return INFINITY;
  double largest = 0, difference = 0;
  for (std::size_t i = 0; i < a.size(); ++i) {
    if (!std::isfinite(a[i])) return INFINITY;
    largest = std::max(largest, std::abs(static_cast<double>(b[i])));
    difference =
        std::max(difference, std::abs(static_cast<double>(a[i]) - static_cast<double>(b[i])));
  }
  return difference / largest;
}

Folder::Folder() {
  std::string pattern = (fs::temp_directory_path() / "whit-model-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data());
}

Folder::~Folder() {
  fs::remove_all(path_);
}

void write_altered(const std::string& name, const fs::path& to,
                   const std::function<void(Tensors&)>& alter) {
  const checkpoint::SafetensorsFile source(tiny_model(name) / "model.safetensors");
  Tensors tensors;
  for (const auto& info : source.tensors()) {
    const auto raw = source.view(info).raw();
    tensors.push_back({info.name, info.dtype, info.shape, {raw.begin(), raw.end()}});
  }
  alter(tensors);
  std::vector<checkpoint::SafetensorsWriter::Entry> entries;
  for (const Stored& one : tensors) entries.push_back({one.name, one.dtype, one.shape});
  checkpoint::SafetensorsWriter writer(to / "model.safetensors", entries);
  for (const Stored& one : tensors)
    writer.write(one.name, {one.bytes.data(), one.dtype, one.shape, {}});
  writer.finish();
  fs::copy_file(tiny_model(name) / "config.json", to / "config.json",
                fs::copy_options::overwrite_existing);
}

Stored& named(Tensors& tensors, const std::string& name) {
  const auto found = std::find_if(tensors.begin(), tensors.end(),
                                  [&](const Stored& one) { return one.name == name; });
  if (found == tensors.end()) throw std::runtime_error("no tensor " + name);
  return *found;
}

void expect_error(base::ErrorKind kind, const std::string& subject, const std::string& detail,
                  const std::function<void()>& run) {
  try {
    run();
    ADD_FAILURE() << "no error; expected one about " << subject;
  } catch (const base::Error& error) {
    EXPECT_EQ(error.kind(), kind) << error.what();
    EXPECT_EQ(error.subject(), subject) << error.what();
    EXPECT_NE(error.detail().find(detail), std::string::npos) << error.what();
  }
}

}  // namespace whit::model::testing
