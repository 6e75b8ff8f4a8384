#include "formats/inc_measurement.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <set>

#include "base/error.h"
#include "formats/inc_modules.h"

namespace whit::formats {

namespace {

using base::ErrorKind;
using base::fail;
using stats::OpRanges;
using stats::OpType;

void collect(const IncTree& tree, const std::string& subject, std::vector<double>& out) {
  if (const auto* number = std::get_if<double>(&tree.value)) {
    out.push_back(*number);
  } else if (const auto* whole = std::get_if<std::int64_t>(&tree.value)) {
    out.push_back(static_cast<double>(*whole));
  } else if (const auto* array = tree.array()) {
    out.insert(out.end(), array->values.begin(), array->values.end());
  } else if (const auto* list = tree.list()) {
    for (const auto& entry : *list) collect(entry, subject, out);
  } else {
    fail(ErrorKind::kInput, subject, "{}; expected a number", tree.kind());
  }
}

std::vector<stats::Range> read_ranges(const IncTree& tree, const std::string& subject) {
  std::vector<stats::Range> ranges;
  if (const auto* array = tree.array()) {
    ranges.push_back(array->values);
    if (array->values.empty())
      fail(ErrorKind::kInput, subject, "no numbers; expected at least one");
    return ranges;
  }
  if (tree.list() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected a list of tensors", tree.kind());
  for (std::size_t i = 0; i < tree.list()->size(); ++i)
    ranges.push_back(numbers_of((*tree.list())[i], fmt::format("{}[{}]", subject, i)));
  return ranges;
}

void check_maxima(const stats::Range& range, const std::string& subject) {
  for (const double value : range)
    if (!std::isfinite(value) || value < 0)
      fail(ErrorKind::kInput, subject, "{}; expected a finite maximum, 0 or more", value);
}

bool has_word(std::string_view module, std::string_view word) {
  return module.find(word) != std::string_view::npos;
}

OpType type_of(const OpRanges& op, const std::string& module, const std::string& subject) {
  const std::size_t outputs = op.outputs ? op.outputs->size() : 0;
  if (op.params.contains("weight"))
    return outputs == 2 ? OpType::kRowParallelLinear : OpType::kLinear;
  const auto word = last_word(module);
  const bool named_moe = word.ends_with("moe_op") || word.ends_with("MoeOp");
  switch (op.inputs.size()) {
    case 1:
      if (outputs >= 2) return OpType::kMoe;
      if (named_moe)
        fail(ErrorKind::kInput, subject,
             "{} outputs of a mixture of experts; expected one and one "
             "for each expert",
             outputs);
      return has_word(word, "softmax") ? OpType::kSoftmax : OpType::kKvCache;
    case 2:
      // Older versions measured these as plain products, without outputs.
      if (outputs == 1 && (has_word(word, "batch2block") || has_word(word, "block2batch")))
        return OpType::kBatchMatmul;
      return OpType::kMatmul;
    case 3:
      return OpType::kFusedSdpa;
    default:
      fail(ErrorKind::kInput, subject, "{} inputs; expected 1, 2 or 3", op.inputs.size());
  }
}

OpRanges read_op(const IncTree& node, const std::string& module, const std::string& subject) {
  if (node.dict() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected inputs, outputs and params", node.kind());
  OpRanges op;
  for (const auto& [key, value] : *node.dict()) {
    const std::string place = subject + ": " + key;
    if (key == "inputs" || key == "input") {
      op.inputs = read_ranges(value, place);
    } else if (key == "outputs" || key == "output") {
      if (!value.is_none()) op.outputs = read_ranges(value, place);
    } else if (key == "params") {
      if (value.dict() == nullptr)
        fail(ErrorKind::kInput, place, "{}; expected params by name", value.kind());
      for (const auto& [name, range] : *value.dict())
        op.params[name] = numbers_of(range, place + ": " + name);
    } else {
      fail(ErrorKind::kInput, place, "an unknown key; expected inputs, outputs or params");
    }
  }
  for (const auto& range : op.inputs) check_maxima(range, subject + ": inputs");
  if (op.outputs)
    for (const auto& range : *op.outputs) check_maxima(range, subject + ": outputs");
  for (const auto& [name, range] : op.params) check_maxima(range, subject + ": " + name);
  op.op = type_of(op, module, subject);
  return op;
}

// The operations and matrices of one layer's experts, as the file names them.
struct RawSlice {
  std::optional<OpRanges> op;
  std::map<std::int64_t, std::map<std::string, OpRanges>> matrices;  // by expert, by list
};
using RawMoe = std::map<std::int64_t, RawSlice>;

// Where a slice's experts begin among the numbers that its matrices have.
std::int64_t first_number(const RawSlice& slice, std::size_t experts, RankOf rank, bool sliced,
                          const std::string& subject) {
  if (slice.matrices.empty()) return 0;
  const auto count = static_cast<std::int64_t>(experts);
  const std::int64_t low = slice.matrices.begin()->first;
  const std::int64_t high = slice.matrices.rbegin()->first;
  if (high < count) return 0;
  // INC's expand script leaves all matrices on every rank.
  if (low == 0 && high + 1 == count * rank.world) return rank.rank * count;
  if (!sliced && high - low + 1 <= count) return low;
  fail(ErrorKind::kInput, subject, "matrices of experts {} to {}, and {} experts; expected as many",
       low, high, count);
}

stats::MoeRanges assemble(const RawMoe& raw, const std::string& name, RankOf rank,
                          const std::string& file) {
  stats::MoeRanges moe;
  const std::string subject = file + ": " + name;
  const bool sliced = name.find('*') != std::string::npos;
  std::int64_t next = 0;
  for (const auto& [number, slice] : raw) {
    if (number != next++)
      fail(ErrorKind::kInput, subject, "slice {} follows on slice {}; expected slice {}", number,
           next - 2, next - 1);
    std::size_t experts = slice.op ? slice.op->outputs->size() - 1 : 0;
    if (!slice.op && !slice.matrices.empty())
      experts = static_cast<std::size_t>(slice.matrices.rbegin()->first) + 1;
    constexpr std::size_t kMostExperts = 65536;
    if (experts > kMostExperts)
      fail(ErrorKind::kInput, subject, "{} experts; expected at most {}", experts, kMostExperts);
    const std::int64_t first = first_number(slice, experts, rank, sliced, subject);
    if (first > 0) {
      moe.first_expert = first;
      moe.numbered = true;
    }
    for (std::size_t e = 0; e < experts; ++e) {
      stats::ExpertRanges expert;
      if (slice.op) expert.intermediate = (*slice.op->outputs)[e + 1];
      const auto matrices = slice.matrices.find(first + static_cast<std::int64_t>(e));
      if (matrices != slice.matrices.end()) expert.matrices = matrices->second;
      moe.experts.push_back(std::move(expert));
    }
    if (!slice.op) continue;
    moe.slices.push_back(*slice.op);
    moe.slices.back().outputs->resize(1);
  }
  if (!moe.slices.empty() && moe.slices.size() != raw.size())
    fail(ErrorKind::kInput, subject, "{} slices of {} were measured; expected all",
         moe.slices.size(), raw.size());
  return moe;
}

const IncTree::Dict& nodes_of(const IncTree& tree, const std::string& subject,
                              std::optional<std::int64_t>& samples) {
  const IncTree::Dict* nodes = nullptr;
  if (tree.dict() == nullptr)
    fail(ErrorKind::kInput, subject, "{}; expected Mode and Nodes", tree.kind());
  for (const auto& [key, value] : *tree.dict()) {
    const std::string place = subject + ": " + key;
    if (key == "Nodes") {
      nodes = value.dict();
    } else if (key == "Mode") {
      if (value.text() == nullptr || *value.text() != "DynamicRange")
        fail(ErrorKind::kInput, place, "{}; expected DynamicRange, a measurement's",
             value.text() == nullptr ? value.kind() : *value.text());
    } else if (key == "NumSamples") {
      const auto* count = std::get_if<std::int64_t>(&value.value);
      if (count == nullptr || *count < 0)
        fail(ErrorKind::kInput, place, "{}; expected 0 or more", value.kind());
      samples = *count;
    } else if (key != "GlobalRank" && key != "LocalRank") {
      fail(ErrorKind::kInput, place,
           "an unknown key; expected Mode, Nodes, LocalRank, GlobalRank "
           "or NumSamples");
    }
  }
  if (nodes == nullptr) fail(ErrorKind::kInput, subject, "no Nodes; expected modules by name");
  return *nodes;
}

IncTree tree_of(const stats::Range& range) {
  return {IncArray{{range.size(), 1}, range}};
}

IncTree tree_of(const OpRanges& op) {
  const auto list_of = [](const std::vector<stats::Range>& ranges) {
    IncTree::List list;
    for (const auto& range : ranges) list.push_back(tree_of(range));
    return IncTree{std::move(list)};
  };
  IncTree::Dict node;
  node.emplace_back("inputs", list_of(op.inputs));
  if (op.outputs) node.emplace_back("outputs", list_of(*op.outputs));
  if (!op.params.empty()) {
    IncTree::Dict params;
    for (const auto& [name, range] : op.params) params.emplace_back(name, tree_of(range));
    node.emplace_back("params", IncTree{std::move(params)});
  }
  return {std::move(node)};
}

// Matrices are numbered within their slice, as every rank numbers its own.
void add_moe(const stats::MoeRanges& moe, const std::string& name, IncTree::Dict& nodes) {
  const std::size_t slices = std::max<std::size_t>(1, moe.slices.size());
  base::check(moe.experts.size() % slices == 0, "experts are shared evenly by their slices");
  const std::size_t share = moe.experts.size() / slices;
  for (std::size_t s = 0; s < slices; ++s) {
    const std::string module = slice_name(name, s);
    std::set<std::string> lists;
    if (!moe.slices.empty()) {
      OpRanges op = moe.slices[s];
      for (std::size_t e = 0; e < share; ++e)
        op.outputs->push_back(moe.experts[s * share + e].intermediate.value_or(stats::Range{0}));
      nodes.emplace_back(module, tree_of(op));
    }
    for (std::size_t e = 0; e < share; ++e)
      for (const auto& [list, op] : moe.experts[s * share + e].matrices) lists.insert(list);
    for (const auto& list : lists)
      for (std::size_t e = 0; e < share; ++e) {
        const auto& matrices = moe.experts[s * share + e].matrices;
        if (const auto matrix = matrices.find(list); matrix != matrices.end())
          nodes.emplace_back(fmt::format("{}.{}.{}", module, list, e), tree_of(matrix->second));
      }
  }
}

}  // namespace

std::vector<double> numbers_of(const IncTree& tree, const std::string& subject) {
  std::vector<double> numbers;
  collect(tree, subject, numbers);
  if (numbers.empty()) fail(ErrorKind::kInput, subject, "no numbers; expected at least one");
  return numbers;
}

IncMeasurement read_measurement(const IncTree& tree, RankOf rank, const std::string& subject) {
  IncMeasurement measurement;
  auto& ranges = measurement.ranges;
  ranges.rank = rank.rank;
  ranges.world = rank.world;
  std::map<std::string, RawMoe> raw;
  const auto slice_of = [&](const std::string& module) -> RawSlice& {
    const auto sliced = parse_expert_slice(module);
    const std::string& key = sliced ? sliced->pattern : module;
    const auto [place, added] = raw.try_emplace(key);
    if (added) ranges.order.push_back(key);
    return place->second[sliced ? sliced->slice : 0];
  };
  for (const auto& [module, node] : nodes_of(tree, subject, measurement.samples)) {
    OpRanges op = read_op(node, module, subject + ": " + module);
    if (const auto matrix = parse_expert_matrix(module)) {
      slice_of(matrix->moe).matrices[matrix->expert][matrix->list] = std::move(op);
    } else if (op.op == OpType::kMoe) {
      slice_of(module).op = std::move(op);
    } else {
      ranges.order.push_back(module);
      ranges.ops[module] = std::move(op);
    }
  }
  for (const auto& [name, moe] : raw) ranges.moes[name] = assemble(moe, name, rank, subject);
  return measurement;
}

IncTree to_tree(const IncMeasurement& measurement, std::optional<std::int64_t> local_rank) {
  IncTree::Dict nodes;
  for (const auto& name : measurement.ranges.order) {
    const auto op = measurement.ranges.ops.find(name);
    if (op != measurement.ranges.ops.end())
      nodes.emplace_back(name, tree_of(op->second));
    else
      add_moe(measurement.ranges.moes.at(name), name, nodes);
  }
  return measured_tree(std::move(nodes), "DynamicRange", measurement.samples, local_rank);
}

IncTree measured_tree(IncTree::Dict nodes, const std::string& mode,
                      std::optional<std::int64_t> samples, std::optional<std::int64_t> local_rank) {
  IncTree::Dict top;
  if (samples) top.emplace_back("NumSamples", IncTree{*samples});
  top.emplace_back("GlobalRank", IncTree{});
  top.emplace_back("LocalRank", local_rank ? IncTree{*local_rank} : IncTree{});
  top.emplace_back("Mode", IncTree{mode});
  top.emplace_back("Nodes", IncTree{std::move(nodes)});
  return {std::move(top)};
}

}  // namespace whit::formats
