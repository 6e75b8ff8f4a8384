#pragma once

#include <map>
#include <string>
#include <vector>

#include "checkpoint/checkpoint.h"
#include "model/spec.h"

namespace whit::model {

// spec_from_config of the checkpoint's config, settled by what its files hold: see resolve_stored.
ModelSpec load_spec(const checkpoint::Checkpoint& checkpoint);

// Settles how the files name what config.json describes: names lose the base prefix where the files
// hold the embedding without it, and the head has that of its names which is stored. Reads no data.
void resolve_names(ModelSpec& spec, const checkpoint::Checkpoint& checkpoint);

// resolve_names, and what else config.json leaves open:
// - a head that the files lack, packed or not, is tied to the embedding, whatever the config says;
//   a stored head is tied only where the config says so and its bytes equal the embedding's;
// - an MTP layer's own copies of the embedding and the head are dropped where they are not stored;
// - MTP layers of which the files hold no tensor at all are dropped.
void resolve_stored(ModelSpec& spec, const checkpoint::Checkpoint& checkpoint);

// How a checkpoint's tensors and a spec's inventory meet.
struct InventoryReport {
  std::vector<std::string> unknown;               // tensors that the spec does not know
  std::vector<std::string> ignorable;             // known buffers that no one reads
  std::map<std::string, std::string> companions;  // scale tensor -> the weight it belongs to
};

// Errors (kInput, subject = tensor): a required tensor is missing, a shape or a grid of scales is
// wrong; kUnsupported: a stored dtype that whit does not read. Reads no tensor data.
InventoryReport check_inventory(const ModelSpec& spec, const checkpoint::Checkpoint& checkpoint);

// Where the scales of an FP8 weight are and how many elements each covers.
struct ScaleGrid {
  std::string name;
  std::int64_t block_rows = 128, block_cols = 128;
};

// The scales beside the FP8 weight `weight`: `weight_scale_inv` over blocks of
// quantization_config's weight_block_size (128x128 unless stated), or `weight_scale` of the whole
// tensor or of each row. Errors: kInput, subject = tensor name.
ScaleGrid scale_grid_of(const checkpoint::Checkpoint& checkpoint, const std::string& weight);

}  // namespace whit::model
