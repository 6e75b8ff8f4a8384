#include "base/memory.h"

#include <fmt/format.h>
#include <malloc.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <cmath>
#include <cstring>
#include <fstream>
#include <limits>

#include "base/error.h"

namespace whit::base {

namespace {

// Value in bytes of a "Name:   123 kB" line of a /proc file; 0 if absent.
std::uint64_t proc_kilobytes(const char* file, std::string_view key) {
  std::ifstream in(file);
  std::string line;
  while (std::getline(in, line)) {
    if (!line.starts_with(key)) continue;
    const auto digits = line.find_first_of("0123456789");
    if (digits == std::string::npos) return 0;
    return std::strtoull(line.c_str() + digits, nullptr, 10) * 1024;
  }
  return 0;
}

std::uint64_t read_number(const char* file) {
  std::ifstream in(file);
  std::uint64_t value = 0;
  return (in >> value) ? value : 0;
}

}  // namespace

std::uint64_t resident_bytes() {
  return proc_kilobytes("/proc/self/status", "VmRSS:");
}
std::uint64_t peak_resident_bytes() {
  return proc_kilobytes("/proc/self/status", "VmHWM:");
}
bool reset_peak_resident_bytes() {
  std::ofstream out("/proc/self/clear_refs");
  out << "5\n";  // proc(5): the peak resident set becomes the current one
  out.flush();
  return out.good();
}

void trim_heap() {
#ifdef __GLIBC__
  ::malloc_trim(0);
#endif
}

std::uint64_t available_memory_bytes() {
  std::uint64_t available = proc_kilobytes("/proc/meminfo", "MemAvailable:");
  const std::uint64_t limit = read_number("/sys/fs/cgroup/memory.max");
  const std::uint64_t used = read_number("/sys/fs/cgroup/memory.current");
  if (limit > 0) available = std::min(available, limit > used ? limit - used : 0);
  return available;
}

std::uint64_t parse_bytes(std::string_view text, std::string_view subject) {
  struct Unit {
    std::string_view name;
    double bytes;
  };
  static constexpr std::array<Unit, 10> kUnits{{{"", 1.0},
                                                {"b", 1.0},
                                                {"kib", 1024.0},
                                                {"mib", 1048576.0},
                                                {"gib", 1073741824.0},
                                                {"tib", 1099511627776.0},
                                                {"kb", 1e3},
                                                {"mb", 1e6},
                                                {"gb", 1e9},
                                                {"tb", 1e12}}};
  double number = 0;
  const auto [rest, code] = std::from_chars(text.data(), text.data() + text.size(), number);
  std::string unit;
  for (const char* c = rest; code == std::errc() && c != text.data() + text.size(); ++c)
    if (*c != ' ') unit += static_cast<char>(std::tolower(static_cast<unsigned char>(*c)));
  const auto* found =
      std::find_if(kUnits.begin(), kUnits.end(), [&](const Unit& u) { return u.name == unit; });
  if (code != std::errc() || found == kUnits.end() || !(number > 0) || number * found->bytes > 9e18)
    fail(ErrorKind::kUsage, std::string(subject),
         "'{}' is no size; expected a positive number with B, KiB, MiB, GiB, TiB, KB, MB, GB or TB",
         text);
  return static_cast<std::uint64_t>(number * found->bytes);
}

std::string format_bytes(std::uint64_t bytes) {
  static constexpr std::array<const char*, 5> kNames{"B", "KiB", "MiB", "GiB", "TiB"};
  double value = static_cast<double>(bytes);
  std::size_t unit = 0;
  while (value >= 1024 && unit + 1 < kNames.size()) {
    value /= 1024;
    ++unit;
  }
  return unit == 0 ? fmt::format("{} B", bytes) : fmt::format("{:.1f} {}", value, kNames[unit]);
}

}  // namespace whit::base
