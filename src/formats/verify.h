#pragma once

#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"

namespace whit::formats {

// One rule and whether a checkpoint keeps it; `detail` counts what was looked at or names what
// fails.
struct Check {
  std::string name;
  bool ok = false;
  std::string detail;
};

// Reads a written checkpoint anew and holds it against the rules that loaders have
// (docs/formats/compressed_tensors.md): every module decodes, scales are not 0, no leftovers of
// the source's format, one scheme inside what loaders fuse, ignore list and config as the tensors
// are, index and shard metadata. With `source` also the ledger: every tensor of the source is
// there, packed or bit for bit (or FP8 decoded and rounded once), near its original where packed,
// and nothing else. What fails is reported, not thrown. Errors: kUnsupported for formats that whit
// does not read.
std::vector<Check> verify(const checkpoint::Checkpoint& written,
                          const checkpoint::Checkpoint* source = nullptr);

}  // namespace whit::formats
