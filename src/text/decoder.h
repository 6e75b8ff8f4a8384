#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "text/json_field.h"
#include "text/pattern.h"

namespace whit::text {

// A part of the text of a token on its way through a decoder; `ends` where the token ends with it.
class DecodeStage {
 public:
  virtual ~DecodeStage() = default;
  virtual void take(std::string_view part, bool ends) = 0;
  // No token follows.
  virtual void finish() = 0;
};

// The field `decoder` of tokenizer.json: Sequence, ByteLevel, ByteFallback, Fuse, Strip, Replace,
// Metaspace, BPEDecoder. Without the field tokens are joined by spaces.
// Errors: kUnsupported for another type, by its name; kInput, subject = field.
class Decoder {
 public:
  struct Replace {
    Pattern pattern;
    std::string content;
  };
  struct Strip {
    std::string content;  // one character
    std::size_t start;
    std::size_t stop;
  };
  struct Metaspace {
    std::string replacement;
    bool drops_first;  // in the first token it becomes nothing, not a space
  };
  struct Suffix {
    std::string suffix;  // becomes a space, in the last token nothing
  };
  struct ByteFallback {};
  struct Fuse {};
  struct Bytes {};   // GPT-2's alphabet
  struct Spaces {};  // between tokens

  explicit Decoder(std::optional<Field> field);

  // What a token is after the steps that look at it alone; Run begins after those.
  std::string prepare(std::string_view token, RegexScratch& scratch) const;

  // One sequence of prepared tokens. Appends to the text what is certain, never part of a
  // character.
  class Run {
   public:
    // early: a character of byte tokens comes out as soon as it is whole, though the reference
    // makes U+FFFD of all bytes of a run that goes on to be no UTF-8.
    Run(const Decoder& decoder, bool early);
    ~Run();
    void push(std::string_view prepared, std::string& text);
    void finish(std::string& text);

   private:
    std::string out_;
    std::vector<std::unique_ptr<DecodeStage>> stages_;
  };

 private:
  friend class Run;
  using Step = std::variant<Replace, Strip, Metaspace, Suffix, ByteFallback, Fuse, Bytes, Spaces>;
  void add(const Field& field, int depth);

  std::vector<Step> steps_;
  std::size_t alone_ = 0;     // so many first steps look at one token alone
  bool bytes_first_ = false;  // then prepare() also makes bytes of GPT-2's alphabet
};

}  // namespace whit::text
