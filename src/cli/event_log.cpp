#include "cli/event_log.h"

#include <cerrno>
#include <cstring>

#include "base/error.h"
#include "report/json.h"

namespace whit::cli {

EventLog::EventLog(const std::string& path)
    : path_(path),
      file_(std::fopen(path.c_str(), "w"), &std::fclose),
      start_(std::chrono::steady_clock::now()) {
  if (!file_)
    base::fail(base::ErrorKind::kResource, path, "{}; expected a file that can be written",
               std::strerror(errno));
}

void EventLog::emit(const base::Event& event) {
  const std::lock_guard lock(mutex_);
  auto json = report::to_json(event);
  json["elapsed_seconds"] =
      std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  const std::string line = report::dump(json, -1) + "\n";
  if (std::fwrite(line.data(), 1, line.size(), file_.get()) != line.size() ||
      std::fflush(file_.get()) != 0)
    base::fail(base::ErrorKind::kResource, path_, "{}; expected room for the log",
               std::strerror(errno));
}

}  // namespace whit::cli
