#include "text/gguf.h"

#include <algorithm>
#include <array>
#include <cstring>

#include "text/gguf_metadata.h"
#include "text/hugging_face.h"
#include "text/sentence_piece.h"
#include "text/tiktoken.h"
#include "text/utf8.h"

namespace whit::text {

namespace {

// Protobuf's wire format, as far as a ModelProto needs it.
class MessageWriter {
 public:
  void number(std::uint32_t field, std::uint64_t value) {
    varint(field << 3);
    varint(value);
  }
  void real(std::uint32_t field, float value) {
    varint((field << 3) | 5U);
    char raw[4];
    std::memcpy(raw, &value, sizeof(raw));
    bytes_.append(raw, sizeof(raw));
  }
  void text(std::uint32_t field, std::string_view value) {
    varint((field << 3) | 2U);
    varint(value.size());
    bytes_.append(value);
  }
  const std::string& bytes() const { return bytes_; }

 private:
  void varint(std::uint64_t value) {
    for (; value >= 0x80; value >>= 7) bytes_.push_back(static_cast<char>((value & 0x7F) | 0x80));
    bytes_.push_back(static_cast<char>(value));
  }
  std::string bytes_;
};

[[noreturn]] void fail_key(const std::string& file, const char* key, std::string_view detail) {
  base::fail(base::ErrorKind::kInput, fmt::format("{}: tokenizer.ggml.{}", file, key), "{}",
             detail);
}

SpecialTokens special_tokens(const GgufVocabulary& vocabulary) {
  SpecialTokens special;
  if (vocabulary.bos) special.bos = vocabulary.tokens[*vocabulary.bos];
  if (vocabulary.eos) special.eos = vocabulary.tokens[*vocabulary.eos];
  special.add_bos = vocabulary.add_bos.value_or(vocabulary.model == "llama");
  special.add_eos = vocabulary.add_eos.value_or(vocabulary.model == "t5");
  return special;
}

// Types of pieces are SentencePiece's. It wants one unknown piece; others of that type are padding.
std::uint64_t piece_type(const GgufVocabulary& vocabulary, std::size_t id, std::size_t unknown) {
  if (id == unknown) return kGgufUnknown;
  const std::int32_t type = vocabulary.types.empty() ? kGgufNormal : vocabulary.types[id];
  if (type < kGgufNormal || type > kGgufByte || type == kGgufUnknown) return kGgufUnused;
  return static_cast<std::uint64_t>(type);
}

// Field numbers: sentencepiece_model.proto.
std::string model_proto(const GgufVocabulary& vocabulary, const std::string& file) {
  const bool unigram = vocabulary.model == "t5";
  if (vocabulary.scores.empty()) fail_key(file, "scores", "missing; expected one for each token");
  const auto by_type = std::find(vocabulary.types.begin(), vocabulary.types.end(), kGgufUnknown);
  if (!vocabulary.unknown && by_type == vocabulary.types.end()) {
    fail_key(file, "unknown_token_id", "missing, and no token is of that type; expected one");
  }
  const std::size_t unknown =
      vocabulary.unknown.value_or(static_cast<std::uint64_t>(by_type - vocabulary.types.begin()));
  MessageWriter model;
  bool bytes = false;
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::uint64_t type = piece_type(vocabulary, id, unknown);
    bytes = bytes || type == kGgufByte;
    MessageWriter piece;
    piece.text(1, vocabulary.tokens[id]);
    piece.real(2, vocabulary.scores[id]);
    piece.number(3, type);
    model.text(1, piece.bytes());
  }
  MessageWriter trainer;
  trainer.number(3, unigram ? 1 : 2);
  trainer.number(35, bytes ? 1 : 0);
  trainer.text(45, vocabulary.tokens[unknown]);
  model.text(2, trainer.bytes());
  MessageWriter normalizer;
  if (!vocabulary.charsmap.empty()) normalizer.text(2, vocabulary.charsmap);
  normalizer.number(3, vocabulary.add_space_prefix.value_or(true) ? 1 : 0);
  normalizer.number(4, vocabulary.remove_extra_whitespaces.value_or(false) ? 1 : 0);
  model.text(3, normalizer.bytes());
  return model.bytes();
}

constexpr std::string_view kDigits3 = R"(\p{N}{1,3})";
constexpr std::string_view kDeepSeekLetters = "[一-龥\u3040-ゟ゠-ヿ]+";
constexpr std::string_view kDeepSeekPattern =
    R"([!"#$%&'()*+,\-./:;<=>?@\[\\\]^_`{|}~][A-Za-z]+|[^\r\n\p{L}\p{P}\p{S}]?[\p{L}\p{M}]+)"
    R"(| ?[\p{P}\p{S}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";
constexpr std::string_view kTekkenPattern =
    R"([^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*|\p{N})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n/]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

Json isolated(std::string_view pattern) {
  return {{"type", "Split"}, {"pattern", {{"Regex", pattern}}}, {"behavior", "Isolated"}};
}

// What stands before the cut into bytes, by the name in `pre`; nullopt where it is not known.
std::optional<Json> steps_of(std::string_view pre) {
  const auto among = [&](std::initializer_list<std::string_view> names) {
    return std::find(names.begin(), names.end(), pre) != names.end();
  };
  const Json gpt2 = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", true}};
  const Json bytes = {{"type", "ByteLevel"}, {"add_prefix_space", false}, {"use_regex", false}};
  const auto cut = [&](std::string_view pattern) {
    return Json::array({isolated(pattern), bytes});
  };
  if (among({"gpt-2", "phi-2", "mpt", "olmo", "jina-es", "jina-de"})) return Json::array({gpt2});
  if (among({"llama3", "llama-v3", "llama-bpe", "falcon3", "chatglm-bpe", "glm4"})) {
    return cut(kCl100kPattern);
  }
  if (among({"qwen2", "deepseek-r1-qwen", "stablelm2"})) return cut(kQwenPattern);
  if (among({"gpt-4o", "llama4"})) return cut(kO200kPattern);
  if (pre == "tekken") return cut(kTekkenPattern);
  if (among({"starcoder", "refact", "command-r", "smollm", "codeshell"})) {
    return Json::array({{{"type", "Digits"}, {"individual_digits", true}}, gpt2});
  }
  if (pre == "deepseek-v3") {
    return Json::array(
        {isolated(kDigits3), isolated(kDeepSeekLetters), isolated(kDeepSeekPattern), bytes});
  }
  if (pre == "falcon") {
    return Json::array({{{"type", "Punctuation"}, {"behavior", "Contiguous"}},
                        gpt2,
                        {{"type", "Digits"}, {"individual_digits", false}},
                        isolated("[0-9][0-9][0-9]")});
  }
  return std::nullopt;
}

Json tokenizer_json(const GgufVocabulary& vocabulary, const std::string& file) {
  auto steps = steps_of(vocabulary.pre);
  if (!steps) {
    base::fail(
        base::ErrorKind::kUnsupported, file + ": tokenizer.ggml.pre",
        "pre-tokenizer {:?}; whit knows gpt-2, llama-bpe, qwen2, deepseek-v3, gpt-4o, tekken, "
        "starcoder, command-r, smollm, chatglm-bpe, falcon",
        vocabulary.pre);
  }
  Json json = {{"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", std::move(*steps)}}},
               {"decoder", {{"type", "ByteLevel"}}},
               {"added_tokens", Json::array()}};
  // The file does not say what the model's normalizer is.
  if (vocabulary.pre == "qwen2" || vocabulary.pre == "command-r" || vocabulary.pre == "olmo") {
    json["normalizer"] = {{"type", "NFC"}};
  }
  Json vocab = Json::object();
  for (std::size_t id = 0; id < vocabulary.tokens.size(); ++id) {
    const std::string& token = vocabulary.tokens[id];
    if (!is_utf8(token))
      fail_key(file, "tokens", fmt::format("token {} is no UTF-8; expected text", id));
    const std::int32_t type = vocabulary.types.empty() ? kGgufNormal : vocabulary.types[id];
    if (type == kGgufControl || type == kGgufUserDefined) {
      json["added_tokens"].push_back({{"id", id},
                                      {"content", token},
                                      {"special", type == kGgufControl},
                                      {"normalized", false}});
    } else if (type != kGgufUnused && !vocab.emplace(token, id).second) {
      fail_key(file, "tokens", fmt::format("token {} is there twice; expected it once", id));
    }
  }
  for (const std::string& merge : vocabulary.merges) {
    if (!is_utf8(merge)) fail_key(file, "merges", "a merge that is no UTF-8; expected text");
  }
  const bool whole_words = vocabulary.pre.substr(0, 5) == "llama" || vocabulary.pre == "tekken";
  json["model"] = {{"type", "BPE"},
                   {"vocab", std::move(vocab)},
                   {"merges", vocabulary.merges},
                   {"ignore_merges", whole_words}};
  if (vocabulary.bos && vocabulary.add_bos.value_or(false)) {
    json["post_processor"] = {
        {"type", "TemplateProcessing"},
        {"single",
         Json::array({{{"SpecialToken", {{"id", "bos"}}}}, {{"Sequence", {{"id", "A"}}}}})},
        {"special_tokens", {{"bos", {{"ids", Json::array({*vocabulary.bos})}}}}}};
  }
  return json;
}

}  // namespace

std::unique_ptr<Tokenizer> load_gguf(std::string_view contents, const std::string& file) {
  const GgufVocabulary vocabulary = read_gguf_vocabulary(contents, file);
  if (vocabulary.model == "llama" || vocabulary.model == "t5") {
    return std::make_unique<SentencePieceTokenizer>(model_proto(vocabulary, file), file,
                                                    special_tokens(vocabulary));
  }
  if (vocabulary.model == "gpt2") {
    return std::make_unique<HuggingFaceTokenizer>(tokenizer_json(vocabulary, file), file,
                                                  special_tokens(vocabulary));
  }
  base::fail(base::ErrorKind::kUnsupported, file + ": tokenizer.ggml.model",
             "a vocabulary of kind {:?}; whit knows llama, t5, gpt2", vocabulary.model);
}

}  // namespace whit::text
