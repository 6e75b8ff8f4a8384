#pragma once

#include <chrono>
#include <cstdio>
#include <memory>
#include <mutex>
#include <string>
#include <vector>

#include "base/event.h"

namespace whit::cli {

// Writes events to a file as they come, one JSON object a line: {"event", "elapsed_seconds", ...}.
// Errors: kResource, subject = path.
class EventLog final : public base::EventSink {
 public:
  explicit EventLog(const std::string& path);
  void emit(const base::Event& event) override;

 private:
  std::mutex mutex_;
  std::string path_;
  std::unique_ptr<std::FILE, int (*)(std::FILE*)> file_;
  std::chrono::steady_clock::time_point start_;
};

// Passes every event on to each of its sinks.
class FanOut final : public base::EventSink {
 public:
  void add(base::EventSink& sink) { sinks_.push_back(&sink); }
  void emit(const base::Event& event) override {
    for (auto* sink : sinks_) sink->emit(event);
  }

 private:
  std::vector<base::EventSink*> sinks_;
};

}  // namespace whit::cli
