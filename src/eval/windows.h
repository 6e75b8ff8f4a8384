#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "text/tokenizer.h"

namespace whit::eval {

enum class BosMode : std::uint8_t { kOnce, kWindow, kNever };
// "once", "window", "never". Errors: kUsage, subject = --bos.
BosMode bos_mode(std::string_view name);

struct WindowArgs {
  std::int64_t window = 512;
  std::int64_t max_tokens = 0;  // 0: all; BOS tokens count
  BosMode bos = BosMode::kOnce;
};

using Window = std::vector<text::TokenId>;

// Cuts a text into windows that do not overlap; the rest that fills no window is left out, unless
// it is all there is. kOnce: BOS before the text; kWindow: BOS before each window, inside its
// length. Errors: kUsage where a window is shorter than 2 tokens; kInput where fewer than 2 tokens
// are left.
std::vector<Window> cut_windows(std::span<const text::TokenId> text,
                                std::optional<text::TokenId> bos, const WindowArgs& args);

}  // namespace whit::eval
