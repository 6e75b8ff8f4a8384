#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "formats/packed_reader.h"
#include "formats/verify.h"

// The parts of verify, by what they look at.
namespace whit::formats {

// "a.b.weight" -> {"a.b", "weight"}; without a dot the suffix is empty.
std::pair<std::string, std::string> split_name(const std::string& name);

// How each module with a weight is stored ("int4 symmetric group 128 scales BF16", "unquantized").
using SchemeByModule = std::map<std::string, std::string>;

// Decodes every module; appends its checks and returns what was found.
SchemeByModule verify_modules(const checkpoint::Checkpoint& written, const PackedReader& reader,
                              std::vector<Check>* checks);

// Scales of static activations and of an FP8 KV cache, where the config asks for them; and no
// integers or other numbers whose rounding whit does not know.
void verify_activations(const checkpoint::Checkpoint& written, const PackedReader& reader,
                        std::vector<Check>* checks);

// One scheme inside q/k/v, gate/up, q_a/kv_a and over the experts of a layer.
Check verify_fused(const SchemeByModule& schemes);

// Every tensor of the source against what was written, and the reverse.
void verify_ledger(const checkpoint::Checkpoint& written, const PackedReader& reader,
                   const checkpoint::Checkpoint& source, std::vector<Check>* checks);

}  // namespace whit::formats
