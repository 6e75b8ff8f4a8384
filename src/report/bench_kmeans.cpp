#include "report/bench_kmeans.h"

#include <fmt/format.h>

#include <chrono>
#include <cstring>
#include <random>
#include <utility>
#include <vector>

#include "base/error.h"
#include "base/file.h"
#include "quant/kmeans.h"

namespace whit::report {

namespace {

using Instant = std::chrono::steady_clock::time_point;

double seconds_from(Instant begin) {
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

tensor::Tensor vectors_to_cluster(const KMeansBenchArgs& args) {
  tensor::Tensor x({args.vectors, args.length}, tensor::Dtype::kF32);
  if (args.data.empty()) {
    std::mt19937 engine(1);
    std::normal_distribution<float> normal;
    for (std::int64_t i = 0; i < x.elements(); ++i) x.as<float>()[i] = normal(engine);
    return x;
  }
  const base::MappedFile file(args.data);
  if (file.bytes().size() != x.bytes())
    base::fail(base::ErrorKind::kInput, args.data.string(),
               "{} bytes; expected {}, fp32 vectors [{}, {}]", file.bytes().size(), x.bytes(),
               args.vectors, args.length);
  std::memcpy(x.data(), file.bytes().data(), file.bytes().size());
  return x;
}

}  // namespace

BenchTable bench_kmeans(compute::Backend& backend, const KMeansBenchArgs& args) {
  if (args.centroids > args.vectors)
    base::fail(base::ErrorKind::kUsage, "--centroids",
               "{} for {} vectors; expected no more than vectors", args.centroids, args.vectors);
  BenchTable table;
  table.title = fmt::format("k-means: {} vectors of {}, {} centroids", args.vectors, args.length,
                            args.centroids);
  table.machine = backend.name();
  const double pairs =
      static_cast<double>(args.vectors) * static_cast<double>(args.centroids) / kGiga;
  const auto add = [&](std::string name, double work, double seconds, std::string note) {
    BenchRow row;
    row.name = std::move(name);
    row.work = work;
    row.unit = "Gpair";
    row.seconds = seconds;
    row.note = std::move(note);
    table.rows.push_back(std::move(row));
  };
  const tensor::Tensor host = vectors_to_cluster(args);
  const tensor::Tensor x = backend.memory().upload(host.view());
  tensor::Tensor first({args.centroids, args.length}, tensor::Dtype::kF32);
  std::memcpy(first.data(), host.data(), first.bytes());
  tensor::Tensor centroids = backend.memory().upload(first.view());
  std::vector<std::int32_t> labels(static_cast<std::size_t>(args.vectors), -1);
  const Instant begin = std::chrono::steady_clock::now();
  double updating = 0;
  for (std::int64_t pass = 0; pass < args.passes; ++pass) {
    if (pass > 0) {
      const Instant update = std::chrono::steady_clock::now();
      quant::move_centroids(backend, x.matrix(), {}, labels, centroids);
      updating += seconds_from(update);
    }
    const Instant assignment = std::chrono::steady_clock::now();
    const double inertia = backend.vectors().assign(x.matrix(), {}, centroids.matrix(), labels);
    add(fmt::format("assignment {}", pass + 1), pairs, seconds_from(assignment),
        fmt::format("inertia {:.10g}", inertia));
  }
  const double whole = seconds_from(begin);
  add("updates", 0, updating, "");
  add("whole", pairs * static_cast<double>(args.passes), whole, "");
  return table;
}

}  // namespace whit::report
