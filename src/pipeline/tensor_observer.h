#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "model/activations.h"
#include "model/observer.h"
#include "pipeline/inc_layout.h"
#include "tensor/tensor.h"

namespace whit::pipeline {

// A tensor as one sequence had it, or a weight. `values`: C order; empty where only shapes are
// asked for.
struct ObservedTensor {
  std::string module;
  std::string slot;  // "input0", "output1", "weight"
  std::int64_t sequence = 0;
  tensor::Shape shape;
  std::vector<float> values;
  std::vector<const model::LinearSpec*> linears;  // of a weight: whose
};

// Watches a forward of one process for the tensors themselves of what a layout selects, sequence
// by sequence: hidden states are [1, tokens, width], heads [1, heads, tokens, width], caches
// [tokens, heads, width], an expert's intermediates [its tokens, width]. Left out are modules that
// hand queries to the blocks of a cache, for there are no blocks here, and what a module does not
// compute but is known beforehand.
class TensorObserver final : public model::Observer {
 public:
  using Take = std::function<void(const ObservedTensor&)>;

  // `sequences` outlives the observer.
  TensorObserver(compute::Backend& backend, const IncLayout& layout,
                 const model::Sequences& sequences, bool values, Take take);

  std::int64_t rows(const stats::TapId& site) const;

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
  struct Target {
    std::string module, slot;
    IncTensor tensor;
    bool cache = false;
  };
  // Rows that come piece by piece.
  struct Series {
    std::int64_t sequence = -1, rows = 0;
    std::vector<float> values;
  };
  // Linears whose matrices make one tensor, and how far they have come.
  struct Joined {
    std::vector<const model::LinearSpec*> linears;
    std::vector<Target> targets;
    std::vector<tensor::Tensor> parts;  // that have come
    Series series;
  };

  void add(const IncNode& node, const std::string& module, const std::string& slot,
           const IncTensor& tensor);
  tensor::Tensor host(tensor::ConstMatrixView x) const;
  // Rows of x: the tokens of `tokens_`.
  void collect(Series& series, const std::vector<Target>& targets, tensor::ConstMatrixView x);
  void flush(Series& series, const std::vector<Target>& targets, std::int64_t width);
  void emit(const std::vector<Target>& targets, std::int64_t sequence, tensor::Shape shape,
            const std::vector<float>& values) const;
  std::int64_t sequence_of(std::int64_t token) const;
  void heads(const model::LayerSpec& layer, Operand which, const compute::AttentionArgs& args,
             std::span<const std::int64_t> starts);
  void absorbed(const model::LayerSpec& layer, const compute::AttentionArgs& args,
                std::span<const std::int64_t> starts);
  void latents(const model::LayerSpec& layer, Operand which, tensor::ConstMatrixView rows);
  void scores(const model::LayerSpec& layer, const compute::AttentionArgs& args,
              std::span<const std::int64_t> starts);
  const std::vector<Target>* targets_of(const model::LayerSpec& layer, Operand which) const;
  bool is_expander(const model::LinearSpec& linear) const;

  compute::Backend& backend_;
  const model::Sequences& sequences_;
  bool values_;
  Take take_;
  std::map<stats::TapId, std::vector<Target>> hidden_;
  std::map<std::pair<int, Operand>, std::vector<Target>> operands_;
  // By each linear, the tensor that it is a part of.
  std::map<const model::LinearSpec*, std::shared_ptr<Joined>> products_, weights_;
  std::map<stats::TapId, std::int64_t> rows_;
  // The stage at work: which of its pieces, and the tokens of that one's rows.
  const model::Stage* stage_ = nullptr;
  std::size_t piece_ = 0;
  std::vector<std::int64_t> tokens_;
  bool last_piece_ = false;
  std::map<stats::TapId, Series> series_;
  std::map<int, std::int64_t> mixture_rows_;  // by layer
  tensor::Tensor expansion_;
};

}  // namespace whit::pipeline
