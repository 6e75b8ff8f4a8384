#include "pipeline/embedding_refit.h"

#include <algorithm>
#include <numeric>
#include <set>
#include <span>
#include <utility>
#include <vector>

#include "base/random.h"
#include "model/mlp_slope.h"
#include "pipeline/forwarding_runner.h"
#include "pipeline/forwarding_weights.h"
#include "quant/row_least_squares.h"

namespace whit::pipeline {

using model::Sequences;
using model::Slot;
using tensor::Dtype;
using tensor::MatrixView;
using tensor::Tensor;
using Access = model::ActivationStore::Access;

namespace {

constexpr std::int64_t kLength = 512;  // tokens of a sequence, its first one included
constexpr std::int64_t kTokensAtOnce = 2 * (kLength - 1);
constexpr int kContexts = 4;  // random others that a token is seen among, beside the text's
constexpr int kTurns = 2;     // of Gauss-Newton
constexpr double kDoubt = 2;  // of n contexts a share n / (n + kDoubt) of what they say is trusted
constexpr std::int64_t kTextTokens = 32768;  // of the calibration text, at most
constexpr std::int64_t kTextAtOnce = 4096;

// A table that is on its way, in place of the stored one.
class MovedTable final : public ForwardingWeights {
 public:
  MovedTable(model::WeightSource& inner, const Tensor& table)
      : ForwardingWeights(inner), table_(&table, [](const Tensor*) {}) {}
  model::WeightHandle table(const model::LinearSpec&) override { return table_; }

 private:
  model::WeightHandle table_;
};

// Applies plainly, and lets `before_mlp` see the stream that the MLP half will read.
class StreamReader final : public ForwardingRunner {
 public:
  StreamReader(model::StageRunner& plain, std::function<void()> before_mlp)
      : ForwardingRunner(plain), before_mlp_(std::move(before_mlp)) {}

  void run(std::span<model::Stage> stages) override {
    for (model::Stage& stage : stages) {
      if (stage.site.site == stats::Site::kMlpIn) before_mlp_();
      plain_.run({&stage, 1});
    }
  }

 private:
  std::function<void()> before_mlp_;
};

// Some tokens, each in kContexts sequences among the others.
struct Company {
  std::vector<std::int32_t> tokens;
  Sequences sequences;
  std::vector<std::int32_t> token_of_row;  // index into tokens; -1: a sequence's first row
};

Company company_of(std::vector<std::int32_t> tokens, std::int32_t begin, base::Random& random) {
  Company company;
  company.tokens = std::move(tokens);
  std::vector<std::int32_t> order(company.tokens.size());
  std::iota(order.begin(), order.end(), 0);
  for (int context = 0; context < kContexts; ++context) {
    random.shuffle(order);
    for (std::size_t first = 0; first < order.size(); first += kLength - 1) {
      const std::size_t last =
          std::min(first + static_cast<std::size_t>(kLength - 1), order.size());
      std::vector<std::int32_t> sequence{begin};
      company.token_of_row.push_back(-1);
      for (std::size_t i = first; i < last; ++i) {
        sequence.push_back(company.tokens[static_cast<std::size_t>(order[i])]);
        company.token_of_row.push_back(order[i]);
      }
      company.sequences.append(sequence);
    }
  }
  return company;
}

// What the tokens of some text were, and lost, summed over where they stand in it: on the host.
struct TextSums {
  std::vector<std::int32_t> counts;  // by token
  Tensor stream, lost;               // [vocabulary, hidden]
};

std::vector<Sequences> parts_of(const Sequences& text, std::int64_t tokens) {
  std::vector<Sequences> parts(1);
  for (std::size_t s = 0; s + 1 < text.starts.size(); ++s) {
    if (parts.back().tokens() >= tokens) parts.emplace_back();
    parts.back().append(
        std::span(text.ids).subspan(static_cast<std::size_t>(text.starts[s]),
                                    static_cast<std::size_t>(text.starts[s + 1] - text.starts[s])));
  }
  return parts;
}

Tensor stored_table(const EmbeddingRefitArgs& args) {
  const auto stored = args.source.table(args.plan.spec.embedding);
  Tensor table = args.backend.memory().allocate(stored->shape(), Dtype::kF32);
  args.backend.codec().to_f32(stored->view(), table.matrix());
  return table;
}

class EmbeddingRefit {
 public:
  EmbeddingRefit(const EmbeddingRefitArgs& args, const Sequences& text)
      : args_(args),
        hidden_(args.plan.spec.hidden),
        layer_(args.plan.spec.layers.front()),
        slope_(args.backend, args.quantized, layer_),
        text_(parts_of(text, kTextAtOnce)) {
    text_.resize(std::min(text_.size(), static_cast<std::size_t>(kTextTokens / kTextAtOnce)));
    table_ = stored_table(args);
  }

