// Mistral's tekken.json.
#include <algorithm>
#include <array>
#include <limits>

#include "text/base64.h"
#include "text/hugging_face.h"
#include "text/ranked_tokens.h"
#include "text/tiktoken.h"

namespace whit::text {

namespace {

// Of files that do not list them; the rest up to their number are <SPECIAL_n>.
constexpr std::array<std::string_view, 20> kSpecials = {"<unk>",
                                                        "<s>",
                                                        "</s>",
                                                        "[INST]",
                                                        "[/INST]",
                                                        "[AVAILABLE_TOOLS]",
                                                        "[/AVAILABLE_TOOLS]",
                                                        "[TOOL_RESULTS]",
                                                        "[/TOOL_RESULTS]",
                                                        "[TOOL_CALLS]",
                                                        "[IMG]",
                                                        "<pad>",
                                                        "[IMG_BREAK]",
                                                        "[IMG_END]",
                                                        "[PREFIX]",
                                                        "[MIDDLE]",
                                                        "[SUFFIX]",
                                                        "[SYSTEM_PROMPT]",
                                                        "[/SYSTEM_PROMPT]",
                                                        "[TOOL_CONTENT]"};

std::string bytes_of(const Field& field) {
  const std::string text = field.string();
  auto bytes = decode_base64(text);
  if (!bytes) field.fail_input("{:?}; expected base64", text);
  return std::move(*bytes);
}

std::int64_t count_of(const Field& field) {
  const std::int64_t count = field.integer();
  if (count < 0 || count > kMaxTokenId)
    field.fail_input("{}; expected 0 to {}", count, kMaxTokenId);
  return count;
}

// "vocab": [{"rank", "token_bytes"}], by rank.
std::vector<std::string> read_vocab(const Field& vocab, std::size_t wanted) {
  std::vector<std::string> tokens;
  tokens.reserve(std::min(wanted, vocab.size()));
  for (std::size_t i = 0; i < vocab.size() && tokens.size() < wanted; ++i) {
    const Field entry = vocab.item(i);
    const Field rank = entry.at("rank");
    if (rank.integer() != static_cast<std::int64_t>(i)) {
      rank.fail_input("{}; expected {}, as ranks have no gaps", rank.integer(), i);
    }
    tokens.push_back(bytes_of(entry.at("token_bytes")));
  }
  return tokens;
}

// "bpe_ranks": "! FIRST_RANK TOKEN TOKEN ...", one line after another.
std::vector<std::string> read_ranks(const Field& ranks, std::size_t wanted) {
  const std::string text = ranks.string();
  std::vector<std::string> tokens;
  std::size_t to_skip = 0;
  for (std::size_t at = 0; at < text.size() && tokens.size() < wanted;) {
    const std::size_t end = std::min(text.find_first_of(" \n", at), text.size());
    const std::string_view word = std::string_view(text).substr(at, end - at);
    at = end + 1;
    if (word == "!") {
      to_skip = 1;
    } else if (to_skip > 0) {
      if (word != std::to_string(tokens.size())) {
        ranks.fail_input("ranks go on at {:?}; expected {}, as they have no gaps",
                         word.substr(0, 20), tokens.size());
      }
      --to_skip;
    } else if (!word.empty()) {
      auto bytes = decode_base64(word);
      if (!bytes) ranks.fail_input("{:?}; expected base64", word.substr(0, 80));
      tokens.push_back(std::move(*bytes));
    }
  }
  return tokens;
}

void add_specials(const Field& root, std::int64_t count, Json& pipeline) {
  std::vector<std::string> names(static_cast<std::size_t>(count));
  for (std::size_t i = 0; i < names.size(); ++i) {
    names[i] = fmt::format("<SPECIAL_{}>", i);
  }
  if (const auto listed = root.find("special_tokens")) {
    for (std::size_t i = 0; i < listed->size(); ++i) {
      const Field rank = listed->item(i).at("rank");
      if (rank.integer() < 0 || rank.integer() >= count) {
        rank.fail_input("{}; expected one of {} special tokens", rank.integer(), count);
      }
      names[static_cast<std::size_t>(rank.integer())] = listed->item(i).at("token_str").string();
    }
  } else {
    std::copy_n(kSpecials.begin(), std::min(names.size(), kSpecials.size()), names.begin());
  }
  for (std::size_t i = 0; i < names.size(); ++i) {
    add_special(pipeline, names[i], static_cast<std::int64_t>(i));
  }
}

}  // namespace

bool looks_like_tekken(const Json& json) {
  return json.is_object() && !json.contains("model") && json.contains("config") &&
         (json.contains("vocab") || json.contains("bpe_ranks"));
}

std::unique_ptr<Tokenizer> load_tekken(const Json& json, const std::string& file,
                                       const SpecialTokens& special) {
  const Field root(json, file);
  const Field config = root.at("config");
  const std::int64_t size = count_of(config.at("default_vocab_size"));
  const std::int64_t specials = count_of(config.at("default_num_special_tokens"));
  if (specials >= size) {
    config.at("default_vocab_size")
        .fail_input("{} with {} special tokens; expected more", size, specials);
  }
  // A file may hold more ranks than its tokenizer uses.
  const auto wanted = static_cast<std::size_t>(size - specials);
  const auto vocab = root.find("vocab");
  const Field source = vocab ? *vocab : root.at("bpe_ranks");
  const std::vector<std::string> tokens =
      vocab ? read_vocab(source, wanted) : read_ranks(source, wanted);
  Json pipeline = byte_level_pipeline(config.at("pattern").string(), false);
  add_specials(root, specials, pipeline);
  SpecialTokens named = special;
  named.added.clear();
  if (specials > 2) {
    if (!named.bos) named.bos = pipeline["added_tokens"][1]["content"].get<std::string>();
    if (!named.eos) named.eos = pipeline["added_tokens"][2]["content"].get<std::string>();
    pipeline["post_processor"] = {{"type", "TemplateProcessing"},
                                  {"single", Json::array({{{"SpecialToken", {{"id", "bos"}}}},
                                                          {{"Sequence", {{"id", "A"}}}}})},
                                  {"special_tokens", {{"bos", {{"ids", Json::array({1})}}}}}};
  }
  return std::make_unique<HuggingFaceTokenizer>(
      pipeline,
      Bpe(spell_tokens(tokens, source.subject()), static_cast<TokenId>(specials), source.subject()),
      file, named);
}

}  // namespace whit::text
