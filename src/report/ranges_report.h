#pragma once

#include <filesystem>
#include <map>
#include <string>
#include <vector>

#include "formats/inc_names.h"
#include "stats/ranges.h"

namespace whit::report {

// One tensor of every layer that has it: "self_attn.qkv_proj inputs[0]".
struct RangeSeries {
  std::string tensor;
  std::map<int, double> maxima;  // by layer; -1: outside the layers
};

// The measurements of one run, its ranks taken together.
struct RangesRun {
  std::string name;
  std::vector<RangeSeries> series;  // in the order of the modules
};

// Every tensor's maximum, ranks and channels by their largest; an expert's number is part of its
// tensor's name, and "experts" is the largest of them.
RangesRun ranges_run(const std::string& name, const std::vector<stats::RankRanges>& ranks);

// Reads a folder of measurements. Errors: those of find_measurements and read_measurements.
RangesRun read_ranges_run(const std::string& name, const std::filesystem::path& folder,
                          const formats::IncRunQuery& query);

// run,layer,tensor,maximum; the layer is empty for what is outside of them.
std::string to_csv(const std::vector<RangesRun>& runs);

// A page of its own: for every tensor a plot of its maximum over the layers, one line a run, the
// caches first; single experts are left to the CSV.
std::string ranges_html(const std::vector<RangesRun>& runs);

}  // namespace whit::report
