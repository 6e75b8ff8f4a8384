#pragma once

#include <compare>
#include <cstdint>
#include <string>
#include <string_view>

namespace whit::stats {

// A named position in a block: the hidden state that one or more linears read.
enum class Site : std::uint8_t {
  kAttnIn,     // after the input norm: q, k, v; q_a, kv_a
  kQLatent,    // MLA: after q_a_layernorm: q_b
  kKvLatent,   // MLA: after kv_a_layernorm: kv_b
  kAttnOut,    // concatenated heads: o
  kMlpIn,      // after the post-attention norm: gate, up, router, shared gate and up
  kMlpMid,     // act(gate) * up: down
  kSharedMid,  // the shared expert's mid: its down
  kExpertIn,   // one routed expert's tokens: its gate and up
  kExpertMid,  // one routed expert's mid: its down
  kMtpIn,      // [enorm(embedding); hnorm(hidden)]: eh_proj
  kHeadIn,     // after the final norm: lm_head
};

std::string_view name_of(Site site);  // "attn_in"

// One tap: which layer, which site, which expert (-1: none).
struct TapId {
  int layer = 0;
  Site site = Site::kAttnIn;
  int expert = -1;
  auto operator<=>(const TapId&) const = default;
};

std::string to_string(const TapId& id);  // "layer 3 expert 17 expert_mid"

}  // namespace whit::stats
