#pragma once

#include <memory>
#include <string>

#include "text/tokenizer.h"

namespace whit::text {

// Decodes ids as they come: every push gives the text that is certain, never part of a character.
// All pushes and finish() joined are decode() of all ids; only a run of SentencePiece byte tokens
// that is no UTF-8 may differ, in the number of U+FFFD.
class StreamDecoder {
 public:
  StreamDecoder(const Tokenizer& tokenizer, bool skip_special)
      : tokenizer_(tokenizer), skip_special_(skip_special) {}

  std::string push(TokenId id);
  // What was held back: a character that never became whole, as U+FFFD.
  std::string finish();

 private:
  const Tokenizer& tokenizer_;
  bool skip_special_;
  std::unique_ptr<TextRun> run_;  // null before the first push
};

}  // namespace whit::text
