#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace whit::formats {

using TorchEntries = std::map<std::string, tensor::Tensor, std::less<>>;

// Tensors of a dict that torch.save wrote, by key; numbers of the dict become tensors without
// extents. Both layouts are read: the zip file of release 1.6 and later, and the pickles and
// storages one after the other that came before (still `_use_new_zipfile_serialization=False`).
// Nothing is run: the pickle is read as data, with no names but those of tensors and their
// storages, in any order of their elements. Dtypes: F32, F64, F16, BF16, I64, I32, U8 and bools (as
// U8). Errors: kInput (broken, truncated, a tensor beyond its storage, names that are not allowed),
// kUnsupported (big endian).
TorchEntries read_torch_dict(std::string_view bytes, const std::string& subject);

// What torch.save writes of such a dict, as a zip file: F32, BF16, F16 and I64 tensors, those
// without extents and of I64 as Python's integers. torch.load reads it with weights_only as well.
// The same bytes for the same entries. Errors: kUnsupported for 4 GiB and more (subject given).
std::string write_torch_dict(const TorchEntries& entries, const std::string& subject);
// The same of one tensor that no dict holds.
std::string write_torch_tensor(const tensor::Tensor& value, const std::string& subject);

}  // namespace whit::formats
