#include "pipeline/hessian_files.h"

#include <fmt/format.h>

#include <cmath>
#include <map>

#include "base/error.h"
#include "base/file.h"
#include "formats/torch_file.h"

namespace whit::pipeline {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::fail;
using stats::Site;
using tensor::Dtype;
using tensor::Tensor;

namespace {

std::string_view key_of(Site site) {
  switch (site) {
    case Site::kAttnIn:
      return "qkv";
    case Site::kAttnOut:
      return "o";
    case Site::kMlpIn:
      return "up";
    case Site::kMlpMid:
      return "down";
    default:
      return "";
  }
}

fs::path file_of(const fs::path& folder, const model::LinearSpec& linear) {
  const fs::path by_module = folder / (linear.module + ".pt");
  const std::string_view key = key_of(linear.reads.site);
  if (key.empty() || fs::exists(by_module)) return by_module;
  return folder / fmt::format("{}_{}.pt", linear.reads.layer, key);
}

using Entries = std::map<std::string, Tensor, std::less<>>;

const Tensor& entry(const Entries& entries, const char* key, const std::string& path, Dtype dtype,
                    std::int64_t elements) {
  const auto found = entries.find(key);
  if (found == entries.end())
    fail(ErrorKind::kInput, path, "has no {}; expected flatH, mu, n and ct", key);
  const Tensor& value = found->second;
  if (value.dtype() != dtype || value.elements() != elements)
    fail(ErrorKind::kInput, path + ": " + key, "{} {}; expected {} with {} elements",
         numeric::name_of(value.dtype()), tensor::to_string(value.shape()), numeric::name_of(dtype),
         elements);
  return value;
}

}  // namespace

StoredHessian read_hessian(compute::Backend& backend, const fs::path& folder,
                           const model::LinearSpec& linear) {
  const fs::path file = file_of(folder, linear);
  const std::string path = file.string();
  if (!fs::exists(file))
    fail(ErrorKind::kInput, path, "is not there; expected the Hessian of what {} reads",
         linear.module);
  const base::MappedFile mapped(file);
  const auto bytes = mapped.bytes();
  const Entries entries =
      formats::read_torch_dict({reinterpret_cast<const char*>(bytes.data()), bytes.size()}, path);
  const std::int64_t n = linear.in_features;
  const std::int64_t stated = entry(entries, "n", path, Dtype::kI64, 1).as<std::int64_t>()[0];
  if (stated != n)
    fail(ErrorKind::kInput, path + ": n", "{}; expected {}, the inputs of {}", stated, n,
         linear.module);
  const Tensor& triangle = entry(entries, "flatH", path, Dtype::kF32, n * (n + 1) / 2);
  const Tensor& mean = entry(entries, "mu", path, Dtype::kF32, n);
  Tensor h({n, n}, Dtype::kF32);
  const float* next = triangle.as<float>();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      const float value = *next++ + mean.as<float>()[i] * mean.as<float>()[j];
      if (!std::isfinite(value) || (i == j && value < 0))
        fail(ErrorKind::kInput, path + ": flatH",
             "entry [{}, {}] with the mean is {}; expected a covariance", i, j, value);
      h.as<float>()[i * n + j] = h.as<float>()[j * n + i] = value;
    }
  const auto tokens = entries.find("ct");
  const bool told = tokens != entries.end() && tokens->second.dtype() == Dtype::kI64 &&
                    tokens->second.elements() == 1;
  return {stats::Gram(backend, backend.memory().upload(h.view()), 2),
          told ? tokens->second.as<std::int64_t>()[0] : 0};
}

}  // namespace whit::pipeline
