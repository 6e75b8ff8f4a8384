#include "pipeline/hessian_files.h"

#include <fmt/format.h>

#include <cmath>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "base/random.h"
#include "formats/torch_file.h"
#include "quant/gptq.h"

namespace whit::pipeline {

namespace fs = std::filesystem;
using base::ErrorKind;
using base::fail;
using stats::Site;
using tensor::Dtype;
using tensor::Tensor;

std::string_view hessian_key(Site site) {
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

namespace {

fs::path file_of(const fs::path& folder, const model::LinearSpec& linear) {
  const fs::path by_module = folder / (linear.module + ".pt");
  const std::string_view key = hessian_key(linear.reads.site);
  if (key.empty() || fs::exists(by_module)) return by_module;
  return folder / fmt::format("{}_{}.pt", linear.reads.layer, key);
}

// Of what a product with a factor and its Hessian may be off; fp32 factors of badly conditioned
// Hessians reach a hundredth.
constexpr double kMostOff = 0.05;

class HessianFile {
 public:
  explicit HessianFile(const fs::path& file, const model::LinearSpec& linear)
      : path_(file.string()), linear_(linear) {
    if (!fs::exists(file))
      fail(ErrorKind::kInput, path_, "is not there; expected the Hessian of what {} reads",
           linear.module);
    const base::MappedFile mapped(file);
    const auto bytes = mapped.bytes();
    entries_ = formats::read_torch_dict({reinterpret_cast<const char*>(bytes.data()), bytes.size()},
                                        path_);
  }

  const std::string& path() const { return path_; }
  std::int64_t width() const { return linear_.in_features; }

  const Tensor& entry(const char* key, Dtype dtype, std::int64_t elements,
                      std::string_view expected) const {
    const auto found = entries_.find(key);
    if (found == entries_.end())
      fail(ErrorKind::kInput, path_, "has no {}; expected {}", key, expected);
    const Tensor& value = found->second;
    if (value.dtype() != dtype || value.elements() != elements)
      fail(ErrorKind::kInput, path_ + ": " + key,
           "{} {}; expected {} with {} elements, as {} has "
           "{} inputs",
           numeric::name_of(value.dtype()), tensor::to_string(value.shape()),
           numeric::name_of(dtype), elements, linear_.module, width());
    return value;
  }

  // E[x xᵀ], F32 [K,K] on the host.
  Tensor second_moment() const {
    constexpr std::string_view kKeys = "flatH, mu, n and ct";
    const std::int64_t n = width();
    const std::int64_t stated = entry("n", Dtype::kI64, 1, kKeys).as<std::int64_t>()[0];
    if (stated != n)
      fail(ErrorKind::kInput, path_ + ": n", "{}; expected {}, the inputs of {}", stated, n,
           linear_.module);
    const Tensor& triangle = entry("flatH", Dtype::kF32, n * (n + 1) / 2, kKeys);
    const Tensor& mean = entry("mu", Dtype::kF32, n, kKeys);
    Tensor h({n, n}, Dtype::kF32);
    const float* next = triangle.as<float>();
    for (std::int64_t i = 0; i < n; ++i)
      for (std::int64_t j = 0; j <= i; ++j) {
        const float value = *next++ + mean.as<float>()[i] * mean.as<float>()[j];
        if (!std::isfinite(value) || (i == j && value < 0))
          fail(ErrorKind::kInput, path_ + ": flatH",
               "entry [{}, {}] with the mean is {}; expected a covariance", i, j, value);
        h.as<float>()[i * n + j] = h.as<float>()[j * n + i] = value;
      }
    return h;
  }

  std::int64_t tokens() const {
    const auto found = entries_.find("ct");
    const bool told = found != entries_.end() && found->second.dtype() == Dtype::kI64 &&
                      found->second.elements() == 1;
    return told ? found->second.as<std::int64_t>()[0] : 0;
  }

 private:
  std::string path_;
  const model::LinearSpec& linear_;
  formats::TorchEntries entries_;
};

double mean_diagonal(const Tensor& h) {
  const std::int64_t n = h.shape()[0];
  double sum = 0;
  for (std::int64_t i = 0; i < n; ++i) sum += static_cast<double>(h.as<float>()[i * n + i]);
  return sum / static_cast<double>(n);
}

// perm of a factor's file: every column once.
std::vector<std::int64_t> order_of(const HessianFile& inverse) {
  const std::int64_t n = inverse.width();
  const Tensor& perm = inverse.entry("perm", Dtype::kI64, n, "invH and perm");
  std::vector<std::int64_t> order(perm.as<std::int64_t>(), perm.as<std::int64_t>() + n);
  std::vector<bool> seen(order.size(), false);
  for (const std::int64_t column : order) {
    if (column < 0 || column >= n || seen[static_cast<std::size_t>(column)])
      fail(ErrorKind::kInput, inverse.path() + ": perm",
           "{} twice or beyond {} columns; expected "
           "each column once",
           column, n);
    seen[static_cast<std::size_t>(column)] = true;
  }
  return order;
}

// Uᵀ U H z against z, for a z of signs. H is regularized twice, as the files' tool does: by .01 of
// its mean diagonal, then by .01 of what that is now.
void check_inverse(const HessianFile& inverse, const Tensor& h, const std::string& hessian) {
  const std::int64_t n = inverse.width();
  const Tensor& u = inverse.entry("invH", Dtype::kF32, n * n, "invH and perm");
  const std::vector<std::int64_t> order = order_of(inverse);
  const double mean = mean_diagonal(h);
  const double added = 0.01 + 0.01 * 1.01;
  base::Random random(1);
  std::vector<double> z(order.size());
  for (double& sign : z) sign = random.below(2) == 0 ? 1 : -1;
  std::vector<double> hz(z.size(), 0.0);
  std::vector<double> uhz(z.size(), 0.0);
  std::vector<double> back(z.size(), 0.0);
  const auto at = [](std::int64_t i) { return static_cast<std::size_t>(i); };
  for (std::int64_t i = 0; i < n; ++i) {
    const float* row = h.as<float>() + order[at(i)] * n;
    for (std::int64_t j = 0; j < n; ++j)
      hz[at(i)] += static_cast<double>(row[order[at(j)]]) / mean * z[at(j)];
    hz[at(i)] += added * z[at(i)];
  }
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      uhz[at(i)] += static_cast<double>(u.as<float>()[i * n + j]) * hz[at(j)];
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j < n; ++j)
      back[at(j)] += static_cast<double>(u.as<float>()[i * n + j]) * uhz[at(i)];
  double off = 0;
  for (std::size_t i = 0; i < z.size(); ++i) off += (back[i] - z[i]) * (back[i] - z[i]);
  off = std::sqrt(off / static_cast<double>(n));
  if (!(off <= kMostOff))
    fail(ErrorKind::kInput, inverse.path() + ": invH",
         "times its transpose is off by {:.3g} from the inverse of {}; expected its upper Cholesky "
         "factor, off by at most {}",
         off, hessian, kMostOff);
}

}  // namespace

const StoredHessian& HessianFolder::of(const model::LinearSpec& linear) {
  const fs::path path = file_of(hessians_, linear);
  if (read_ && path == last_ && read_->gram.width() == linear.in_features) return *read_;
  read_.reset();
  const HessianFile file(path, linear);
  const Tensor h = file.second_moment();
  if (!(mean_diagonal(h) > 0))
    fail(ErrorKind::kInput, file.path() + ": flatH",
         "0 on the whole diagonal; expected inputs that were not all 0");
  read_.emplace(
      StoredHessian{stats::Gram(backend_, backend_.memory().upload(h.view()), 2), file.tokens()});
  constexpr double kDamping = 0.01;
  const int attempts =
      quant::factor_gram(backend_, read_->gram, {quant::ColumnOrder::kDefault, kDamping}).attempts;
  if (attempts > 1)
    fail(ErrorKind::kInput, file.path() + ": flatH",
         "not positive definite even with {} of its mean diagonal added; expected a covariance",
         kDamping);
  if (!inverses_.empty())
    check_inverse(HessianFile(file_of(inverses_, linear), linear), h, file.path());
  last_ = path;
  return *read_;
}

void write_hessian(compute::Backend& backend, const stats::Gram& gram, const stats::CrossGram& ones,
                   const fs::path& file) {
  const std::int64_t n = gram.width();
  const tensor::ConstMatrixView sum = gram.sum();
  const Tensor h = backend.memory().download({sum.data, Dtype::kF32, {n, n}, sum.device});
  const tensor::ConstMatrixView total = ones.sum();
  const Tensor x = backend.memory().download({total.data, Dtype::kF32, {1, n}, total.device});
  const double each = gram.tokens() > 0 ? 1.0 / static_cast<double>(gram.tokens()) : 0;
  formats::TorchEntries entries;
  Tensor mean({n}, Dtype::kF32);
  Tensor triangle({n * (n + 1) / 2}, Dtype::kF32);
  for (std::int64_t i = 0; i < n; ++i)
    mean.as<float>()[i] = static_cast<float>(static_cast<double>(x.as<float>()[i]) * each);
  float* next = triangle.as<float>();
  for (std::int64_t i = 0; i < n; ++i)
    for (std::int64_t j = 0; j <= i; ++j) {
      const double moment = static_cast<double>(h.as<float>()[i * n + j]) * each;
      const double both =
          static_cast<double>(mean.as<float>()[i]) * static_cast<double>(mean.as<float>()[j]);
      *next++ = static_cast<float>(moment - both);
      if (!std::isfinite(moment))
        fail(ErrorKind::kInput, file.string(),
             "entry [{}, {}] of the inputs' sum is {}; expected "
             "hidden states that are finite",
             i, j, moment);
    }
  Tensor width({}, Dtype::kI64);
  width.as<std::int64_t>()[0] = n;
  Tensor tokens({}, Dtype::kI64);
  tokens.as<std::int64_t>()[0] = gram.tokens();
  entries.emplace("flatH", std::move(triangle));
  entries.emplace("mu", std::move(mean));
  entries.emplace("n", std::move(width));
  entries.emplace("ct", std::move(tokens));
  base::write_file_atomic(file, formats::write_torch_dict(entries, file.string()));
}

}  // namespace whit::pipeline
