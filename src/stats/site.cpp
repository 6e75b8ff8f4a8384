#include "stats/site.h"

#include <fmt/format.h>

#include <array>

namespace whit::stats {

namespace {

constexpr std::array<std::string_view, 11> kNames{
    "attn_in",    "q_latent",  "kv_latent",  "attn_out", "mlp_in", "mlp_mid",
    "shared_mid", "expert_in", "expert_mid", "mtp_in",   "head_in"};

}  // namespace

std::string_view name_of(Site site) {
  return kNames.at(static_cast<std::size_t>(site));
}

std::string to_string(const TapId& id) {
  if (id.expert < 0) return fmt::format("layer {} {}", id.layer, name_of(id.site));
  return fmt::format("layer {} expert {} {}", id.layer, id.expert, name_of(id.site));
}

}  // namespace whit::stats
