#include "formats/quantization_config.h"

#include "checkpoint/json_file.h"
#include "expect.h"

// A config that is accepted is written in a form that is accepted, and answers about any module.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto config =
        formats::parse_quantization_config(checkpoint::parse_json(text, "fuzz"), "fuzz");
    const std::string written = formats::to_json(config).dump();
    require(accepts(
        [&] { formats::parse_quantization_config(checkpoint::parse_json(written, "w"), "w"); }));
    const formats::GroupFinder finder(config);
    for (const char* module : {"lm_head", "model.layers.0.mlp.experts.3.gate_proj", ""})
      require(finder.find(module) == nullptr || !finder.ignored(module));
  });
  return 0;
}
