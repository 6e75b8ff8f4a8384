#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "compute/backend.h"
#include "numeric/dtype.h"
#include "stats/site.h"
#include "tensor/tensor.h"

// What a model is made of, as data. An architecture is one function from config.json to this.
namespace whit::model {

enum class Role : std::uint8_t {
  kEmbedding,
  kPositions,
  kEmbeddingProj,
  kHeadProj,
  kHead,
  kNorm,
  kRouter,
  kRouterBias,
  kMtpProj,
  kAttnQ,
  kAttnK,
  kAttnV,
  kAttnQkv,
  kAttnO,
  kAttnQA,
  kAttnQB,
  kAttnKvA,
  kAttnKvB,
  kMlpGate,
  kMlpUp,
  kMlpGateUp,
  kMlpDown,
  kSharedGate,
};

std::string_view name_of(Role role);  // "attn_q"

// y = x Wᵀ + b. `module` is the checkpoint's name without ".weight".
struct LinearSpec {
  std::string module;
  Role role = Role::kMlpGate;
  std::int64_t out_features = 0;
  std::int64_t in_features = 0;
  bool bias = false;
  stats::TapId reads;       // the hidden state that it reads; linears that share it share its Gram
  bool quantizable = true;  // false: embedding, head, router, eh_proj
  bool transposed = false;  // stored as [in, out]

  std::string weight() const { return module + ".weight"; }
};

// The shape of a linear's weight in the files.
tensor::Shape stored_shape(const LinearSpec& linear);

// A 1-D tensor, used in fp32.
struct VectorSpec {
  std::string name;
  Role role = Role::kNorm;
  std::int64_t size = 0;
  float offset = 0;  // added to what is stored: Gemma's norms hold w - 1
};

enum class NormKind : std::uint8_t { kRms, kLayer };

struct NormSpec {
  VectorSpec weight;  // without a name: none is stored, it counts as ones
  float eps = 1e-6F;
  NormKind kind = NormKind::kRms;
  std::optional<VectorSpec> bias;
};

// Rotary embedding, fully resolved: inv_freq holds every scaling that does not depend on length.
struct RopeSpec {
  std::int64_t dim = 0;           // rotated columns, the first of a head (2R); 0: none
  bool interleaved = false;       // pairs (2i, 2i+1), else (i, i+R)
  std::vector<double> inv_freq;   // R entries
  double attention_factor = 1.0;  // multiplies cos and sin
  double theta = 10000.0;
  double dynamic_factor = 0;          // > 0: dynamic NTK beyond max_position
  std::vector<double> long_inv_freq;  // LongRoPE: instead of inv_freq beyond max_position
  std::int64_t max_position = 0;

  // Whether frequencies turn on how long a sequence is so far.
  bool by_length() const { return dynamic_factor > 0 || !long_inv_freq.empty(); }
};

// How the rows of queries, keys and values lie in the linears that make them.
enum class QkvLayout : std::uint8_t {
  kSeparate,  // three linears: q, k, v
  kBlocks,    // one: all queries, then all keys, then all values
  kGroups,    // one: for each key head its queries, its key, its value
};

// Attention with linear biases (arXiv:2108.12409): head h adds slopes[h] * j * scale to the scaled
// score of the key at position j.
struct AlibiSpec {
  std::vector<float> slopes;  // one a head; empty: none
  float scale = 1;
  bool in_bf16 = false;  // slopes, positions and their products are rounded to BF16
};

struct GqaSpec {
  std::vector<LinearSpec> qkv;  // three or one, by layout
  QkvLayout layout = QkvLayout::kSeparate;
  LinearSpec o;
  // Before rotation; of every head, or of all of them together, as the size says.
  std::optional<NormSpec> q_norm, k_norm;
  std::int64_t heads = 1, kv_heads = 1, head_dim = 64;
  float scale = 1;
  float softcap = 0;        // of the scores; 0: none
  std::int64_t window = 0;  // keys that a query sees, its own included; 0: all before it
  RopeSpec rope;
  AlibiSpec alibi;

