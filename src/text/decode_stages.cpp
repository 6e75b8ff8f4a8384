#include "text/decode_stages.h"

#include <charconv>

#include "text/byte_level.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

constexpr std::string_view kReplacement = "\xEF\xBF\xBD";
constexpr std::size_t kMaxPart = 64 << 20;  // bytes of one token's text

void check_part(std::size_t size) {
  if (size <= kMaxPart) return;
  base::fail(base::ErrorKind::kInput, "decoder",
             "it makes {} bytes of a token; expected at most {}", size, kMaxPart);
}

class Sink final : public DecodeStage {
 public:
  explicit Sink(std::string& out) : out_(out) {}
  void take(std::string_view part, bool /*ends*/) override { out_ += part; }
  void finish() override {}

 private:
  std::string& out_;
};

class Passing : public DecodeStage {
 public:
  explicit Passing(DecodeStage& next) : next_(next) {}
  void finish() override { next_.finish(); }

 protected:
  DecodeStage& next_;
};

// A stage that needs tokens whole.
class Whole : public Passing {
 public:
  using Passing::Passing;
  void take(std::string_view part, bool ends) final {
    if (held_.empty() && ends) return token(part);
    held_ += part;
    if (!ends) return;
    token(held_);
    held_.clear();
  }

 protected:
  virtual void token(std::string_view text) = 0;

 private:
  std::string held_;
};

class ReplaceStage final : public Whole {
 public:
  ReplaceStage(const Decoder::Replace& step, DecodeStage& next) : Whole(next), step_(step) {}
  void token(std::string_view text) override {
    next_.take(replace_all(step_.pattern, step_.content, text, scratch_), true);
  }

 private:
  const Decoder::Replace& step_;
  RegexScratch scratch_;
};

// Of a character by a string, which needs no whole tokens.
class CharacterStage final : public Passing {
 public:
  CharacterStage(const std::string& character, std::string content, std::string first_content,
                 DecodeStage& next)
      : Passing(next),
        character_(character),
        content_(std::move(content)),
        current_(std::move(first_content)) {}
  void take(std::string_view part, bool ends) override {
    made_.clear();
    std::size_t done = 0;
    for (std::size_t at = part.find(character_); at != std::string_view::npos;
         at = part.find(character_, done)) {
      made_.append(part.substr(done, at - done)).append(current_);
      check_part(made_.size());
      done = at + character_.size();
    }
    if (done == 0) {
      next_.take(part, ends);
    } else {
      next_.take(made_.append(part.substr(done)), ends);
    }
    if (ends) current_ = content_;
  }

 private:
  const std::string& character_;
  std::string content_;
  std::string current_;  // for this token
  std::string made_;
};

class StripStart final : public Passing {
 public:
  StripStart(const Decoder::Strip& step, DecodeStage& next)
      : Passing(next), step_(step), left_(step.start) {}
  void take(std::string_view part, bool ends) override {
    while (left_ > 0 && !part.empty()) {
      if (part.substr(0, step_.content.size()) == step_.content) {
        part.remove_prefix(step_.content.size());
        --left_;
      } else {
        left_ = 0;
      }
    }
    next_.take(part, ends);
    if (ends) left_ = step_.start;
  }

 private:
  const Decoder::Strip& step_;
  std::size_t left_;
};

class StripBoth final : public Whole {
 public:
  StripBoth(const Decoder::Strip& step, DecodeStage& next) : Whole(next), step_(step) {}
  void token(std::string_view text) override { next_.take(strip_ends(step_, text), true); }

 private:
  const Decoder::Strip& step_;
};

class SuffixStage final : public Whole {
 public:
  SuffixStage(const Decoder::Suffix& step, DecodeStage& next)
      : Whole(next), pattern_(step.suffix) {}
  void token(std::string_view text) override {
    if (waits_) next_.take(replace_all(pattern_, " ", last_, scratch_), true);
    last_ = text;
    waits_ = true;
  }
  void finish() override {
    if (waits_) next_.take(replace_all(pattern_, "", last_, scratch_), true);
    waits_ = false;
    next_.finish();
  }

 private:
  Pattern pattern_;
  RegexScratch scratch_;
  std::string last_;
  bool waits_ = false;
};

// Of <0xHH>.
std::optional<char> byte_of(std::string_view token) {
  if (token.size() != 6 || token.substr(0, 3) != "<0x" || token.back() != '>') return std::nullopt;
  std::uint8_t byte = 0;
  // The reference's parser takes a sign as well.
  const char* first = token.data() + (token[3] == '+' ? 4 : 3);
  const auto [end, error] = std::from_chars(first, token.data() + 5, byte, 16);
  if (error != std::errc{} || end != token.data() + 5) return std::nullopt;
  return static_cast<char>(byte);
}

class ByteFallbackStage final : public Whole {
 public:
  ByteFallbackStage(DecodeStage& next, bool early) : Whole(next), early_(early) {}
  void token(std::string_view text) override {
    if (const auto byte = byte_of(text)) {
      run_.push_back(*byte);
      in_run_ = true;
      if (early_) put_whole_characters();
    } else {
      end_run();
      next_.take(text, true);
    }
  }
  void finish() override {
    end_run();
    next_.finish();
  }