  Tensor take_table() { return std::move(table_); }

  // Sums over the text, of the table as it is; *squares: of what is lost there.
  TextSums read_text(double* squares) {
    const std::int64_t vocabulary = args_.plan.spec.vocabulary;
    TextSums sums{std::vector<std::int32_t>(static_cast<std::size_t>(vocabulary)),
                  Tensor({vocabulary, hidden_}, Dtype::kF32),
                  Tensor({vocabulary, hidden_}, Dtype::kF32)};
    *squares = 0;
    std::int64_t row0 = 0;
    for (const Sequences& part : text_) {
      Tensor original = allocate(part.tokens(), hidden_);
      args_.original(row0, original.matrix());
      row0 += part.tokens();
      Tensor stream;
      const Tensor lost = lost_by(part, std::move(original), &stream);
      for (const double square :
           args_.backend.linalg().row_dots(lost.matrix(), lost.matrix(), hidden_))
        *squares += square;
      add_rows(part, args_.backend.memory().download(stream.view()), sums.stream);
      add_rows(part, args_.backend.memory().download(lost.view()), sums.lost);
      for (const std::int32_t id : part.ids) ++sums.counts[static_cast<std::size_t>(id)];
    }
    return sums;
  }

  // One turn of the company's tokens.
  void move(const Company& company, const TextSums& text) {
    std::vector<float> shares, trusted;  // of one context in a token's mean
    for (const std::int32_t id : company.tokens) {
      const double count = kContexts + text.counts[static_cast<std::size_t>(id)];
      shares.push_back(static_cast<float>(1 / count));
      trusted.push_back(static_cast<float>(1 / (count + kDoubt)));
    }
    Tensor stream;
    const Tensor lost =
        lost_by(company.sequences, run(args_.source, company.sequences, nullptr), &stream);
    slope_.set(mean_of(company, stream.matrix(), text.stream, shares));
    const Tensor wanted = mean_of(company, lost.matrix(), text.lost, trusted);
    const quant::RowMaps maps{
        [&](tensor::ConstMatrixView v, MatrixView out) { slope_.forward(v, out); },
        [&](tensor::ConstMatrixView v, MatrixView out) { slope_.back(v, out); }};
    const Tensor by = quant::row_least_squares(args_.backend, maps, wanted.matrix(), {});
    const std::vector<float> ones(company.tokens.size(), 1.0F);
    args_.backend.neural().scatter_add_rows(by.matrix(), company.tokens, ones, table_.matrix());
  }

 private:
  Tensor allocate(std::int64_t rows, std::int64_t cols) {
    return args_.backend.memory().allocate({rows, cols}, Dtype::kF32);
  }

  // The original's output less the quantized layer's; *stream: between the latter's halves.
  Tensor lost_by(const Sequences& sequences, Tensor original, Tensor* stream) {
    MovedTable weights(args_.quantized, table_);
    const Tensor found = run(weights, sequences, stream);
    args_.backend.linalg().scale_add(1.0F, original.matrix(), -1.0F, found.matrix());
    return original;
  }

  // The stream behind the first layer; in *before_mlp, unless null, the one between its halves.
  Tensor run(model::WeightSource& weights, const Sequences& sequences, Tensor* before_mlp) {
    const auto store = args_.make_store();
    const auto plain = model::make_plain_runner(args_.backend, weights);
    StreamReader reader(*plain, [&] {
      if (before_mlp != nullptr) *before_mlp = stream_of(*store, sequences.tokens());
    });
    model::ForwardContext context{args_.backend, weights, *store, sequences, reader};
    model::forward_embedding(context, args_.plan.spec);
    model::forward_layer(context, layer_);
    return stream_of(*store, sequences.tokens());
  }

