#include "cli/vptq_flags.h"

#include <CLI/CLI.hpp>
#include <algorithm>

#include "base/error.h"
#include "cli/choose.h"
#include "pipeline/vptq_recipe.h"

namespace whit::cli {

namespace {

std::int64_t or_zero(const std::vector<std::int64_t>& pair, std::size_t i) {
  return pair.size() == 2 ? std::max<std::int64_t>(pair[i], 0) : 0;
}

void declare_vptq_kmeans(CLI::App& app, VptqFlags& flags) {
  app.add_option("--kiter", flags.iterations, "vptq: iterations of k-means at most")
      ->type_name("N")
      ->capture_default_str();
  app.add_option("--ktol", flags.tolerance,
                 "vptq: k-means ends where the squared moves of all centroids sum to less")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--kmeans-stop", flags.least_gain,
                 "vptq: and where an iteration gains less than this part; 0: never")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--kmeans-start", flags.start, "vptq: vectors drawn at random, or by k-means++")
      ->type_name("sample|++")
      ->capture_default_str();
  app.add_option("--kmeans-mode", flags.mode, "vptq: hessian, vectors weighed by H's diagonal")
      ->type_name("hessian")
      ->capture_default_str();
}

}  // namespace

void declare_vptq_flags(CLI::App& app, VptqFlags& flags) {
  app.add_option("--vector-lens", flags.lengths,
                 "vptq: rows that share an index, of outlier columns and of the others; left out "
                 "with the codebooks: chosen for --bits")
      ->type_name("N N")
      ->expected(2);
  app.add_option("--num-centroids", flags.centroids,
                 "vptq: entries of their codebooks, powers of two; -1: none")
      ->type_name("N N")
      ->expected(2);
  app.add_option("--num-res-centroids", flags.residuals,
                 "vptq: entries of a second codebook for what the first leaves; -1: none")
      ->type_name("N N")
      ->expected(2);
  app.add_option("--npercent", flags.outlier_percent,
                 "vptq: outliers, in percent of the columns, those with the largest inputs")
      ->type_name("X")
      ->capture_default_str();
  app.add_option("--group-num", flags.groups, "vptq: ranges of columns with codebooks of their own")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--enable-norm", flags.norm, "vptq: a scale and an offset for every column");
  app.add_option("--norm-dim", flags.norm_dim, "vptq: 0, the only one that loaders read")
      ->type_name("N")
      ->capture_default_str();
  app.add_flag("--enable-perm", flags.permute, "vptq: columns by their inputs, largest first");
  app.add_flag("--keep-perm,!--absorb-perm", flags.keep_order,
               "vptq: store the order of the columns, instead of the indices in their own order");
  declare_vptq_kmeans(app, flags);
  app.add_flag("--save-packed-model", flags.packed, "vptq: what is written in any case");
  app.add_option("--hessian-path", flags.hessians,
                 "vptq: VPTQ's Hessians (LAYER_qkv.pt ...) instead of calibration text")
      ->type_name("DIR");
  app.add_option(
         "--inv-hessian-path", flags.inverses,
         "vptq: its factors of their inverses; whit finds its own, and refuses files that are "
         "of other Hessians")
      ->type_name("DIR");
  app.add_option("--norm-metric", flags.metric,
                 "vptq: whether H follows the norm, or stays plain as in VPTQ's code")
      ->type_name("folded|plain")
      ->capture_default_str();
  app.add_option("--beam", flags.beam, "vptq: centroids that are each tried with their residual")
      ->type_name("N")
      ->capture_default_str();
  app.add_option(
         "--rounds", flags.rounds,
         "vptq: turns of better codes and better codebooks; 0: VPTQ alone; left out: 0, 8 or "
         "16, as --quality is fast, default or best")
      ->type_name("N");
}

pipeline::VptqRecipe vptq_from(const VptqFlags& flags, const VptqContext& context) {
  using base::ErrorKind;
  const std::int64_t group_size = context.group_size;
  pipeline::VptqRecipe vptq;
  if (flags.norm_dim != 0)
    base::fail(ErrorKind::kUnsupported, "--norm-dim", "{}; expected 0, which loaders read",
               flags.norm_dim);
  if (flags.mode != "hessian")
    base::fail(ErrorKind::kUnsupported, "--kmeans-mode", "{}; expected hessian", flags.mode);
  const bool sized = !flags.lengths.empty() || !flags.centroids.empty();
  if (sized && (flags.lengths.empty() || flags.centroids.empty()))
    base::fail(ErrorKind::kUsage, flags.lengths.empty() ? "--vector-lens" : "--num-centroids",
               "absent; expected both --vector-lens and --num-centroids, or neither");
  if (!sized && !flags.residuals.empty())
    base::fail(ErrorKind::kUsage, "--num-res-centroids",
               "without --vector-lens and --num-centroids; expected all three");
  if (!sized) vptq.bits = context.bits;
  if (!sized && (flags.outlier_percent > 0 || flags.groups != 1 || group_size > 0))
    base::fail(ErrorKind::kUsage, "--bits",
               "with outliers or groups; expected --vector-lens and --num-centroids with them");
  if (or_zero(flags.residuals, 0) > 0)
    base::fail(ErrorKind::kUnsupported, "--num-res-centroids",
               "{} for outliers, which VPTQ's format does not hold; expected -1",
               flags.residuals[0]);
  if (!flags.inverses.empty() && flags.hessians.empty())
    base::fail(ErrorKind::kUsage, "--inv-hessian-path",
               "without --hessian-path; expected the Hessians, whose inverse is found anew");
  vptq.hessians = flags.hessians;
  vptq.inverses = flags.inverses;
  vptq.layout.length = or_zero(flags.lengths, 1);
  vptq.layout.centroids = or_zero(flags.centroids, 1);
  vptq.layout.residuals = or_zero(flags.residuals, 1);
  vptq.layout.outlier_length = or_zero(flags.lengths, 0);
  vptq.layout.outlier_centroids = or_zero(flags.centroids, 0);
  vptq.layout.groups = flags.groups == -1 && group_size > 0 ? 1 : flags.groups;
  vptq.group_size = std::max<std::int64_t>(group_size, 0);
  vptq.outlier_percent = flags.outlier_percent;
  vptq.layout.normed = flags.norm;
  vptq.permute = flags.permute || !sized;
  vptq.absorb = !flags.keep_order;
  vptq.fold_norm =
      choose<bool>(flags.metric, "--norm-metric", {{"folded", true}, {"plain", false}});
  vptq.kmeans.iterations = flags.iterations;
  vptq.kmeans.tolerance = flags.tolerance;
  vptq.kmeans.least_gain = flags.least_gain;
  vptq.kmeans.start = choose<quant::KMeansStart>(
      flags.start, "--kmeans-start",
      {{"sample", quant::KMeansStart::kSample}, {"++", quant::KMeansStart::kPlusPlus}});
  vptq.kmeans.seed = context.seed;
  vptq.beam = flags.beam;
  vptq.rounds = flags.rounds.value_or(pipeline::rounds_of(context.quality));
  return vptq;
}

}  // namespace whit::cli
