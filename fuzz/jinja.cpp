#include "expect.h"
#include "jinja/json.h"
#include "jinja/template.h"

// A template of any bytes renders some chat, or is refused, within small limits.
extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  using namespace whit::jinja;
  static const Value kVariables = parse_json(
      R"({"messages": [{"role": "system", "content": "Be é."},
                       {"role": "user", "content": [{"type": "text", "text": " a\nb<c> "}]},
                       {"role": "assistant", "content": "", "tool_calls": [
                         {"function": {"name": "f", "arguments": {"x": 1, "y": [2.5, null]}}}]}],
          "tools": [{"function": {"name": "f", "parameters": {"type": "object"}}}],
          "bos_token": "<s>", "add_generation_prompt": true, "x": 3, "s": "text", "n": -0.5})",
      "variables");
  Limits limits;
  limits.steps = 200'000;
  limits.value_bytes = 1'000'000;
  limits.memory_bytes = 8'000'000;
  limits.output_bytes = 4'000'000;
  const std::string_view source(reinterpret_cast<const char*>(data), size);
  accepts([&] {
    const Template chat(source, "fuzz", limits);
    std::tm date{};
    date.tm_year = 120;
    date.tm_mday = 1;
    std::string text;
    if (accepts([&] { text = chat.render(kVariables.dict(), date); }))
      require(text.size() <= limits.output_bytes && text == chat.render(kVariables.dict(), date));
  });
  return 0;
}
