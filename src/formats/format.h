#pragma once

// Names and bytes of quantized checkpoints. A format turns a logical QuantizedWeight into named
// tensors and JSON and back; decode(encode(q)) == q.
#include "formats/name_matcher.h"
#include "formats/packed.h"
#include "formats/packed_reader.h"
#include "formats/quantization_config.h"
#include "formats/weight_format.h"