 private:
  void put_whole_characters() {
    if (broken_) return put_replacements();
    const Utf8Step step = utf8_step(run_, 0);
    if (step.valid) {
      next_.take(run_, false);
      run_.clear();
    } else if (!step.cut) {
      broken_ = true;
      put_replacements();
    }
  }
  void put_replacements() {
    for (std::size_t i = 0; i < run_.size(); ++i) next_.take(kReplacement, true);
    run_.clear();
  }
  void end_run() {
    if (!in_run_) return;
    if (is_utf8(run_)) {
      if (!run_.empty() || !broken_) next_.take(run_, true);
      run_.clear();
    } else {
      put_replacements();
    }
    in_run_ = broken_ = false;
  }

  std::string run_;
  bool early_;
  bool in_run_ = false;
  bool broken_ = false;  // early: the run is no UTF-8
};

class FuseStage final : public Passing {
 public:
  using Passing::Passing;
  void take(std::string_view part, bool /*ends*/) override {
    if (!part.empty()) next_.take(part, false);
  }
  void finish() override {
    next_.take({}, true);
    next_.finish();
  }
};

class BytesStage final : public Whole {
 public:
  BytesStage(DecodeStage& next, bool early, bool prepared)
      : Whole(next), early_(early), prepared_(prepared) {}
  void token(std::string_view text) override {
    if (prepared_) {
      held_ += text;
    } else {
      held_ += from_byte_chars(text);
    }
    if (!early_) return;
    // At most the last three bytes can be the beginning of a character.
    std::size_t whole = held_.size();
    for (std::size_t back = 1; back <= 3 && back <= held_.size(); ++back) {
      const std::size_t at = held_.size() - back;
      if ((static_cast<unsigned char>(held_[at]) & 0xC0) == 0x80) continue;
      const Utf8Step step = utf8_step(held_, at);
      if (!step.valid && step.cut) whole = at;
      break;
    }
    next_.take(repair_utf8(std::string_view(held_).substr(0, whole)), false);
    held_.erase(0, whole);
  }
  void finish() override {
    next_.take(repair_utf8(held_), true);
    held_.clear();
    next_.finish();
  }

 private:
  std::string held_;
  bool early_;
  bool prepared_;
};

class SpacesStage final : public Passing {
 public:
  using Passing::Passing;
  void take(std::string_view part, bool ends) override {
    if (begun_) next_.take(" ", false);
    begun_ = ends;
    next_.take(part, ends);
  }

 private:
  bool begun_ = false;
};

}  // namespace

std::string replace_all(const Pattern& pattern, std::string_view content, std::string_view text,
                        RegexScratch& scratch) {
  std::vector<Part> parts;
  pattern.find(text, scratch, parts);
  std::string out;
  for (const Part& part : parts) {
    out.append(part.match ? content : text.substr(part.begin, part.end - part.begin));
    check_part(out.size());
  }
  return out;
}

std::string strip_ends(const Decoder::Strip& strip, std::string_view text) {
  const std::size_t size = strip.content.size();
  for (std::size_t i = 0; i < strip.start && text.substr(0, size) == strip.content; ++i) {
    text.remove_prefix(size);
  }
  for (std::size_t i = 0;
       i < strip.stop && text.size() >= size && text.substr(text.size() - size) == strip.content;
       ++i) {
    text.remove_suffix(size);
  }
  return std::string(text);
}

std::unique_ptr<DecodeStage> make_sink(std::string& out) {
  return std::make_unique<Sink>(out);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Replace& step, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  const std::string* literal = step.pattern.literal();
  if (literal != nullptr && utf8_step(*literal, 0).size == literal->size()) {
    return std::make_unique<CharacterStage>(*literal, step.content, step.content, next);
  }
  return std::make_unique<ReplaceStage>(step, next);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Strip& step, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  if (step.stop == 0) return std::make_unique<StripStart>(step, next);
  return std::make_unique<StripBoth>(step, next);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Metaspace& step, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  return std::make_unique<CharacterStage>(step.replacement, " ", step.drops_first ? "" : " ", next);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Suffix& step, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  return std::make_unique<SuffixStage>(step, next);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::ByteFallback& /*step*/, DecodeStage& next,
                                        bool early, bool /*prepared*/) {
  return std::make_unique<ByteFallbackStage>(next, early);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Fuse& /*step*/, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  return std::make_unique<FuseStage>(next);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Bytes& /*step*/, DecodeStage& next,
                                        bool early, bool prepared) {
  return std::make_unique<BytesStage>(next, early, prepared);
}

std::unique_ptr<DecodeStage> make_stage(const Decoder::Spaces& /*step*/, DecodeStage& next,
                                        bool /*early*/, bool /*prepared*/) {
  return std::make_unique<SpacesStage>(next);
}

}  // namespace whit::text
