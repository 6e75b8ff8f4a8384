#include "pipeline/journal.h"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

#include "base/error.h"
#include "base/file.h"
#include "base/hash.h"

namespace whit::pipeline {

using base::ErrorKind;
using base::fail;
using nlohmann::json;
using nlohmann::ordered_json;

namespace {

ordered_json to_json(const StepRecord& record) {
  ordered_json line{{"step", record.step},
                    {"shards", ordered_json::array()},
                    {"weights", ordered_json::array()},
                    {"warnings", record.warnings}};
  for (const auto& shard : record.shards)
    line["shards"].push_back({{"file", shard.file}, {"bytes", shard.bytes}, {"hash", shard.hash}});
  for (const auto& weight : record.weights) line["weights"].push_back(to_json(weight));
  return line;
}

std::optional<double> optional_number(const json& object, const char* key) {
  const auto& value = object.at(key);
  return value.is_null() ? std::nullopt : std::optional<double>(value.get<double>());
}

StepRecord step_from_json(const json& line) {
  StepRecord record;
  record.step = line.at("step").get<std::string>();
  for (const auto& shard : line.at("shards"))
    record.shards.push_back({shard.at("file").get<std::string>(),
                             shard.at("bytes").get<std::uint64_t>(),
                             shard.at("hash").get<std::string>()});
  for (const auto& weight : line.at("weights")) record.weights.push_back(weight_from_json(weight));
  record.warnings = line.at("warnings").get<std::vector<std::string>>();
  return record;
}

// Whether the files of a step are what the journal says. File names come from our own journal, but
// a folder may have been edited: nothing outside it is opened.
bool files_intact(const std::filesystem::path& folder, const StepRecord& record) {
  for (const auto& shard : record.shards) {
    if (shard.file.find('/') != std::string::npos) return false;
    const auto path = folder / shard.file;
    std::error_code code;
    if (std::filesystem::file_size(path, code) != shard.bytes || code) return false;
    const base::MappedFile file(path);
    if (base::hash_hex(file.bytes()) != shard.hash) return false;
  }
  return true;
}

void require_same_job(const ordered_json& found, const ordered_json& job, const std::string& path) {
  for (const auto& [key, value] : job.items()) {
    if (found.contains(key) && found[key] == value) continue;
    throw base::Error(
        ErrorKind::kUsage, path,
        fmt::format("the job begun there has {} = {}; this one has {}", key,
                    found.contains(key) ? found[key].dump() : "nothing", value.dump()))
        .suggest(
            "repeat the command with the first one's arguments, or start anew with --overwrite");
  }
}

}  // namespace

ordered_json to_json(const WeightRecord& record) {
  const auto number = [](const std::optional<double>& value) {
    return value ? ordered_json(*value) : ordered_json(nullptr);
  };
  return {{"name", record.name},
          {"method", record.method},
          {"tokens", record.tokens},
          {"extra_tokens", record.extra_tokens},
          {"proxy_error", number(record.proxy_error)},
          {"proxy_error_rtn", number(record.proxy_error_rtn)},
          {"damping", record.damping},
          {"reach", record.reach},
          {"seconds", record.seconds}};
}

WeightRecord weight_from_json(const json& object) {
  WeightRecord record;
  record.name = object.at("name").get<std::string>();
  record.method = object.at("method").get<std::string>();
  record.tokens = object.at("tokens").get<std::int64_t>();
  record.extra_tokens = object.at("extra_tokens").get<std::int64_t>();
  record.proxy_error = optional_number(object, "proxy_error");
  record.proxy_error_rtn = optional_number(object, "proxy_error_rtn");
  record.damping = object.at("damping").get<double>();
  record.reach = object.at("reach").get<double>();
  record.seconds = object.at("seconds").get<double>();
  return record;
}

Journal Journal::begin(const std::filesystem::path& folder, const ordered_json& job) {
  Journal journal(folder);
  journal.rewrite(job);
  return journal;
}

Journal Journal::resume(const std::filesystem::path& folder, const ordered_json& job) {
  const auto path = folder / kFile;
  Journal journal(folder);
  if (!std::filesystem::exists(path)) {
    journal.rewrite(job);
    return journal;
  }
  const std::string text = base::read_text_file(path);
  std::size_t begin = 0;
  bool first = true;
  for (std::size_t end = text.find('\n'); end != std::string::npos;
       begin = end + 1, end = text.find('\n', begin)) {
    const std::string_view line(text.data() + begin, end - begin);
    try {
      if (first) {
        require_same_job(ordered_json::parse(line), job, path.string());
        first = false;
        continue;
      }
      StepRecord record = step_from_json(json::parse(line));
      if (!files_intact(folder, record)) break;
      journal.finished_.push_back(std::move(record));
    } catch (const json::exception& error) {
      fail(ErrorKind::kInput, path.string(),
           "a line that is no journal entry ({}); expected JSON lines", error.what());
    }
  }
  journal.rewrite(job);  // drops a torn line and entries whose files are gone
  return journal;
}

void Journal::append(StepRecord record) {
  append_line(to_json(record));
  finished_.push_back(std::move(record));
}

void Journal::remove() {
  std::filesystem::remove(folder_ / kFile);
  base::sync_directory(folder_);
}

void Journal::append_line(const ordered_json& line) {
  const auto path = folder_ / kFile;
  const int fd = ::open(path.c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
  if (fd < 0) fail(ErrorKind::kResource, path.string(), "opening failed: {}", std::strerror(errno));
  const std::string text = line.dump() + "\n";
  try {
    base::write_fully(fd, std::as_bytes(std::span(text)), path);
  } catch (...) {
    ::close(fd);
    throw;
  }
  const int synced = ::fsync(fd);
  ::close(fd);
  if (synced != 0)
    fail(ErrorKind::kResource, path.string(), "fsync failed: {}", std::strerror(errno));
}

void Journal::rewrite(const ordered_json& job) {
  std::string text = job.dump() + "\n";
  for (const auto& record : finished_) text += to_json(record).dump() + "\n";
  base::write_file_atomic(folder_ / kFile, text);
}

}  // namespace whit::pipeline
