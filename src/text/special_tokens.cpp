#include "text/special_tokens.h"

#include <charconv>

namespace whit::text {

namespace {

// A token is written as a string or as an object with `content`.
std::optional<std::string> token_text(const Field& root, const char* name) {
  const auto field = root.find(name);
  if (!field) return std::nullopt;
  return field->json().is_object() ? field->at("content").string() : field->string();
}

std::optional<bool> flag(const Field& root, const char* name) {
  const auto field = root.find(name);
  if (!field) return std::nullopt;
  return field->boolean();
}

void read_config(const Field& root, SpecialTokens& special) {
  special.bos = token_text(root, "bos_token");
  special.eos = token_text(root, "eos_token");
  special.add_bos = flag(root, "add_bos_token");
  special.add_eos = flag(root, "add_eos_token");
  special.legacy = root.boolean_or("legacy", false);
  special.tokenizer_class = root.string_or("tokenizer_class", "");
  const auto added = root.find("added_tokens_decoder");
  if (!added) return;
  if (!added->json().is_object()) added->fail_type("an object");
  for (const auto& [key, value] : added->json().items()) {
    std::int64_t id = -1;
    const auto [end, error] = std::from_chars(key.data(), key.data() + key.size(), id);
    if (error != std::errc{} || end != key.data() + key.size()) id = -1;
    const Field entry = added->at(key);
    special.added.push_back(read_added_token(entry, read_token_id(entry, id)));
  }
}

}  // namespace

TokenId read_token_id(const Field& field, std::int64_t value) {
  if (value < 0 || value >= kMaxTokenId) {
    field.fail_input("id {}; expected 0 to {}", value, kMaxTokenId - 1);
  }
  return static_cast<TokenId>(value);
}

AddedToken read_added_token(const Field& field, TokenId id) {
  AddedToken token;
  token.content = field.at("content").string();
  token.id = id;
  token.special = field.boolean_or("special", false);
  token.single_word = field.boolean_or("single_word", false);
  token.lstrip = field.boolean_or("lstrip", false);
  token.rstrip = field.boolean_or("rstrip", false);
  token.normalized = field.boolean_or("normalized", !token.special);
  return token;
}

SpecialTokens read_special_tokens(const fs::path& folder) {
  SpecialTokens special;
  const fs::path config = folder / "tokenizer_config.json";
  if (fs::exists(config)) {
    const Json json = read_json_file(config);
    const std::string name = config.string();
    read_config(Field(json, name), special);
  }
  const fs::path map = folder / "special_tokens_map.json";
  if ((!special.bos || !special.eos) && fs::exists(map)) {
    const Json json = read_json_file(map);
    const std::string name = map.string();
    const Field root(json, name);
    if (!special.bos) special.bos = token_text(root, "bos_token");
    if (!special.eos) special.eos = token_text(root, "eos_token");
  }
  return special;
}

}  // namespace whit::text