  Tensor stream_of(model::ActivationStore& store, std::int64_t rows) {
    Tensor stream = allocate(rows, hidden_);
    const auto lease = store.lease(Slot::kHidden, 0, rows, Access::kRead);
    args_.backend.memory().copy(lease->view(), stream.matrix());
    return stream;
  }

  void add_rows(const Sequences& part, const Tensor& rows, Tensor& sums) {
    const auto* from = rows.as<float>();
    for (const std::int32_t id : part.ids) {
      float* to = sums.matrix().row<float>(id);
      for (std::int64_t k = 0; k < hidden_; ++k) to[k] += *from++;
    }
  }

  // shares[i] * (what the company's rows of token i and the text's sum to): F32 [tokens, hidden].
  Tensor mean_of(const Company& company, tensor::ConstMatrixView rows, const Tensor& of_text,
                 const std::vector<float>& shares) {
    Tensor host({static_cast<std::int64_t>(company.tokens.size()), hidden_}, Dtype::kF32);
    for (std::int64_t i = 0; i < host.shape()[0]; ++i) {
      const auto at = static_cast<std::size_t>(i);
      const float* from = of_text.matrix().row<float>(company.tokens[at]);
      for (std::int64_t k = 0; k < hidden_; ++k)
        host.matrix().row<float>(i)[k] = shares[at] * from[k];
    }
    Tensor mean = args_.backend.memory().upload(host.view());
    const std::vector<std::int64_t>& starts = company.sequences.starts;
    for (std::size_t s = 0; s + 1 < starts.size(); ++s) {
      const auto first = static_cast<std::size_t>(starts[s] + 1);
      const auto count = static_cast<std::size_t>(starts[s + 1]) - first;
      const auto tokens = std::span(company.token_of_row).subspan(first, count);
      std::vector<float> weights;
      for (const std::int32_t token : tokens)
        weights.push_back(shares[static_cast<std::size_t>(token)]);
      args_.backend.neural().scatter_add_rows(
          rows.rows_of(static_cast<std::int64_t>(first), static_cast<std::int64_t>(count)), tokens,
          weights, mean.matrix());
    }
    return mean;
  }

  const EmbeddingRefitArgs& args_;
  std::int64_t hidden_;
  const model::LayerSpec& layer_;
  model::MlpSlope slope_;
  std::vector<Sequences> text_;
  Tensor table_;
};

// Every token but those that the text's sequences begin with.
std::vector<std::int32_t> movable_tokens(const Sequences& text, std::int64_t vocabulary) {
  std::set<std::int32_t> first_tokens;
  for (std::size_t s = 0; s + 1 < text.starts.size(); ++s)
    first_tokens.insert(text.ids[static_cast<std::size_t>(text.starts[s])]);
  std::vector<std::int32_t> tokens;
  for (std::int32_t id = 0; id < vocabulary; ++id)
    if (!first_tokens.contains(id)) tokens.push_back(id);
  return tokens;
}

}  // namespace

bool can_refit_embedding(const model::ModelSpec& spec) {
  return !spec.tied && !spec.embedding_proj && !spec.embedding_norm && spec.embedding_scale == 1 &&
         !spec.layers.empty() && model::MlpSlope::knows(spec.layers.front());
}

Tensor refit_embedding(const EmbeddingRefitArgs& args, const Sequences& text) {
  EmbeddingRefit refit(args, text);
  std::vector<std::int32_t> tokens = movable_tokens(text, args.plan.spec.vocabulary);
  base::Random random(args.plan.bound.recipe.samples.seed);
  double before = 0;
  for (int turn = 0; turn < kTurns; ++turn) {
    double squares = 0;
    const TextSums sums = refit.read_text(&squares);
    if (turn == 0) before = squares;
    random.shuffle(tokens);
    for (std::size_t first = 0; first < tokens.size(); first += kTokensAtOnce) {
      const std::size_t last =
          std::min(first + static_cast<std::size_t>(kTokensAtOnce), tokens.size());
      refit.move(company_of({tokens.begin() + static_cast<std::ptrdiff_t>(first),
                             tokens.begin() + static_cast<std::ptrdiff_t>(last)},
                            text.ids.front(), random),
                 sums);
    }
  }
  double after = 0;
  refit.read_text(&after);
  return after < before ? refit.take_table() : stored_table(args);
}

}  // namespace whit::pipeline