  std::int64_t q_width() const { return heads * head_dim; }
  std::int64_t kv_width() const { return kv_heads * head_dim; }
};

struct MlaSpec {
  std::optional<LinearSpec> q_a;  // absent: q_b reads the attention input itself (q_proj)
  std::optional<NormSpec> q_a_norm;
  LinearSpec q_b;
  LinearSpec kv_a;
  NormSpec kv_a_norm;
  LinearSpec kv_b;
  LinearSpec o;
  std::int64_t heads = 1, nope_dim = 128, rope_dim = 64, v_dim = 128, kv_rank = 512;
  float scale = 1;
  RopeSpec rope;
};

// down(act(gate x) * up x), or down(act(in x)) where it is not gated.
struct MlpSpec {
  // gate and up; one linear with gate's rows before up's; or, not gated, the one.
  std::vector<LinearSpec> in;
  LinearSpec down;
  bool gated = true;
  compute::Activation activation = compute::Activation::kSilu;
};

struct RouterSpec {
  LinearSpec weight;
  std::optional<VectorSpec> bias;  // e_score_correction_bias
  std::int64_t top_k = 1, groups = 1, groups_kept = 1;
  std::int64_t group_best = 2;  // a group ranks by the sum of so many of its best scores
  compute::RouterScore score = compute::RouterScore::kSigmoid;
  bool renormalize = true;
  float scaling = 1;
};

struct MoeSpec {
  RouterSpec router;
  std::vector<MlpSpec> experts;
  std::optional<MlpSpec> shared;
  std::optional<LinearSpec> shared_gate;  // [1,H]: its sigmoid weighs the shared expert's output
};

// The multi-token-prediction entry of a layer: h' = eh_proj([enorm(embed(t_{i+1})); hnorm(h_i)]).
struct MtpSpec {
  NormSpec enorm, hnorm;
  LinearSpec eh_proj;
  NormSpec head_norm;              // shared_head.norm
  std::optional<LinearSpec> head;  // shared_head.head where stored
  std::optional<LinearSpec> embedding;
};

// Where a layer's norms stand; h is the residual stream and f a half of the layer.
enum class NormPlace : std::uint8_t {
  kInput,   // h += f(norm h)
  kStream,  // h = norm h, then h += f(h)
  kSum,     // h = norm(h + f(h))
};

struct LayerSpec {
  int index = 0;
  std::string prefix;  // "model.layers.3."
  NormPlace norm_place = NormPlace::kInput;
  // Both halves read the layer's input; the MLP's norm is attention's where it has none of its own.
  bool parallel = false;
  std::optional<NormSpec> attention_norm, mlp_norm;  // of what each half reads
  // Of each half's output, before it is added.
  std::optional<NormSpec> attention_out_norm, mlp_out_norm;
  float residual_scale = 1;  // multiplies each half's output as it is added
  std::variant<GqaSpec, MlaSpec> attention;
  std::variant<MlpSpec, MoeSpec> mlp;
  std::optional<MtpSpec> mtp;
};

struct ModelSpec {
  std::string architecture;  // model_type of config.json
  std::int64_t vocabulary = 0, hidden = 0, max_position = 0;
  std::string base_prefix;  // of every name but the head's; a file may leave it away
  LinearSpec embedding;     // [vocabulary, hidden], or narrower before embedding_proj
  std::optional<LinearSpec> embedding_proj;  // widens the embedding to hidden
  float embedding_scale = 1;                 // multiplies the embedding of every token
  std::optional<LinearSpec> positions;       // one learned row a position, added to the embedding
  std::int64_t first_position = 0;           // the row of position 0
  std::optional<NormSpec> embedding_norm;    // then
  std::optional<NormSpec> final_norm;
  std::optional<LinearSpec> head_proj;    // narrows what the head reads
  LinearSpec head;                        // its module equals the embedding's where they are tied
  std::string head_module;                // the name of the head in the files, e.g. "lm_head"
  std::vector<std::string> head_aliases;  // names that files have given it
  bool tied = false;
  float logit_scale = 1;              // multiplies the head's output
  float logit_softcap = 0;            // then: cap * tanh(logit / cap); 0: none
  std::vector<LayerSpec> layers;      // the decoder
  std::vector<LayerSpec> mtp_layers;  // calibrated as further layers
  std::vector<std::string>
      ignored_buffers;  // suffixes of tensors to drop by name, e.g. rotary inv_freq

  std::string head_bias() const { return head_module + ".bias"; }
};

// One tensor that the checkpoint must (or may) hold.
struct TensorSpec {
  std::string name;
  Role role = Role::kNorm;
  int layer = -1;
  int expert = -1;
  tensor::Shape shape;
  bool quantizable = false;
  bool optional = false;  // e.g. a stored copy of a tied head
};

// Every tensor of the model in checkpoint order: embedding, layers, MTP layers, norm, head.
std::vector<TensorSpec> inventory(const ModelSpec& spec);

// Columns that linears of one input make together.
std::int64_t out_columns(const std::vector<LinearSpec>& linears);

// The linears outside the layers but embedding and head.
std::vector<const LinearSpec*> outer_linears(const ModelSpec& spec);

// Takes base_prefix off every name that has it.
void strip_base_prefix(ModelSpec& spec);

// Every linear of a layer, in the order in which they are evaluated.
std::vector<const LinearSpec*> linears_of(const LayerSpec& layer);

}  // namespace whit::model
