#include "pipeline/gathered_maxima.h"

#include <algorithm>
#include <utility>

#include "base/error.h"

namespace whit::pipeline {

namespace {

constexpr std::int64_t kPieceFloats = 1 << 16;
constexpr std::size_t kMostPieces = 32;
constexpr std::int64_t kListStep = 32;  // lists begin on whole lines of a cache

}  // namespace

GatheredMaxima::Place GatheredMaxima::take_place(std::int64_t width) {
  if (pieces_.empty() || pieces_.back().elements() - used_ < width) {
    pieces_.push_back(
        backend_.memory().allocate({1, std::max(width, kPieceFloats)}, tensor::Dtype::kF32));
    used_ = 0;
  }
  const Place place{pieces_.size() - 1, used_, width};
  used_ =
      std::min((used_ + width + kListStep - 1) / kListStep * kListStep, pieces_.back().elements());
  return place;
}

void GatheredMaxima::add(Maxima* owner, std::initializer_list<std::int64_t> widths,
                         Description description) {
  Entry& entry = entries_.emplace_back(Entry{owner, std::move(description), {}, {}});
  for (const std::int64_t width : widths) {
    const Place place = take_place(width);
    entry.places.push_back(place);
    entry.lists.push_back(pieces_[place.piece].matrix().sub(0, 1, place.first, width));
  }
}

const GatheredMaxima::Lists& GatheredMaxima::checked(const Entry& entry,
                                                     std::initializer_list<std::int64_t> widths) {
  const bool same = std::equal(
      widths.begin(), widths.end(), entry.lists.begin(), entry.lists.end(),
      [](std::int64_t width, const tensor::MatrixView& list) { return list.cols == width; });
  base::check(same, "a tensor keeps its number of channels");
  return entry.lists;
}

bool GatheredMaxima::full() const {
  return pieces_.size() > kMostPieces;
}

void GatheredMaxima::settle(const Take& take) {
  std::vector<tensor::Tensor> host;
  host.reserve(pieces_.size());
  for (const auto& piece : pieces_) host.push_back(backend_.memory().download(piece.view()));
  const std::vector<Entry> entries = std::move(entries_);
  entries_.clear();
  entry_of_.clear();
  pieces_.clear();
  for (const Entry& entry : entries) {
    Ranges ranges;
    for (const Place& place : entry.places) {
      const float* from = host[place.piece].as<float>() + place.first;
      ranges.emplace_back(from, from + place.width);
    }
    const auto& [name, join] = entry.description;
    take(*entry.owner, name, join ? join(ranges) : std::move(ranges.front()));
  }
}

}  // namespace whit::pipeline
