#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace whit::base {

// Resident set of this process, in bytes; 0 where the system does not tell.
std::uint64_t resident_bytes();
std::uint64_t peak_resident_bytes();
// The peak starts anew at what is resident now. False where the system does not do that (Linux
// does).
bool reset_peak_resident_bytes();

// Gives free memory of the heap back to the system, so that a long job does not creep.
void trim_heap();

// Physical memory that a new job may take without swapping, in bytes (cgroup limits respected).
std::uint64_t available_memory_bytes();

// "8GiB", "512 MiB", "1.5GB", "1048576" -> bytes. Errors: kUsage, subject = `subject`.
std::uint64_t parse_bytes(std::string_view text, std::string_view subject);

// 1536 -> "1.5 KiB".
std::string format_bytes(std::uint64_t bytes);

}  // namespace whit::base
