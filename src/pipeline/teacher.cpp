#include "pipeline/teacher.h"

#include <algorithm>
#include <numeric>
#include <optional>
#include <utility>

#include "base/error.h"
#include "model/mlp.h"
#include "pipeline/forwarding_runner.h"
#include "pipeline/pieces.h"

namespace whit::pipeline {

using model::Slot;
using model::Stage;
using stats::Site;
using Access = model::ActivationStore::Access;

namespace {

// Every record is a store of its own with this one slot.
constexpr Slot kRecorded = Slot::kHidden;

// Whether the outputs of a site's linears are added to the residual stream as they are, neither
// normed nor weighed first. Experts' are too, but no single one of them owns what is wrong with it.
bool adds_to_residual(const model::LayerSpec& layer, Site reads) {
  if (layer.residual_scale != 1) return false;
  const auto* moe = std::get_if<model::MoeSpec>(&layer.mlp);
  switch (reads) {
    case Site::kAttnOut:
      return !layer.attention_out_norm;
    case Site::kMlpMid:
      return !layer.mlp_out_norm;
    case Site::kSharedMid:
      return moe != nullptr && !moe->shared_gate;
    default:
      return false;
  }
}

}  // namespace

// Runs the layer plainly and keeps every hidden state that is not an expert's.
class Teacher::Recorder final : public ForwardingRunner {
 public:
  Recorder(Teacher& teacher, model::StageRunner& plain)
      : ForwardingRunner(plain), teacher_(teacher) {}

  void run(std::span<Stage> stages) override {
    for (Stage& stage : stages) {
      if (stage.site.expert < 0) record(stage);
      plain_.run({&stage, 1});
    }
  }

 private:
  void record(Stage& stage) {
    if (adds_to_residual(*teacher_.layer_, stage.site.site))
      teacher_.residuals_[stage.site.site] = teacher_.copy_hidden();
    if (stage.observed_before) return;
    Record& store = teacher_.inputs_[stage.site];
    store = teacher_.make_store_();
    const std::int64_t rows =
        std::accumulate(stage.piece_rows.begin(), stage.piece_rows.end(), std::int64_t{0});
    store->create(kRecorded, rows, stage.width);
    const auto produce = [this, &stage, &store, inner = stage.produce](std::size_t piece,
                                                                       tensor::MatrixView x) {
      inner(piece, x);
      const auto lease =
          store->lease(kRecorded, first_row_of(stage, piece), x.rows, Access::kWrite);
      teacher_.backend_.memory().copy(x, lease->view());
    };
    // A stage without linears is never visited by a plain runner.
    if (stage.linears.empty()) {
      for (std::size_t piece = 0; piece < stage.piece_rows.size(); ++piece) {
        tensor::Tensor x = teacher_.backend_.memory().allocate(
            {stage.piece_rows[piece], stage.width}, tensor::Dtype::kF32);
        produce(piece, x.matrix());
      }
      return;
    }
    stage.produce = produce;
  }

