#include "cli/console.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <cstdio>
#include <optional>
#include <string_view>

#include "base/memory.h"

namespace whit::cli {

namespace {

using Clock = std::chrono::steady_clock;

const base::Event::Value* field(const base::Event& event, std::string_view name) {
  for (const auto& [key, value] : event.fields)
    if (key == name) return &value;
  return nullptr;
}

std::string text_field(const base::Event& event, std::string_view name) {
  const auto* value = field(event, name);
  const auto* text = value == nullptr ? nullptr : std::get_if<std::string>(value);
  return text == nullptr ? std::string() : *text;
}

std::optional<double> number_field(const base::Event& event, std::string_view name) {
  const auto* value = field(event, name);
  if (value == nullptr) return std::nullopt;
  if (const auto* number = std::get_if<double>(value)) return *number;
  if (const auto* whole = std::get_if<std::int64_t>(value)) return static_cast<double>(*whole);
  return std::nullopt;
}

std::string value_text(const base::Event::Value& value) {
  if (const auto* text = std::get_if<std::string>(&value)) return *text;
  if (const auto* number = std::get_if<double>(&value)) return fmt::format("{:.6g}", *number);
  if (const auto* whole = std::get_if<std::int64_t>(&value)) return fmt::format("{}", *whole);
  return std::get<bool>(value) ? "true" : "false";
}

std::string event_text(const base::Event& event) {
  std::string text = event.name;
  for (const auto& [key, value] : event.fields)
    text += fmt::format(" {}={}", key, value_text(value));
  return text;
}

std::string clock_text(double seconds) {
  const auto whole = static_cast<long>(std::min(seconds, 3.6e6) + 0.5);
  return whole >= 3600 ? fmt::format("{}:{:02}:{:02}", whole / 3600, whole / 60 % 60, whole % 60)
                       : fmt::format("{}:{:02}", whole / 60, whole % 60);
}

// done and total in `unit`, whichever of the two ways the event has.
struct Progress {
  double done = 0, total = 0;
  std::string unit;
};

std::optional<Progress> progress_of(const base::Event& event) {
  for (const std::string_view suffix : {"", "_flops"}) {
    const auto done = number_field(event, fmt::format("done{}", suffix));
    const auto total = number_field(event, fmt::format("total{}", suffix));
    if (!done || !total || !(*total > 0)) continue;
    if (suffix.empty()) return Progress{*done, *total, text_field(event, "unit")};
    return Progress{*done * 1e-9, *total * 1e-9, "GFLOP"};
  }
  return std::nullopt;
}

std::string progress_text(const Progress& progress, double seconds, bool bar) {
  const double share = std::clamp(progress.done / progress.total, 0.0, 1.0);
  std::string text;
  if (bar) {
    constexpr int kWidth = 24;
    const int filled = static_cast<int>(share * kWidth);
    text = fmt::format("[{:.<{}}] ", std::string(static_cast<std::size_t>(filled), '#'), kWidth);
  }
  text += fmt::format("{:3.0f} %", 100 * share);
  if (seconds > 0.5 && progress.done > 0)
    text += fmt::format("  {:.3g} {}/s  ETA {}", progress.done / seconds, progress.unit,
                        clock_text(seconds * (1 - share) / std::max(share, 1e-9)));
  return text + fmt::format("  {}", base::format_bytes(base::resident_bytes()));
}

}  // namespace

Console::Console(Verbosity verbosity, bool terminal)
    : verbosity_(verbosity),
      terminal_(terminal),
      stage_start_(Clock::now()),
      last_shown_(Clock::now()) {}

Console::~Console() {
  clear_bar();
}

void Console::emit(const base::Event& event) {
  const std::lock_guard lock(mutex_);
  if (verbosity_ == Verbosity::kQuiet) return;
  if (event.name == "progress") {
    progress(event);
  } else if (event.name == "warning") {
    line("whit: warning: " + text_field(event, "text"));
  } else if (event.name == "note") {
    line("whit: note: " + text_field(event, "text"));
  } else if (verbosity_ == Verbosity::kVerbose) {
    line("whit: " + event_text(event));
  } else if (event.name == "step" && !terminal_) {
    line(fmt::format("whit: {} ({} of {})", text_field(event, "name"),
                     number_field(event, "index").value_or(0) + 1,
                     number_field(event, "count").value_or(0)));
  } else if (event.name == "step") {
    stage_ = text_field(event, "name");
  }
}

void Console::progress(const base::Event& event) {
  const auto now = Clock::now();
  const auto progress = progress_of(event);
  if (!progress) return;
  if (const auto stage = text_field(event, "stage"); !stage.empty() && stage != stage_) {
    stage_ = stage;
    stage_start_ = now;
  }
  const double pause = terminal_ ? 0.1 : 10.0;
  if (std::chrono::duration<double>(now - last_shown_).count() < pause) return;
  last_shown_ = now;
  const double seconds = std::chrono::duration<double>(now - stage_start_).count();
  const std::string text = progress_text(*progress, seconds, terminal_);
  if (!terminal_) {
    line("whit: " + text);
    return;
  }
  fmt::print(stderr, "\r\x1b[K{}  {}", text, stage_);
  std::fflush(stderr);
  bar_shown_ = true;
}

void Console::line(const std::string& text) {
  clear_bar();
  fmt::print(stderr, "{}\n", text);
}

void Console::clear_bar() {
  if (bar_shown_) fmt::print(stderr, "\r\x1b[K");
  bar_shown_ = false;
}

}  // namespace whit::cli
