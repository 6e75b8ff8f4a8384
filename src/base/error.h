#pragma once

#include <fmt/format.h>

#include <exception>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace whit::base {

// Why a job stopped. The values are the program's exit codes.
enum class ErrorKind {
  kBug = 1,          // an invariant of whit itself was broken
  kUsage = 2,        // the request is malformed
  kInput = 3,        // an input is unreadable, corrupt or inconsistent
  kUnsupported = 4,  // understood, but whit does not do it
  kResource = 5,     // memory limit, disk, permissions
  kCheck = 6,        // a check said no
  kInterrupted = 130,
};

// The one exception type. `subject` names the file, tensor, field or flag; `detail` says what was
// found and what was expected ("found; expected"). Callers that know more add a context line.
class Error : public std::exception {
 public:
  Error(ErrorKind kind, std::string subject, std::string detail);

  ErrorKind kind() const { return kind_; }
  const std::string& subject() const { return subject_; }
  const std::string& detail() const { return detail_; }
  const std::vector<std::string>& context() const { return context_; }
  const std::string& suggestion() const { return suggestion_; }

  Error& add_context(std::string line);
  Error& suggest(std::string line);

  // "SUBJECT: DETAIL", without context.
  const char* what() const noexcept override { return what_.c_str(); }

 private:
  ErrorKind kind_;
  std::string subject_;
  std::string detail_;
  std::string what_;
  std::string suggestion_;
  std::vector<std::string> context_;
};

// Throws Error with `detail` formatted by fmt.
template <typename... Args>
[[noreturn]] void fail(ErrorKind kind, std::string subject, fmt::format_string<Args...> detail,
                       Args&&... args) {
  throw Error(kind, std::move(subject), fmt::format(detail, std::forward<Args>(args)...));
}

// Invariants of whit itself; a violation is a bug and says where. (The builtins, because clang 14
// has no std::source_location.)
void check(bool holds, std::string_view what, const char* file = __builtin_FILE(),
           int line = __builtin_LINE());

}  // namespace whit::base
