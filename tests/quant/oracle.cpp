#include "quant/oracle.h"

#include <algorithm>
#include <cmath>
#include <cstddef>
#include <limits>
#include <numeric>
#include <stdexcept>

namespace whit::oracle {

namespace {

using Index = std::size_t;

double to_bf16(double value) {
  if (value == 0) return 0;
  int exponent = 0;
  std::frexp(value, &exponent);  // value = m * 2^exponent, 0.5 <= |m| < 1
  const double ulp = std::ldexp(1.0, std::max(exponent - 8, -133));
  return std::nearbyint(value / ulp) * ulp;
}

struct Group {
  double scale = 1;
  double zero = 0;  // unsigned, as MoE-Quant counts
  double margin = std::numeric_limits<double>::infinity();
};

double quantize(double x, const Group& g, double maxq) {
  return std::clamp(std::nearbyint(x / g.scale + g.zero), 0.0, maxq);
}

// Distance from the nearest boundary between two codes, in steps.
double distance_from_tie(double x, const Group& g, double maxq) {
  const double at = x / g.scale + g.zero;
  const double boundary = std::clamp(std::floor(at) + 0.5, 0.5, maxq - 0.5);
  return std::abs(at - boundary);
}

double dequantize(double q, const Group& g, const Args& args) {
  const double value = (q - g.zero) * g.scale;
  return args.bf16_values ? to_bf16(value) : value;
}

double stored(double scale, const Args& args) {
  return args.bf16_scales ? to_bf16(scale) : scale;
}

Group find_group(const float* w, std::int64_t size, const Args& args) {
  const double maxq = std::ldexp(1.0, args.bits) - 1;
  double lo = 0;
  double hi = 0;
  for (std::int64_t i = 0; i < size; ++i) {
    lo = std::min(lo, static_cast<double>(w[i]));
    hi = std::max(hi, static_cast<double>(w[i]));
  }
  Group group;
  if (args.symmetric) {
    group.scale = stored(2.0 / maxq * std::max(-lo, hi) + 1e-12, args);
    group.zero = (maxq + 1) / 2;
  } else {
    group.scale = stored((hi - lo) / maxq + 1e-12, args);
    group.zero = std::clamp(std::nearbyint(-lo / group.scale), 0.0, maxq);
    group.margin = std::abs(-lo / group.scale - std::floor(-lo / group.scale) - 0.5);
  }
  if (!args.mse) return group;
  const double widest = group.scale;
  double least = std::numeric_limits<double>::infinity();
  double second = least;  // among other scales
  for (int i = 0; i < 100; ++i) {
    const Group trial{stored(widest * (1.0 - 0.8 * i / 99.0), args), group.zero};
    double loss = 0;
    for (std::int64_t k = 0; k < size; ++k) {
      const double x = static_cast<double>(w[k]);
      loss += std::pow(std::abs(dequantize(quantize(x, trial, maxq), trial, args) - x), 2.4);
    }
    if (loss < least) {
      if (trial.scale != group.scale) second = least;
      least = loss;
      group.scale = trial.scale;
    } else if (trial.scale != group.scale) {
      second = std::min(second, loss);
    }
  }
  if (least > 0) group.margin = std::min(group.margin, second / least - 1);
  return group;
}

std::vector<Group> find_grid(const std::vector<float>& w, std::int64_t width, const Args& args) {
  std::vector<Group> grid;
  for (Index i = 0; i < w.size(); i += static_cast<Index>(args.group_size))
    grid.push_back(find_group(w.data() + i, args.group_size, args));
  if (width % args.group_size != 0) throw std::invalid_argument("oracle: ragged groups");
  return grid;
}

// Lower L with A = L Lᵀ.
Matrix cholesky(Matrix a, Index n) {
  for (Index j = 0; j < n; ++j) {
    for (Index k = 0; k < j; ++k)
      for (Index i = j; i < n; ++i) a[i * n + j] -= a[i * n + k] * a[j * n + k];
    if (!(a[j * n + j] > 0)) throw std::domain_error("oracle: not positive definite");
    const double root = std::sqrt(a[j * n + j]);
    for (Index i = j; i < n; ++i) a[i * n + j] /= root;
    for (Index i = 0; i < j; ++i) a[i * n + j] = 0;
  }
  return a;
}

// A⁻¹ by L X = 1 and the product XᵀX.
Matrix inverse(const Matrix& a, Index n) {
  const Matrix l = cholesky(a, n);
  Matrix x(n * n, 0.0);
  for (Index c = 0; c < n; ++c) {
    for (Index i = c; i < n; ++i) {
      double rest = i == c ? 1.0 : 0.0;
      for (Index k = c; k < i; ++k) rest -= l[i * n + k] * x[k * n + c];
      x[i * n + c] = rest / l[i * n + i];
    }
  }
  Matrix out(n * n, 0.0);
  for (Index k = 0; k < n; ++k)
    for (Index i = 0; i <= k; ++i)
      for (Index j = 0; j <= k; ++j) out[i * n + j] += x[k * n + i] * x[k * n + j];
  return out;
}

Result empty_result(const std::vector<float>& w, std::int64_t width, const std::vector<Group>& grid,
                    const Args& args) {
  Result out;
  out.codes.resize(w.size());
  out.w_hat.resize(w.size());
  const int middle = 1 << (args.bits - 1);
  const std::size_t groups_per_row = static_cast<Index>(width / args.group_size);
  for (Index i = 0; i < grid.size(); i += groups_per_row) {
    double least = std::numeric_limits<double>::infinity();
    for (Index g = i; g < i + groups_per_row; ++g) least = std::min(least, grid[g].margin);
    out.margin.push_back(least);
  }
  for (const Group& g : grid) {
    out.scales.push_back(g.scale);
    out.zeros.push_back(static_cast<int>(g.zero) - middle);
  }
  return out;
}

// The processing order, and the Hessian with dead columns filled, permuted and damped.
std::vector<Index> prepare(Matrix& h, Index n, const Args& args) {
  double sum = 0;
  Index alive = 0;
  for (Index k = 0; k < n; ++k) {
    sum += h[k * n + k];
    alive += h[k * n + k] == 0 ? 0 : 1;
  }
  const double mean = alive == 0 ? 1.0 : sum / static_cast<double>(alive);
  std::vector<Index> perm(n);
  std::iota(perm.begin(), perm.end(), Index{0});
  if (args.activation_order)
    std::stable_sort(perm.begin(), perm.end(),
                     [&](Index a, Index b) { return h[a * n + a] > h[b * n + b]; });
  Matrix permuted(n * n);
  for (Index i = 0; i < n; ++i)
    for (Index j = 0; j < n; ++j) permuted[i * n + j] = h[perm[i] * n + perm[j]];
  for (Index i = 0; i < n; ++i) {
    double& diagonal = permuted[i * n + i];
    if (diagonal == 0) diagonal = mean;
    diagonal += args.rel_damp * mean;
  }
  h = std::move(permuted);
  return perm;
}

}  // namespace

Matrix hessian(const std::vector<float>& x, std::int64_t width) {
  const auto n = static_cast<Index>(width);
  const Index tokens = x.size() / n;
  Matrix h(n * n, 0.0);
  for (Index t = 0; t < tokens; ++t)
    for (Index i = 0; i < n; ++i)
      for (Index j = 0; j < n; ++j)
        h[i * n + j] += static_cast<double>(x[t * n + i]) * static_cast<double>(x[t * n + j]);
  for (double& value : h) value *= 2.0 / static_cast<double>(tokens);
  return h;
}

Result gptq(const std::vector<float>& w, std::int64_t width, const Matrix& h, const Args& args) {
  const auto n = static_cast<Index>(width);
  const std::vector<Group> grid = find_grid(w, width, args);
  Matrix damped = h;
  const std::vector<Index> perm = prepare(damped, n, args);
  const Matrix lower = cholesky(inverse(damped, n), n);  // H⁻¹ = L Lᵀ; MoE-Quant's upper is Lᵀ
  const double maxq = std::ldexp(1.0, args.bits) - 1;
  Result out = empty_result(w, width, grid, args);
  const Index groups = n / static_cast<Index>(args.group_size);
  for (Index row = 0; row < w.size() / n; ++row) {
    std::vector<double> rest(n);
    for (Index j = 0; j < n; ++j) rest[j] = static_cast<double>(w[row * n + perm[j]]);
    for (Index j = 0; j < n; ++j) {
      const Group& g = grid[row * groups + perm[j] / static_cast<Index>(args.group_size)];
      const double q = quantize(rest[j], g, maxq);
      out.margin[row] = std::min(out.margin[row], distance_from_tie(rest[j], g, maxq));
      const double value = dequantize(q, g, args);
      const double error = value - rest[j];
      for (Index k = j + 1; k < n; ++k) rest[k] += error * (lower[k * n + j] / lower[j * n + j]);
      out.codes[row * n + perm[j]] = static_cast<int>(q) - (1 << (args.bits - 1));
      out.w_hat[row * n + perm[j]] = value;
    }
  }
  return out;
}

Result rtn(const std::vector<float>& w, std::int64_t width, const Args& args) {
  const std::vector<Group> grid = find_grid(w, width, args);
  const double maxq = std::ldexp(1.0, args.bits) - 1;
  Result out = empty_result(w, width, grid, args);
  for (Index i = 0; i < w.size(); ++i) {
    const Group& g = grid[i / static_cast<Index>(args.group_size)];
    const double q = quantize(static_cast<double>(w[i]), g, maxq);
    out.codes[i] = static_cast<int>(q) - (1 << (args.bits - 1));
    out.w_hat[i] = dequantize(q, g, args);
  }
  return out;
}

double proxy_error(const std::vector<float>& w, const Matrix& w_hat, const Matrix& h,
                   std::int64_t width) {
  const auto n = static_cast<Index>(width);
  double lost = 0;
  double whole = 0;
  for (Index row = 0; row < w.size() / n; ++row) {
    for (Index i = 0; i < n; ++i) {
      const double wi = static_cast<double>(w[row * n + i]);
      const double ei = wi - w_hat[row * n + i];
      for (Index j = 0; j < n; ++j) {
        const double wj = static_cast<double>(w[row * n + j]);
        lost += ei * h[i * n + j] * (wj - w_hat[row * n + j]);
        whole += wi * h[i * n + j] * wj;
      }
    }
  }
  return whole == 0 ? 0.0 : lost / whole;
}

}  // namespace whit::oracle
