#pragma once

#include <string>
#include <string_view>

namespace whit::text {

// What whit needs to know of a SentencePiece model beyond what the library tells.
struct SentencePieceFacts {
  bool add_dummy_prefix = true;
  // BPE over text that is taken as it is, but for spaces written as U+2581.
  bool plain_bpe = false;
};

// Proves that a serialized ModelProto can be given to the SentencePiece library, which trusts
// what it reads: the double array of its normalizer's map stays within its bounds, scores are
// numbers, pieces are text. Errors: kInput, kUnsupported; subject = "FILE: FIELD".
// Source: sentencepiece_model.proto; the unit layout of darts-clone's double array.
SentencePieceFacts check_sentence_piece_model(std::string_view model, const std::string& file);

}  // namespace whit::text
