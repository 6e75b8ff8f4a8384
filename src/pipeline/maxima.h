#pragma once

#include <cstdint>
#include <map>
#include <nlohmann/json.hpp>
#include <set>
#include <string>
#include <utility>

#include "compute/backend.h"
#include "model/observer.h"
#include "pipeline/gathered_maxima.h"
#include "pipeline/ranks.h"
#include "stats/ranges.h"

namespace whit::pipeline {

// Tensors of a layer that no linear reads, writes or holds.
enum class Operand : std::uint8_t {
  kQuery,  // rotated
  kKey,    // rotated, as the product reads it
  kValue,
  kAbsorbedQuery,  // MLA: the query as it meets the cached latent, and its rotated part
  kLatentKey,      // MLA: what is cached, the normed latent and the shared rotated key
  kLatentValue,    // MLA: the latent alone
  kMixture,        // what the routed experts add
  kScores,         // scaled products of queries and the keys that they see
  kLogits,         // the same, capped and biased: what softmax reads
  kProbabilities,
};

// What is to be watched.
struct WantedMaxima {
  bool per_channel = false;  // of a linear, what it reads and makes; its weight's output channels;
                             // else of a head
  std::set<stats::TapId> inputs;
  std::set<const model::LinearSpec*> weights, outputs;
  std::set<std::pair<int, Operand>> operands;  // by layer

  bool operand(const model::LayerSpec& layer, Operand operand) const {
    return operands.contains({layer.index, operand});
  }
};

// Watches a forward for the maxima of its tensors. Maxima are exact, so that neither the number of
// threads nor how a forward is cut shows in them.
class MaximaObserver final : public model::Observer {
 public:
  MaximaObserver(compute::Backend& backend, WantedMaxima wanted);

  // Brings what has gathered on the device to the host; before that, nothing is told. Errors:
  // kInput (subject: the first tensor that held some) for NaN and infinity.
  void settle() override;

  // Never seen: no values.
  const Maxima& input(const stats::TapId& site) const;
  const Maxima& weight(const model::LinearSpec& linear) const;
  const Maxima& output(const model::LinearSpec& linear) const;
  const Maxima& operand(int layer, Operand operand) const;
  // Rows that each hidden state had, watched or not; 0: none.
  std::int64_t rows(const stats::TapId& site) const;

  // Afterwards every rank knows what all of them saw.
  void merge(const Ranks& ranks);

  bool wants_weight(const model::LinearSpec& linear) const override;
  bool wants_output(const model::LinearSpec& linear) const override;
  bool wants_mixture(const model::LayerSpec& layer) const override;
  void weight(const model::LinearSpec& linear, tensor::ConstMatrixView w) override;
  void input(const model::Stage& stage, tensor::ConstMatrixView x) override;
  void output(const model::LinearSpec& linear, tensor::ConstMatrixView y) override;
  void attention(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                 std::span<const std::int64_t> starts) override;
  void latent(const model::LayerSpec& layer, tensor::ConstMatrixView rows) override;
  void mixture(const model::LayerSpec& layer, tensor::ConstMatrixView y) override;

 private:
  nlohmann::json to_json() const;
  void merge(const nlohmann::json& theirs);
  // Joins the largest magnitude of every column of x to `into`, or to the operand.
  template <typename Name>
  void gather_columns(Maxima& into, tensor::ConstMatrixView x, const Name& name);
  void gather_columns(const model::LayerSpec& layer, Operand operand, tensor::ConstMatrixView x);
  // Lists that gather for an operand of `rows` more rows; join() makes what joins them.
  template <typename Join>
  const GatheredMaxima::Lists& lists(const model::LayerSpec& layer, Operand operand,
                                     std::int64_t rows, std::initializer_list<std::int64_t> widths,
                                     const Join& join);
  // Those of the channels of a head, over all of them.
  void gather_heads(const model::LayerSpec& layer, Operand operand, const compute::HeadView& view,
                    std::int64_t heads);
  void gather_keys(const model::LayerSpec& layer, const compute::AttentionArgs& args);
  void gather_absorbed(const model::LayerSpec& layer, const compute::HeadView& q);
  void fold(Maxima& into, stats::Range range, const std::string& name) const;
  // Whether absorbed queries need its weight.
  bool is_expander(const model::LinearSpec& linear) const;
  void fold_operand(const model::LayerSpec& layer, Operand operand, stats::Range range,
                    std::int64_t rows);
  void watch_scores(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                    std::span<const std::int64_t> starts);

  compute::Backend& backend_;
  WantedMaxima wanted_;
  GatheredMaxima gathered_;  // for the maxima below
  std::map<stats::TapId, Maxima> inputs_;
  std::map<stats::TapId, std::int64_t> rows_;
  std::map<const model::LinearSpec*, Maxima> weights_, outputs_;
  std::map<std::pair<int, Operand>, Maxima> operands_;
  // The weight that expands the latent of the layer at work.
  const model::LinearSpec* expander_ = nullptr;
  tensor::Tensor expansion_;
};

}  // namespace whit::pipeline
