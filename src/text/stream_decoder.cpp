#include "text/stream_decoder.h"

#include "text/utf8.h"

namespace whit::text {

std::string StreamDecoder::push(TokenId id) {
  const auto bytes = tokenizer_.bytes_of(id, skip_special_, first_);
  if (!bytes) return {};
  first_ = false;
  held_ += *bytes;
  // At most the last three bytes can be the beginning of a character.
  std::size_t whole = held_.size();
  for (std::size_t back = 1; back <= 3 && back <= held_.size(); ++back) {
    const std::size_t at = held_.size() - back;
    if ((static_cast<unsigned char>(held_[at]) & 0xC0) == 0x80) continue;
    const Utf8Step step = utf8_step(held_, at);
    if (!step.valid && step.cut) whole = at;
    break;
  }
  std::string out = repair_utf8(std::string_view(held_).substr(0, whole));
  held_.erase(0, whole);
  return out;
}

std::string StreamDecoder::finish() {
  std::string out = repair_utf8(held_);
  held_.clear();
  first_ = true;
  return out;
}

}  // namespace whit::text
