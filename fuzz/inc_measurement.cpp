#include "formats/inc_measurement.h"

#include "expect.h"
#include "formats/inc_scales.h"

// A measurement, or scales, in JSON: what is accepted is written as something that is read alike.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit;
  const std::string_view text(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const auto tree = formats::parse_inc_json(text, "fuzz.json");
    accepts([&] {
      const auto measurement = formats::read_measurement(tree, {0, 2}, "fuzz.json");
      const auto written = formats::to_inc_json(formats::to_tree(measurement, 0));
      const auto again =
          formats::read_measurement(formats::parse_inc_json(written, "written"), {0, 2}, "written");
      require(again.ranges.order.size() == measurement.ranges.order.size());
    });
    accepts([&] {
      const auto scales = formats::read_scale_file(tree, "fuzz.json");
      const auto again = formats::read_scale_file(formats::to_tree(scales), "written");
      require(again.modules == scales.modules);
    });
  });
  return 0;
}
