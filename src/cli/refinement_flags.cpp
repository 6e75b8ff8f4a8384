#include "cli/refinement_flags.h"

#include <CLI/CLI.hpp>

#include "base/error.h"

namespace whit::cli {

void declare_refinement_flags(CLI::App& app, RefinementFlags& flags) {
  app.add_option(
         "--quality", flags.quality,
         "fast: GPTQ's equations; default: also refined scales and codes, aimed at what the "
         "original model says on an eighth of the text, at 1.2 to 1.5 times the time; best: on all "
         "of it, at three to four times the time")
      ->type_name("fast|default|best")
      ->capture_default_str();
  auto& chosen = flags.chosen;
  flags.with_sign = app.add_flag("--signed-scales,!--no-signed-scales", chosen.signed_scales,
                                 "a group's scale may be negative, where that fits its longer side "
                                 "to the end of the codes' range that has one code more");
  flags.weighted = app.add_flag("--weighted-scales,!--no-weighted-scales", chosen.weighted_scales,
                                "scale search weighted by the Hessian's diagonal");
  flags.refit = app.add_flag("--refit-scales,!--no-refit-scales", chosen.refit_scales,
                             "scales by least squares after the sweep");
  flags.passes = app.add_option("--descent-passes", chosen.descent_passes,
                                "passes of coordinate descent over the codes")
                     ->type_name("N");
  flags.share = app.add_option("--teacher-share", chosen.teacher_share,
                               "how much of the difference to the original model's activations is "
                               "aimed at, 0 to 1; 0: no second stream")
                    ->type_name("X");
  flags.residual = app.add_flag("--correct-residual,!--no-correct-residual", chosen.residual,
                                "output projections correct the residual stream too");
  flags.metric = app.add_flag("--output-metric,!--no-output-metric", chosen.output_metric,
                              "attention's linears: errors weighed by what the attention's output "
                              "makes of them");
  flags.part = app.add_option("--teacher-part", chosen.teacher_part,
                              "part of the sequences that the original model sees, above 0 to 1")
                   ->type_name("X");
  flags.held_out = app.add_flag("--held-out,!--no-held-out", chosen.held_out,
                                "damping, shrinkage and the teacher's share chosen by held-out "
                                "tokens");
  flags.unquantized =
      app.add_flag("--correct-unquantized,!--no-correct-unquantized", chosen.unquantized,
                   "routers and the head (or the norm before it) aim at the original's output too");
  flags.embedding =
      app.add_flag("--correct-embedding,!--no-correct-embedding", chosen.embedding,
                   "token embeddings that are no head too aim at what the original's first layer "
                   "makes of them");
  flags.route = app.add_flag("--route-weights,!--no-route-weights", chosen.route_weights,
                             "experts' Grams weighted by the router");
  flags.lean = app.add_flag("--lean-on-layer,!--no-lean-on-layer", chosen.lean,
                            "experts' Grams and aims lean on what all tokens of the layer say");
}

pipeline::Quality quality_of(const std::string& name) {
  const auto quality = pipeline::quality_from_name(name);
  if (!quality)
    base::fail(base::ErrorKind::kUsage, "--quality", "{}; expected fast, default or best", name);
  return *quality;
}

pipeline::Refinement refinement_from(const RefinementFlags& flags) {
  pipeline::Refinement result = pipeline::refinement_of(quality_of(flags.quality));
  const auto& chosen = flags.chosen;
  if (flags.with_sign->count() > 0) result.signed_scales = chosen.signed_scales;
  if (flags.weighted->count() > 0) result.weighted_scales = chosen.weighted_scales;
  if (flags.refit->count() > 0) result.refit_scales = chosen.refit_scales;
  if (flags.passes->count() > 0) result.descent_passes = chosen.descent_passes;
  if (flags.residual->count() > 0) result.residual = chosen.residual;
  if (flags.unquantized->count() > 0) result.unquantized = chosen.unquantized;
  if (flags.embedding->count() > 0) result.embedding = chosen.embedding;
  if (flags.metric->count() > 0) result.output_metric = chosen.output_metric;
  if (flags.held_out->count() > 0) result.held_out = chosen.held_out;
  if (flags.part->count() > 0) {
    if (!(chosen.teacher_part > 0 && chosen.teacher_part <= 1))
      base::fail(base::ErrorKind::kUsage, "--teacher-part", "{}; expected above 0, at most 1",
                 chosen.teacher_part);
    result.teacher_part = chosen.teacher_part;
  }
  if (flags.route->count() > 0) result.route_weights = chosen.route_weights;
  if (flags.lean->count() > 0) result.lean = chosen.lean;
  if (flags.share->count() > 0) {
    if (!(chosen.teacher_share >= 0 && chosen.teacher_share <= 1))
      base::fail(base::ErrorKind::kUsage, "--teacher-share", "{}; expected 0 to 1",
                 chosen.teacher_share);
    result.teacher = chosen.teacher_share > 0;
    result.teacher_share = chosen.teacher_share;
  }
  if (result.descent_passes < 0)
    base::fail(base::ErrorKind::kUsage, "--descent-passes", "{}; expected 0 or more",
               result.descent_passes);
  return result;
}

pipeline::Refinement vector_refinement_from(const RefinementFlags& flags, bool text) {
  pipeline::Refinement result = refinement_from(flags);
  if (flags.with_sign->count() == 0) result.signed_scales = false;
  if (flags.weighted->count() == 0) result.weighted_scales = false;
  if (flags.refit->count() == 0) result.refit_scales = false;
  if (flags.passes->count() == 0) result.descent_passes = 0;
  if (flags.metric->count() == 0) result.output_metric = false;
  if (flags.held_out->count() == 0) result.held_out = false;
  if (flags.lean->count() == 0) result.lean = false;
  if (flags.embedding->count() == 0) result.embedding = false;
  if (!text && flags.share->count() == 0) result.teacher = false;
  return result;
}

}  // namespace whit::cli
