#pragma once

#include <map>
#include <string>
#include <string_view>

#include "tensor/tensor.h"

namespace whit::formats {

// Tensors of a dict that torch.save wrote, by key; numbers of the dict become tensors without
// extents. Nothing is run: the pickle is read as data, with no names but those of tensors and their
// storages. Dtypes: F32, F64, F16, BF16, I64, I32, U8 and bools (as U8). Errors: kInput (broken,
// truncated, a tensor beyond its storage, names that are not allowed), kUnsupported (strides that
// are not dense, big endian, the format of releases before 1.6).
std::map<std::string, tensor::Tensor, std::less<>> read_torch_dict(std::string_view bytes,
                                                                   const std::string& subject);

}  // namespace whit::formats
