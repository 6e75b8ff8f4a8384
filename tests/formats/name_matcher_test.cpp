#include "formats/name_matcher.h"

#include "checkpoint/raw_files.h"

namespace whit::formats {
namespace {

using base::ErrorKind;
using checkpoint::testing::expect_error;

bool matches(const std::string& pattern, const std::string& module) {
  return NameMatcher({pattern}).matches(module);
}

TEST(NameMatcher, AnchorsAtTheStartOnly) {
  EXPECT_TRUE(matches("re:model", "model.layers.0"));
  EXPECT_FALSE(matches("re:layers", "model.layers.0"));
  EXPECT_TRUE(matches("re:.*layers", "model.layers.0"));
  EXPECT_TRUE(matches("re:a|b", "bc"));
  EXPECT_FALSE(matches("re:a|b", "cb"));
  EXPECT_FALSE(matches("re:.*gate$", "mlp.gate_proj"));
  EXPECT_TRUE(matches("re:.*gate$", "mlp.gate"));
  EXPECT_TRUE(matches("re:", "anything"));
}

TEST(NameMatcher, ComparesOtherNamesWhole) {
  EXPECT_TRUE(matches("lm_head", "lm_head"));
  EXPECT_FALSE(matches("lm_head", "model.lm_head"));
  EXPECT_FALSE(matches("lm.head", "lm_head"));
}

TEST(NameMatcher, KnowsClasses) {
  EXPECT_TRUE(matches("Linear", "any.module"));
  EXPECT_FALSE(NameMatcher({"Linear"}).matches("any.module", "Embedding"));
  EXPECT_FALSE(NameMatcher({"re:Linear"}).matches("any.module"));
  EXPECT_FALSE(NameMatcher({}).matches("any.module"));
}

// MoE-Quant's list that leaves only routed experts.
TEST(NameMatcher, ExpertsOnlyListHitsWhatItShould) {
  const NameMatcher ignore({"lm_head", "re:.*self_attn.*", "re:.*shared_experts.*",
                            "re:.*mlp\\.(gate|up|gate_up|down)_proj.*"});
  EXPECT_FALSE(ignore.matches("model.layers.4.mlp.experts.3.gate_proj"));
  EXPECT_TRUE(ignore.matches("model.layers.0.mlp.gate_proj"));
  EXPECT_TRUE(ignore.matches("model.layers.4.mlp.shared_experts.gate_proj"));
  EXPECT_TRUE(ignore.matches("model.layers.4.self_attn.o_proj"));
}

TEST(NameMatcher, TakesPythonsNamedGroups) {
  EXPECT_TRUE(matches("re:(?P<l>\\d+)\\.(?P=l)$", "7.7"));
}

TEST(NameMatcher, NamesAPatternThatDoesNotCompile) {
  expect_error(ErrorKind::kUsage, "re:(a", "character 2", [] { NameMatcher({"re:(a"}); });
  expect_error(ErrorKind::kInput, "re:[", "", [] { NameMatcher({"re:["}, ErrorKind::kInput); });
}

TEST(NameMatcher, GivesUpOnPatternsMadeToBeSlow) {
  expect_error(ErrorKind::kUsage, "re:(a+)+b", "expected a simpler expression",
               [] { NameMatcher({"re:(a+)+b"}).matches(std::string(64, 'a') + "cb"); });
}

}  // namespace
}  // namespace whit::formats