  Teacher& teacher_;
};

Teacher::Teacher(const Plan& plan, compute::Backend& backend, model::WeightSource& source,
                 model::Sequences sequences, MakeStore make_store)
    : plan_(plan),
      backend_(backend),
      source_(source),
      sequences_(std::move(sequences)),
      make_store_(std::move(make_store)),
      hidden_(make_store_()) {}

model::ForwardContext Teacher::context(model::StageRunner& runner) {
  return {backend_, source_, *hidden_, sequences_, runner};
}

void Teacher::embed() {
  const auto runner = model::make_plain_runner(backend_, source_);
  model::ForwardContext forward = context(*runner);
  model::forward_embedding(forward, plan_.spec);
}

void Teacher::advance(const Step& step, bool record) {
  inputs_.clear();
  residuals_.clear();
  expert_mids_.clear();
  layer_ = step.layer;
  const auto plain = model::make_plain_runner(backend_, source_);
  Recorder recorder(*this, *plain);
  model::StageRunner& runner = record ? static_cast<model::StageRunner&>(recorder) : *plain;
  model::ForwardContext forward = context(runner);
  if (step.mtp)
    model::forward_mtp_layer(forward, plan_.spec, *step.layer);
  else
    model::forward_layer(forward, *step.layer);
}

Teacher::Record Teacher::copy_hidden() {
  Record copy = make_store_();
  copy->create(kRecorded, sequences_.tokens(), plan_.spec.hidden);
  for (const auto& tile : model::tiles_of(sequences_)) {
    const auto from = hidden_->lease(Slot::kHidden, tile.first_row, tile.rows, Access::kRead);
    const auto to = copy->lease(kRecorded, tile.first_row, tile.rows, Access::kWrite);
    backend_.memory().copy(from->view(), to->view());
  }
  return copy;
}

void Teacher::stream(std::int64_t row0, tensor::MatrixView x) {
  read(hidden_, row0, x);
}

void Teacher::read(const Record& record, std::int64_t row0, tensor::MatrixView x) {
  const auto lease = record->lease(kRecorded, row0, x.rows, Access::kRead);
  backend_.memory().copy(lease->view(), x);
}

std::int64_t Teacher::seen_rows(const Stage& stage, std::int64_t first, std::int64_t count) const {
  if (stage.token_rows.empty())
    return std::clamp<std::int64_t>(sequences_.tokens() - first, 0, count);
  const auto begin = stage.token_rows.begin() + first;
  return std::find_if(begin, begin + count,
                      [&](std::int32_t token) { return token >= sequences_.tokens(); }) -
         begin;
}

void Teacher::input(const Stage& stage, std::int64_t first, tensor::MatrixView x) {
  if (stage.site.site == Site::kExpertIn) {
    const auto rows =
        stage.token_rows.subspan(static_cast<std::size_t>(first), static_cast<std::size_t>(x.rows));
    inputs_.at({stage.site.layer, Site::kMlpIn, -1})->gather(kRecorded, rows, x);
  } else if (stage.site.site == Site::kExpertMid) {
    backend_.memory().copy(expert_mid(stage).matrix().rows_of(first, x.rows), x);
  } else {
    read(inputs_.at(stage.site), first, x);
  }
}

bool Teacher::has_residual(const Stage& stage) const {
  return residuals_.contains(stage.site.site);
}

void Teacher::residual(const Stage& stage, std::int64_t first, tensor::MatrixView x) {
  read(residuals_.at(stage.site.site), first, x);
}

void Teacher::forget(const stats::TapId& site) {
  if (site.site == Site::kExpertMid) expert_mids_.erase(site.expert);
}

// The original expert on the original hidden states of the tokens that the student routes to it.
const tensor::Tensor& Teacher::expert_mid(const Stage& stage) {
  const auto found = expert_mids_.find(stage.site.expert);
  if (found != expert_mids_.end()) return found->second;
  const auto& moe = std::get<model::MoeSpec>(layer_->mlp);
  const auto& expert = moe.experts[static_cast<std::size_t>(stage.site.expert)];
  std::vector<model::WeightHandle> weights;
  for (const auto& linear : expert.in) weights.push_back(source_.linear(linear));
  // Rows of tokens that the original model does not see stay 0 and are never read.
  const auto rows = static_cast<std::int64_t>(stage.token_rows.size());
  tensor::Tensor mid = backend_.memory().allocate({rows, stage.width}, tensor::Dtype::kF32);
  const Record& input = inputs_.at({stage.site.layer, Site::kMlpIn, -1});
  for (std::int64_t row0 = 0; row0 < rows; row0 += model::kTileTokens) {
    const std::int64_t count = seen_rows(stage, row0, std::min(model::kTileTokens, rows - row0));
    if (count == 0) continue;
    auto x =
        backend_.memory().allocate({count, expert.in.front().in_features}, tensor::Dtype::kF32);
    input->gather(
        kRecorded,
        stage.token_rows.subspan(static_cast<std::size_t>(row0), static_cast<std::size_t>(count)),
        x.matrix());
    std::vector<tensor::Tensor> outputs;
    std::vector<tensor::MatrixView> views;
    for (std::size_t i = 0; i < expert.in.size(); ++i) {
      outputs.push_back(
          backend_.memory().allocate({count, expert.in[i].out_features}, tensor::Dtype::kF32));
      views.push_back(outputs.back().matrix());
      const auto bias = source_.bias(expert.in[i]);
      backend_.linalg().linear(x.matrix(), weights[i]->matrix(), bias ? bias->as<float>() : nullptr,
                               views.back());
    }
    model::mid_of(backend_, expert, views, mid.matrix().rows_of(row0, count));
  }
  return expert_mids_.emplace(stage.site.expert, std::move(mid)).first->second;
}

}  // namespace whit::pipeline
