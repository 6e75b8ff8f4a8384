#pragma once

#include <memory>
#include <string>
#include <vector>

#include "text/tokenizer.h"

namespace whit::data {

// One id per byte; BOS is 256.
class ByteTokenizer final : public text::Tokenizer {
 public:
  std::vector<text::TokenId> encode(std::string_view text, bool add_special) const override {
    std::vector<text::TokenId> ids;
    if (add_special) ids.push_back(256);
    for (const char c : text) ids.push_back(static_cast<unsigned char>(c));
    return ids;
  }
  std::string decode(const std::vector<text::TokenId>&, bool) const override { return {}; }
  std::unique_ptr<text::TextRun> begin_text(bool) const override { return {}; }
  std::int64_t vocabulary() const override { return 257; }
  std::optional<text::TokenId> id_of(std::string_view) const override { return {}; }
  std::optional<text::TokenId> bos() const override { return 256; }
  std::optional<text::TokenId> eos() const override { return {}; }
};

}  // namespace whit::data
