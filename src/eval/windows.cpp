#include "eval/windows.h"

#include <algorithm>

#include "base/error.h"

namespace whit::eval {

BosMode bos_mode(std::string_view name) {
  if (name == "once") return BosMode::kOnce;
  if (name == "window") return BosMode::kWindow;
  if (name == "never") return BosMode::kNever;
  base::fail(base::ErrorKind::kUsage, "--bos", "{}; expected once, window or never", name);
}

std::vector<Window> cut_windows(std::span<const text::TokenId> text,
                                std::optional<text::TokenId> bos, const WindowArgs& args) {
  using base::ErrorKind;
  const bool bos_each = args.bos == BosMode::kWindow;
  if (args.window < 2)
    base::fail(ErrorKind::kUsage, "--window", "{}; expected 2 or more tokens", args.window);
  if (args.bos != BosMode::kNever && !bos)
    base::fail(ErrorKind::kUsage, "--bos", "the model has no BOS token; expected never");

  const std::int64_t own = args.window - (bos_each ? 1 : 0);  // text tokens of a window
  Window stream;
  if (args.bos == BosMode::kOnce) stream.push_back(*bos);
  stream.insert(stream.end(), text.begin(), text.end());
  auto left = static_cast<std::int64_t>(stream.size());
  if (args.max_tokens > 0) {
    const std::int64_t rest = args.max_tokens % args.window - (bos_each ? 1 : 0);
    left = std::min(left, args.max_tokens / args.window * own + std::max<std::int64_t>(rest, 0));
  }

  std::vector<Window> windows;
  std::int64_t taken = 0;
  do {
    const std::int64_t count = std::min(own, left - taken);
    Window window;
    if (bos_each) window.push_back(*bos);
    window.insert(window.end(), stream.begin() + taken, stream.begin() + taken + count);
    windows.push_back(std::move(window));
    taken += count;
  } while (left - taken >= own);
  if (windows.front().size() < 2)
    base::fail(ErrorKind::kInput, "--text", "{} tokens; expected at least 2",
               windows.front().size());
  return windows;
}

}  // namespace whit::eval
