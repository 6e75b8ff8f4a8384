#pragma once

#include <optional>
#include <string>
#include <string_view>

namespace whit::text {

// Bytes of standard base64 (RFC 4648, padded); nullopt where it is none.
std::optional<std::string> decode_base64(std::string_view text);

}  // namespace whit::text
