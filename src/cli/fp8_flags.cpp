#include "cli/fp8_flags.h"

#include <CLI/CLI.hpp>

#include "cli/choose.h"

namespace whit::cli {

void declare_fp8_flags(CLI::App& app, Fp8Flags& flags) {
  app.add_option("--weight-scales", flags.weight_scales,
                 "fp8: one scale a tensor, channel or block of 128 x 128; left out: channel, of "
                 "static activations tensor, of hf-fp8 block")
      ->type_name("tensor|channel|block");
  app.add_option("--activations", flags.activations,
                 "fp8: what linears read is rounded too, with scales per token at run time, or one "
                 "a linear from calibration; left out: dynamic")
      ->type_name("dynamic|static|none");
  app.add_option("--kv-cache", flags.kv_cache, "fp8: scales for a KV cache in FP8 too")
      ->type_name("fp8|none")
      ->capture_default_str();
  app.add_option("--target", flags.target, "fp8: gaudi2's codes end at 240, other's at 448")
      ->type_name("generic|gaudi2|gaudi3")
      ->capture_default_str();
  app.add_option("--fp8-format", flags.fp8_format, "fp8: the codes")
      ->type_name("e4m3|e5m2")
      ->capture_default_str();
  app.add_option("--scale-method", flags.scale_method,
                 "fp8: one of INC's ways from maxima to scales; left out: the maximum becomes the "
                 "largest code")
      ->type_name("NAME");
  app.add_option("--measurements", flags.measurements,
                 "fp8: maxima from INC's measurement files, instead of calibration text")
      ->type_name("DIR");
}

pipeline::Fp8Recipe fp8_from(const Fp8Flags& flags) {
  using pipeline::Fp8Activations;
  using scheme::Fp8Device;
  using scheme::Strategy;
  pipeline::Fp8Recipe fp8;
  if (!flags.weight_scales.empty())
    fp8.strategy = choose<Strategy>(flags.weight_scales, "--weight-scales",
                                    {{"tensor", Strategy::kTensor},
                                     {"channel", Strategy::kChannel},
                                     {"block", Strategy::kBlock}});
  if (!flags.activations.empty())
    fp8.activations = choose<Fp8Activations>(flags.activations, "--activations",
                                             {{"dynamic", Fp8Activations::kDynamic},
                                              {"static", Fp8Activations::kStatic},
                                              {"none", Fp8Activations::kNone}});
  fp8.kv_cache = choose<bool>(flags.kv_cache, "--kv-cache", {{"fp8", true}, {"none", false}});
  fp8.target.device = choose<Fp8Device>(flags.target, "--target",
                                        {{"generic", Fp8Device::kGeneric},
                                         {"gaudi2", Fp8Device::kGaudi2},
                                         {"gaudi3", Fp8Device::kGaudi3}});
  fp8.target.format = choose<scheme::Fp8Format>(
      flags.fp8_format, "--fp8-format",
      {{"e4m3", scheme::Fp8Format::kE4M3}, {"e5m2", scheme::Fp8Format::kE5M2}});
  for (const char c : flags.scale_method)
    fp8.scale_method += static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
  fp8.measurements = flags.measurements;
  return fp8;
}

}  // namespace whit::cli
