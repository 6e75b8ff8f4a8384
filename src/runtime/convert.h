#pragma once

#include <cstdint>
#include <filesystem>

#include "base/cancel.h"
#include "base/event.h"
#include "checkpoint/checkpoint.h"
#include "compute/backend.h"

namespace whit::runtime {

struct ConvertArgs {
  std::filesystem::path output;
  tensor::Dtype dtype = tensor::Dtype::kF32;  // F32, BF16 or F16
  bool overwrite = false;
  std::uint64_t shard_bytes = 5'000'000'000;  // a file holds no more, unless one tensor does
};

struct ConvertResult {
  std::uint64_t bytes = 0;  // of the tensors
  std::int64_t tensors = 0;
  std::int64_t decoded = 0;  // those that were quantized
};

// Writes the checkpoint with every weight decoded and every floating tensor in args.dtype (a
// router's correction bias stays F32: its last digits choose experts). config.json loses
// quantization_config; tokenizer and the like are carried over. The folder has a config.json only
// when it is whole. Events: "progress". Errors: kUsage where the output exists and may not be
// overwritten; kInput; kResource; kInterrupted.
ConvertResult convert(const checkpoint::Checkpoint& checkpoint, const ConvertArgs& args,
                      compute::Backend& backend, base::EventSink& events,
                      const base::CancelToken& cancel);

}  // namespace whit::runtime
