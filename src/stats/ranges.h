#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

// How far tensors reach, as FP8 calibration measures it: maxima of magnitudes, typed by the
// operation that they belong to, so that merging the ranks of a job knows what each number is of.
namespace whit::stats {

// Largest magnitudes of one tensor: one number, or one per channel. Never empty.
using Range = std::vector<double>;

// What an operation's inputs and outputs are.
enum class OpType : std::uint8_t {
  kLinear,             // x
  kRowParallelLinear,  // x; out: the rank's partial product, the sum over ranks
  kMatmul,             // x, y
  kBatchMatmul,        // a 0/1 mapping, y; out
  kKvCache,            // new rows
  kSoftmax,            // out: probabilities
  kFusedSdpa,          // q, k, v; out: result, probabilities
  kMoe,                // hidden states; out: result, then each expert's intermediate
};
std::string_view name_of(OpType op);  // "fused_sdpa"

struct OpRanges {
  OpType op = OpType::kLinear;
  std::vector<Range> inputs;
  std::optional<std::vector<Range>> outputs;  // where they were measured
  std::map<std::string, Range> params;        // "weight"
  bool operator==(const OpRanges&) const = default;
};

// One routed expert: what lies between its two matrices, and the matrices by the list they are in.
struct ExpertRanges {
  std::optional<Range> intermediate;
  std::map<std::string, OpRanges> matrices;  // "w13_list"
  bool operator==(const ExpertRanges&) const = default;
};

// The experts of one layer that one rank holds. `slices`: the operations that they are served by,
// each with its equal share of them in order; inputs and one output each. Without slices only
// matrices were measured.
struct MoeRanges {
  std::vector<OpRanges> slices;
  std::int64_t first_expert = 0;  // the layer's number of experts[0]
  // The file itself says so; else it is where the ranks before this one end.
  bool numbered = false;
  std::vector<ExpertRanges> experts;
  bool operator==(const MoeRanges&) const = default;
};

// What one rank measured. `order`: names of ops and moes as the model has them.
struct RankRanges {
  int rank = 0;
  int world = 1;
  std::vector<std::string> order;
  std::map<std::string, OpRanges> ops;
  std::map<std::string, MoeRanges> moes;
};

// How the ranks of a job share the experts of a layer.
enum class ExpertPlacement : std::uint8_t {
  kTensor,  // each holds a part of every expert
  kExpert,  // each holds some experts whole
};

struct PlacementFinding {
  ExpertPlacement placement = ExpertPlacement::kTensor;
  std::string reason;  // what in the measurements says so
  bool experts = false;
};

// Tells placements apart by the experts' weights: parts on several ranks that are called expert 0
// and reach equally far are one expert, else they are different ones. Errors: kUsage where
// nothing tells.
PlacementFinding find_placement(const std::vector<RankRanges>& ranks);

// An expert that no token reached in calibration.
struct UnseenExpert {
  int rank = 0;
  std::string moe;
  std::int64_t expert = 0;  // the layer's number
};

// Gives each rank's experts, where its file did not, the numbers that follow on those of the ranks
// before it.
void number_experts(std::vector<RankRanges>& ranks);

struct Unified {
  std::vector<RankRanges> ranks;
  std::vector<std::string> incomplete;  // names that some ranks lack
  std::vector<UnseenExpert> unseen;
};

// Merges the ranks of a job, given in order, into fewer: contiguous groups, the union of their
// names. Ranges by maximum; experts by maximum or by their numbers. Errors: kUsage where `target`
// does not divide their number or is not smaller; kInput (subject: the name) where ranks disagree
// about how many tensors, channels or experts there are.
Unified unify(std::vector<RankRanges> ranks, int target, ExpertPlacement placement);

// One rank's ranges for `world` ranks that share the experts: each gets its own, numbered, and all
// the rest. Errors: kInput (subject: the layer) where the experts cannot be shared evenly.
std::vector<RankRanges> expand(const RankRanges& whole, int world);

std::vector<UnseenExpert> unseen_experts(const RankRanges& rank);

// Products of attention that read a cache get the range of what was cached: engines that decode
// measure whatever lies in slots that nobody wrote. By names in one module, whatever stands before
// them: matmul_qk reads k_cache, matmul_av v_cache, both latent_cache_k. Returns the products whose
// range was another. Source: vllm-gaudi, step-3-postprocess_measure.
std::vector<std::string> link_caches(RankRanges& rank);

}  // namespace whit::stats
