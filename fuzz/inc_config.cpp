#include "formats/inc_config.h"

#include "checkpoint/json_file.h"
#include "expect.h"
#include "formats/inc_modules.h"

// A config that is accepted answers about any module.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto config =
        formats::parse_inc_config(checkpoint::parse_ordered_json(text, "fuzz"), "fuzz");
    const formats::IncSelection selection(config, "fuzz");
    for (const char* module : {"lm_head", "model.layers.3.mlp.gate", ""}) {
      accepts([&] { selection.selects(module, "Linear"); });
      config.methods.of(module, "Linear");
    }
    accepts([&] { formats::resolve_dump_path(config, "folder/config.json"); });
  });
  return 0;
}
