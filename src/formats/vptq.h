#pragma once

#include <map>
#include <nlohmann/json.hpp>
#include <string>
#include <vector>

#include "formats/packed.h"
#include "formats/stored_module.h"
#include "formats/vptq_config.h"
#include "scheme/scheme.h"

// The packed layout of VPTQ's checkpoints (docs/formats/vptq.md): indices as bit streams along the
// columns, codebooks, norm and order beside them.
namespace whit::formats {

// Bits of one index: of the centroid, then of the residual.
int index_bits(std::int64_t entries);

// Rows of fields of 1..32 bits, the lowest bit first, every row from a new word: `high` (empty: no
// bits) stands above `low`. I32 [rows, ceil(cols * bits / 32)].
tensor::Tensor pack_indices(const tensor::Tensor& low, int low_bits, const tensor::Tensor& high,
                            int high_bits);
// The inverse; the fields' values lie within their bits whatever the words hold.
void unpack_indices(const tensor::TensorView& words, int low_bits, int high_bits,
                    tensor::Tensor& low, tensor::Tensor* high);

// What a module will have on disk, before any data exists, and the same with its data.
std::vector<checkpoint::SafetensorsWriter::Entry> vptq_layout(const std::string& module,
                                                              std::int64_t rows, std::int64_t cols,
                                                              const scheme::VectorLayout& layout,
                                                              tensor::Dtype dtype);
std::vector<NamedTensor> encode_vptq(const std::string& module, const scheme::VectorCodes& weight);

// Errors: kInput (subject: the tensor, or the field of the config) where a shape, dtype or value is
// not what `config` says.
scheme::VectorCodes read_vptq(const StoredModule& stored, const VectorModule& config);

}  // namespace whit::formats
