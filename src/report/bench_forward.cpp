#include "report/bench_forward.h"

#include <fmt/format.h>

#include <algorithm>
#include <chrono>
#include <vector>

#include "runtime/streamed_forward.h"

namespace whit::report {

namespace {

using Clock = std::chrono::steady_clock;

double seconds_since(Clock::time_point start) {
  return std::chrono::duration<double>(Clock::now() - start).count();
}

double linear_flops(const model::LinearSpec& linear) {
  return 2.0 * static_cast<double>(linear.out_features) * static_cast<double>(linear.in_features);
}

// Scores and values of one head with one key.
double attention_flops(const model::GqaSpec& a) {
  return 4.0 * static_cast<double>(a.heads * a.head_dim);
}
double attention_flops(const model::MlaSpec& a) {
  return 2.0 * static_cast<double>(a.heads * (a.nope_dim + a.rope_dim + a.v_dim));
}

}  // namespace

model::Sequences random_sequences(const model::ModelSpec& spec, const ForwardBenchArgs& args) {
  std::uint64_t state = 1;
  model::Sequences sequences;
  for (std::int64_t s = 0; s < args.sequences; ++s) {
    std::vector<std::int32_t> ids;
    for (std::int64_t i = 0; i < args.length; ++i) {
      state = state * 6364136223846793005ULL + 1442695040888963407ULL;
      ids.push_back(
          static_cast<std::int32_t>((state >> 33) % static_cast<std::uint64_t>(spec.vocabulary)));
    }
    sequences.append(ids);
  }
  return sequences;
}

double layer_flops_per_token(const model::ModelSpec& spec, std::int64_t length) {
  double flops = 0;
  for (const auto& layer : spec.layers) {
    const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp);
    for (const auto* linear : model::linears_of(layer)) {
      const bool routed = linear->reads.expert >= 0;
      const double share = routed && moe != nullptr ? static_cast<double>(moe->router.top_k) /
                                                          static_cast<double>(moe->experts.size())
                                                    : 1.0;
      flops += share * linear_flops(*linear);
    }
    const double keys = static_cast<double>(length + 1) / 2;
    flops += keys * std::visit([](const auto& a) { return attention_flops(a); }, layer.attention);
  }
  return flops;
}

BenchTable bench_forward(compute::Backend& backend, const model::ModelSpec& spec,
                         model::WeightSource& weights, const ForwardBenchArgs& args) {
  const auto sequences = random_sequences(spec, args);
  const auto tokens = static_cast<double>(sequences.tokens());
  runtime::StreamedForward forward(backend, spec, weights, sequences);

  auto start = Clock::now();
  forward.run([](std::int64_t, std::int64_t) {});
  const double layers_seconds = seconds_since(start);
  start = Clock::now();
  const std::int64_t step = runtime::head_rows(spec);
  for (std::int64_t row = 0; row < sequences.tokens(); row += step)
    forward.head(row, std::min(step, sequences.tokens() - row));
  const double head_seconds = seconds_since(start);

  const double layers = tokens * layer_flops_per_token(spec, args.length);
  const double head = tokens * linear_flops(spec.head);
  BenchTable table;
  table.title = fmt::format("forward of {}, {} sequences of {} tokens, weights decoded on the way",
                            spec.architecture, args.sequences, args.length);
  table.machine =
      fmt::format("{}, fp32 limit {:.1f} GFLOP/s", backend.name(), args.peak_flops * 1e-9);
  table.rows.push_back(
      {"layers", layers * 1e-9, "GFLOP", layers_seconds, layers / args.peak_flops, ""});
  table.rows.push_back({"head", head * 1e-9, "GFLOP", head_seconds, head / args.peak_flops, ""});
  table.rows.push_back({"whole", tokens, "tokens", layers_seconds + head_seconds,
                        (layers + head) / args.peak_flops, ""});
  return table;
}

}  // namespace whit::report
