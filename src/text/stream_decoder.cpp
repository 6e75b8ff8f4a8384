#include "text/stream_decoder.h"

namespace whit::text {

std::string StreamDecoder::push(TokenId id) {
  if (!run_) run_ = tokenizer_.begin_text(skip_special_);
  return run_->push(id);
}

std::string StreamDecoder::finish() {
  if (!run_) return {};
  std::string out = run_->finish();
  run_.reset();
  return out;
}

}  // namespace whit::text
