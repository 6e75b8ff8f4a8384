#include "text/tiktoken.h"

#include <algorithm>
#include <array>

#include "text/hugging_face.h"
#include "text/ranked_tokens.h"

namespace whit::text {

namespace {

// Special tokens behind the ranks, by their distance from the last rank, where
// tokenizer_config.json lists none. (Kimi's: also those that it does not list.)
using AddSpecials = void (*)(Json& pipeline, std::int64_t ranks);

void add_llama3(Json& pipeline, std::int64_t ranks) {
  constexpr std::array<std::string_view, 10> kFirst = {"<|begin_of_text|>",
                                                       "<|end_of_text|>",
                                                       "<|reserved_special_token_0|>",
                                                       "<|reserved_special_token_1|>",
                                                       "<|reserved_special_token_2|>",
                                                       "<|reserved_special_token_3|>",
                                                       "<|start_header_id|>",
                                                       "<|end_header_id|>",
                                                       "<|reserved_special_token_4|>",
                                                       "<|eot_id|>"};
  constexpr int kReserved = 251;
  for (std::size_t i = 0; i < kFirst.size(); ++i) {
    add_special(pipeline, kFirst[i], ranks + static_cast<std::int64_t>(i));
  }
  for (int i = 5; i < kReserved; ++i) {
    add_special(pipeline, fmt::format("<|reserved_special_token_{}|>", i), ranks + 5 + i);
  }
}

void add_qwen(Json& pipeline, std::int64_t ranks) {
  add_special(pipeline, "<|endoftext|>", ranks);
  add_special(pipeline, "<|im_start|>", ranks + 1);
  add_special(pipeline, "<|im_end|>", ranks + 2);
  constexpr int kExtras = 205;
  for (int i = 0; i < kExtras; ++i) {
    add_special(pipeline, fmt::format("<|extra_{}|>", i), ranks + 3 + i);
  }
}

void add_cl100k(Json& pipeline, std::int64_t /*ranks*/) {
  add_special(pipeline, "<|endoftext|>", 100257);
  add_special(pipeline, "<|fim_prefix|>", 100258);
  add_special(pipeline, "<|fim_middle|>", 100259);
  add_special(pipeline, "<|fim_suffix|>", 100260);
  add_special(pipeline, "<|endofprompt|>", 100276);
}

void add_o200k(Json& pipeline, std::int64_t /*ranks*/) {
  add_special(pipeline, "<|endoftext|>", 199999);
  add_special(pipeline, "<|endofprompt|>", 200018);
}

void add_gpt2(Json& pipeline, std::int64_t ranks) {
  add_special(pipeline, "<|endoftext|>", ranks);
}

// Every id behind the ranks has a name, whether the config gives one or not.
void add_kimi(Json& pipeline, std::int64_t ranks) {
  constexpr int kReserved = 256;
  for (int i = 0; i < kReserved; ++i) {
    add_special(pipeline, fmt::format("<|reserved_token_{}|>", ranks + i), ranks + i);
  }
}

void add_glm4(Json& pipeline, std::int64_t ranks) {
  constexpr std::array<std::string_view, 14> kNames = {"<|endoftext|>",
                                                       "[MASK]",
                                                       "[gMASK]",
                                                       "[sMASK]",
                                                       "<sop>",
                                                       "<eop>",
                                                       "<|system|>",
                                                       "<|user|>",
                                                       "<|assistant|>",
                                                       "<|observation|>",
                                                       "<|begin_of_image|>",
                                                       "<|end_of_image|>",
                                                       "<|begin_of_video|>",
                                                       "<|end_of_video|>"};
  for (std::size_t i = 0; i < kNames.size(); ++i)
    add_special(pipeline, kNames[i], ranks + static_cast<std::int64_t>(i));
}

constexpr std::string_view kGpt2Pattern =
    R"('s|'t|'re|'ve|'m|'ll|'d| ?\p{L}+| ?\p{N}+| ?[^\s\p{L}\p{N}]+|\s+(?!\S)|\s+)";
constexpr std::string_view kKimiPattern =
    R"([\p{Han}]+|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?)"
    R"(|[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]+)"
    R"([\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?|\p{N}{1,3})"
    R"(| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+)";

using Prefix = std::array<std::string_view, 2>;  // tokens before a text; empty: none

struct Family {
  std::string_view name;
  std::string_view tokenizer_class;  // of tokenizer_config.json; empty: none
  std::string_view file_name;        // empty: none
  std::string_view fingerprint;      // empty: not known
  std::string_view pattern;
  bool nfc;
  Prefix prefix;
  AddSpecials specials;
  bool names_all = false;  // `specials` also name what the config leaves out
};

constexpr Prefix kNoPrefix{};
constexpr std::array<Family, 7> kFamilies = {{
    {"Llama 3", "", "", "7643b8e442e37ac03ee9d02f49db2d3e", kCl100kPattern, false,
     Prefix{"<|begin_of_text|>"}, &add_llama3},
    {"Qwen", "QWenTokenizer", "qwen.tiktoken", "3c77091dc786b3109b26e81cc61ec711", kQwenPattern,
     true, kNoPrefix, &add_qwen},
    {"cl100k", "", "cl100k_base.tiktoken", "eb56f45af9e67b20ecb48ec342a2f78f", kCl100kPattern,
     false, kNoPrefix, &add_cl100k},
    {"o200k", "", "o200k_base.tiktoken", "3f47e79ad36edd1179016c96e403d4f8", kO200kPattern, false,
     kNoPrefix, &add_o200k},
    {"GPT-2", "", "r50k_base.tiktoken", "66c7cc24181679f3a0b9e2130e98c262", kGpt2Pattern, false,
     kNoPrefix, &add_gpt2},
    {"Kimi", "TikTokenTokenizer", "", "", kKimiPattern, false, kNoPrefix, &add_kimi, true},
    {"GLM-4", "ChatGLM4Tokenizer", "", "", kCl100kPattern, false, Prefix{"[gMASK]", "<sop>"},
     &add_glm4},
}};

const Family& family_of(const std::vector<std::string>& tokens, const std::string& file,
                        const SpecialTokens& special) {
  const std::string name = fs::path(file).filename().string();
  for (const Family& family : kFamilies) {
    const bool by_class =
        !family.tokenizer_class.empty() && family.tokenizer_class == special.tokenizer_class;
    if (by_class || (!family.file_name.empty() && family.file_name == name)) return family;
  }
  const std::string print = fingerprint(tokens);
  for (const Family& family : kFamilies) {
    if (family.fingerprint == print) return family;
  }
  std::string known;
  for (const Family& family : kFamilies) {
    known += fmt::format("{}{}", known.empty() ? "" : ", ", family.name);
  }
  base::fail(base::ErrorKind::kUnsupported, file,
             "a tiktoken list of {} ranks (tokens {}) of no family that whit knows ({}), so its "
             "regular expression is not known; expected a tokenizer.json beside it",
             tokens.size(), print, known);
}

// The config's own are added by the HuggingFaceTokenizer.
void add_specials(const Family& family, const SpecialTokens& special, std::int64_t ranks,
                  Json& pipeline) {
  if (!special.added.empty() && !family.names_all) return;
  Json own = {{"added_tokens", Json::array()}};
  family.specials(own, ranks);
  for (auto& token : own["added_tokens"]) {
    const auto id = token["id"].get<std::int64_t>();
    const auto named = [&](const AddedToken& listed) { return listed.id == id; };
    if (std::none_of(special.added.begin(), special.added.end(), named))
      pipeline["added_tokens"].push_back(std::move(token));
  }
}

std::int64_t special_id(std::string_view content, const SpecialTokens& special,
                        const std::string& file, const Json& pipeline) {
  for (const AddedToken& token : special.added)
    if (token.content == content) return token.id;
  for (const Json& token : pipeline["added_tokens"])
    if (token["content"] == content) return token["id"].get<std::int64_t>();
  base::fail(base::ErrorKind::kInput, file,
             "added_tokens_decoder of tokenizer_config.json has no {}; expected it, as this family "
             "puts it before a text",
             content);
}

void add_prefix(const Family& family, const SpecialTokens& special, const std::string& file,
                Json& pipeline) {
  if (family.prefix.front().empty()) return;
  Json single = Json::array();
  Json ids = Json::object();
  for (const std::string_view name : family.prefix) {
    if (name.empty()) continue;
    single.push_back({{"SpecialToken", {{"id", name}}}});
    ids[std::string(name)] = {{"ids", Json::array({special_id(name, special, file, pipeline)})}};
  }
  single.push_back({{"Sequence", {{"id", "A"}}}});
  pipeline["post_processor"] = {{"type", "TemplateProcessing"},
                                {"single", std::move(single)},
                                {"special_tokens", std::move(ids)}};
}

}  // namespace

Json byte_level_pipeline(std::string_view pattern, bool nfc) {
  const Json bytes = {{"type", "ByteLevel"},
                      {"add_prefix_space", false},
                      {"trim_offsets", true},
                      {"use_regex", false}};
  const Json split = {{"type", "Split"},
                      {"pattern", {{"Regex", pattern}}},
                      {"behavior", "Isolated"},
                      {"invert", false}};
  Json pipeline = {
      {"pre_tokenizer", {{"type", "Sequence"}, {"pretokenizers", Json::array({split, bytes})}}},
      {"decoder", bytes},
      {"added_tokens", Json::array()}};
  if (nfc) pipeline["normalizer"] = {{"type", "NFC"}};
  return pipeline;
}

void add_special(Json& pipeline, std::string_view content, std::int64_t id) {
  pipeline["added_tokens"].push_back(
      {{"id", id}, {"content", content}, {"special", true}, {"normalized", false}});
}

std::unique_ptr<Tokenizer> load_tiktoken(std::string_view contents, const std::string& file,
                                         const SpecialTokens& special) {
  const std::vector<std::string> tokens = read_tiktoken(contents, file);
  const Family& family = family_of(tokens, file, special);
  Json pipeline = byte_level_pipeline(family.pattern, family.nfc);
  add_specials(family, special, static_cast<std::int64_t>(tokens.size()), pipeline);
  SpecialTokens named = special;
  if (!named.bos && family.prefix.back().empty() && !family.prefix.front().empty())
    named.bos = family.prefix.front();
  add_prefix(family, special, file, pipeline);
  return std::make_unique<HuggingFaceTokenizer>(pipeline, Bpe(spell_tokens(tokens, file), 0, file),
                                                file, named);
}

}  // namespace whit::text
