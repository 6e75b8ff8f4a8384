// Token embeddings move to where the quantized first layer says what the original's says.
#include "pipeline/embedding_refit.h"

#include <algorithm>
#include <cmath>

#include "formats/verify.h"
#include "model/inventory.h"
#include "pipeline/output_weights.h"
#include "pipeline/pipeline_demo.h"

namespace whit::pipeline {
namespace {

class EmbeddingRefitTest : public DemoJob {
 protected:
  static Recipe with_embedding(Recipe recipe) {
    recipe.refinement.teacher = true;
    recipe.refinement.embedding = true;
    return recipe;
  }

  static model::Sequences sequences_of(std::uint32_t state) {
    model::Sequences sequences;
    for (int s = 0; s < 4; ++s) {
      std::vector<std::int32_t> ids{0};
      for (int i = 1; i < 64; ++i) {
        state = state * 1664525 + 1013904223;
        ids.push_back(static_cast<std::int32_t>(state >> 8) % 4096);
      }
      sequences.append(ids);
    }
    return sequences;
  }

  // What the first layer makes of `ids`.
  static std::vector<float> first_layer(compute::Backend& backend, const Plan& plan,
                                        model::WeightSource& weights, const model::Sequences& ids) {
    const auto store = model::make_memory_store(backend);
    const auto runner = model::make_plain_runner(backend, weights);
    model::ForwardContext context{backend, weights, *store, ids, *runner};
    model::forward_embedding(context, plan.spec);
    model::forward_layer(context, plan.spec.layers.front());
    const auto lease =
        store->lease(model::Slot::kHidden, 0, ids.tokens(), model::ActivationStore::Access::kRead);
    tensor::Tensor stream({ids.tokens(), plan.spec.hidden}, tensor::Dtype::kF32);
    backend.memory().copy(lease->view(), stream.matrix());
    return tensor::to_f32_vector(stream.view());
  }

  static double distance(const std::vector<float>& a, const std::vector<float>& b) {
    double sum = 0;
    for (std::size_t i = 0; i < a.size(); ++i)
      sum += std::pow(static_cast<double>(a[i]) - static_cast<double>(b[i]), 2);
    return sum;
  }
};

TEST_F(EmbeddingRefitTest, TextThatItNeverSawComesNearer) {
  const Recipe moved = with_embedding(recipe());
  quantize("out", moved);
  const auto source = demo();
  const auto written = checkpoint::Checkpoint::open(folder_ / "out");
  for (const auto& check : formats::verify(written, &source))
    EXPECT_TRUE(check.ok) << check.name << ": " << check.detail;

  const auto backend = compute::make_cpu_backend(2);
  const auto plan = make_plan(source, moved);
  ASSERT_TRUE(plan->refits(plan->spec.embedding.weight()));
  const auto original = model::make_checkpoint_weights(source, *backend);
  const auto table = model::make_checkpoint_weights(written, *backend);
  OutputWeights output(*plan, *original, *backend);
  const auto quantized = make_resumed_weights(*plan, output, written, *backend);
  const auto ids = sequences_of(7);
  const auto wanted = first_layer(*backend, *plan, *original, ids);
  const double before = distance(first_layer(*backend, *plan, *quantized, ids), wanted);
  output.replace_table(table->table(plan->spec.embedding));
  const double after = distance(first_layer(*backend, *plan, *quantized, ids), wanted);
  EXPECT_LT(after, 0.9 * before);

  // The token that sequences begin with is the one row that stays.
  const auto stored = tensor::to_f32_vector(source.view(plan->spec.embedding.weight()));
  const auto rows = tensor::to_f32_vector(written.view(plan->spec.embedding.weight()));
  std::int64_t same = 0;
  for (std::int64_t id = 0; id < plan->spec.vocabulary; ++id) {
    const auto first = id * plan->spec.hidden;
    same += std::equal(rows.begin() + first, rows.begin() + first + plan->spec.hidden,
                       stored.begin() + first)
                ? 1
                : 0;
  }
  EXPECT_LT(same, plan->spec.vocabulary / 100);
}

TEST_F(EmbeddingRefitTest, SameBytesStoppedAnywhereForAnyThreadsAndMemory) {
  const Recipe moved = with_embedding(recipe());
  quantize("whole", moved, ExistingOutput::kRefuse, 1);
  Recipe in_file = moved;
  in_file.offload_activations = true;
  for (const int weights : {9, 60}) {  // just behind the first layer, further on
    const std::string out = "stopped" + std::to_string(weights);
    stop(out, in_file, weights, 3);
    quantize(out, in_file, ExistingOutput::kResume);
    EXPECT_EQ(hashes("whole"), hashes(out)) << weights;
  }
}

TEST_F(EmbeddingRefitTest, NothingMovesWhereItCannotBeRight) {
  const auto source = demo();
  EXPECT_FALSE(make_plan(source, recipe())->refits("model.embed_tokens.weight"));
  Recipe experts = with_embedding(recipe());
  experts.only_experts = true;  // the first layer loses nothing
  EXPECT_FALSE(make_plan(source, experts)->refits("model.embed_tokens.weight"));

  model::ModelSpec spec = model::load_spec(source);
  EXPECT_TRUE(can_refit_embedding(spec));
  spec.tied = true;
  EXPECT_FALSE(can_refit_embedding(spec));
  spec.tied = false;
  spec.embedding_scale = 2;
  EXPECT_FALSE(can_refit_embedding(spec));
  spec.embedding_scale = 1;
  spec.layers.erase(spec.layers.begin());  // a mixture comes first
  EXPECT_FALSE(can_refit_embedding(spec));
}

}  // namespace
}  // namespace whit::pipeline
