#include "checkpoint/resolve.h"

#include <algorithm>
#include <vector>

#include "base/error.h"
#include "base/file.h"

namespace whit::checkpoint {

namespace fs = std::filesystem;

namespace {

using base::ErrorKind;

bool plain_part(std::string_view part) {
  return !part.empty() && part != "." && part != ".." &&
         part.find_first_of(std::string_view("/\\\0", 3)) == std::string_view::npos;
}

// "org/name" or "name" -> "models--org--name"; empty where it is no repository name.
std::string cache_folder_name(Repository kind, std::string_view repository) {
  const std::string prefix = kind == Repository::kModel ? "models--" : "datasets--";
  const std::size_t slash = repository.find('/');
  if (slash == std::string_view::npos)
    return plain_part(repository) ? prefix + std::string(repository) : "";
  const std::string_view org = repository.substr(0, slash);
  const std::string_view name = repository.substr(slash + 1);
  if (!plain_part(org) || !plain_part(name)) return "";
  return prefix + std::string(org) + "--" + std::string(name);
}

bool safe_revision(const std::string& revision) {
  std::size_t begin = 0;
  while (begin <= revision.size()) {
    const std::size_t end = std::min(revision.find('/', begin), revision.size());
    if (!plain_part(std::string_view(revision).substr(begin, end - begin))) return false;
    begin = end + 1;
  }
  return true;
}

std::string trimmed(std::string text) {
  const auto space = [](char c) { return c == '\n' || c == '\r' || c == ' ' || c == '\t'; };
  while (!text.empty() && space(text.back())) text.pop_back();
  return text;
}

}  // namespace

fs::path find_snapshot(Repository kind, const std::string& repository, const fs::path& hub_cache) {
  const std::size_t at = repository.rfind('@');
  const std::string revision = at == std::string::npos ? "main" : repository.substr(at + 1);
  const std::string folder_name = cache_folder_name(kind, repository.substr(0, at));
  if (folder_name.empty() || !safe_revision(revision))
    base::fail(ErrorKind::kInput, repository,
               "no such folder; expected a folder or org/name[@revision]");
  const fs::path folder = hub_cache / folder_name;
  std::error_code code;
  if (!fs::is_directory(folder, code))
    base::fail(ErrorKind::kInput, repository,
               "no such folder, and not in the cache ({}); expected either", folder.string());
  std::string commit = revision;
  const fs::path ref = folder / "refs" / revision;
  if (fs::is_regular_file(ref, code)) commit = trimmed(base::read_text_file(ref, 4096));
  if (!plain_part(commit))
    base::fail(ErrorKind::kInput, ref.string(), "holds '{}'; expected a commit", commit);
  const fs::path snapshot = folder / "snapshots" / commit;
  if (!fs::is_directory(snapshot, code))
    base::fail(ErrorKind::kInput, repository,
               "revision '{}' is not in the cache ({}); expected there", revision,
               snapshot.string());
  return snapshot;
}

fs::path resolve_model(const std::string& model, const fs::path& hub_cache) {
  std::error_code code;
  if (fs::is_directory(model, code)) return model;
  return find_snapshot(Repository::kModel, model, hub_cache);
}

}  // namespace whit::checkpoint
