#pragma once

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "formats/inc_names.h"
#include "formats/inc_tree.h"
#include "stats/ranges.h"

namespace whit::formats {

// What one process of INC measured.
struct IncMeasurement {
  stats::RankRanges ranges;
  std::optional<std::int64_t> samples;  // forward calls that were observed
};

// Nodes, typed by what each holds and is called. `rank`: of the file's name. Errors: kInput
// (subject: `subject` and the node): other keys than INC's, no or no finite numbers, counts that no
// operation has.
IncMeasurement read_measurement(const IncTree& tree, RankOf rank, const std::string& subject);

// LocalRank as INC's scripts write it: null of a job of one process, -1 of one that was unified.
IncTree to_tree(const IncMeasurement& measurement, std::optional<std::int64_t> local_rank);
// The same of nodes that are written already. `mode`: as INC calls it, "DynamicRange".
IncTree measured_tree(IncTree::Dict nodes, const std::string& mode,
                      std::optional<std::int64_t> samples, std::optional<std::int64_t> local_rank);

// Numbers of INC's, JSON or NPZ: [[v]], [[v0], [v1]], [v], v. Errors: kInput where there is none.
std::vector<double> numbers_of(const IncTree& tree, const std::string& subject);

// The measurements of every rank of a run. Where a rank has both files they must agree. Errors:
// kInput, with both values where they do not.
std::vector<IncMeasurement> read_measurements(const IncRun& run);

// Reads one of a run's files: JSON, with NPZ beside it compared, or NPZ alone.
IncTree read_inc_file(const IncRun& run, int rank);

// Writes JSON and NPZ of one rank; returns their paths.
std::vector<std::filesystem::path> write_inc_files(const IncRun& run, int rank,
                                                   const IncTree& tree);
// The names of a run's modules, for those that read which were selected.
std::filesystem::path write_mod_list(const IncRun& run, int rank,
                                     const std::vector<std::string>& modules);
std::optional<std::vector<std::string>> read_mod_list(const IncRun& run, int rank);

}  // namespace whit::formats
