#include <array>

#include "cli/verb.h"

namespace whit::cli {

std::span<const Verb> verbs() {
  static const std::array kVerbs{
      inspect_verb(), plan_verb(),      quantize_verb(), eval_verb(),     generate_verb(),
      verify_verb(),  convert_verb(),   logits_verb(),   tokenize_verb(), chat_template_verb(),
      rows_verb(),    calibrate_verb(), measure_verb(),  scales_verb(),   unify_verb(),
      expand_verb(),  bench_verb()};
  return kVerbs;
}

std::span<const Verb> two_word_verbs() {
  static const std::array kVerbs{bench_quality_verb(), report_ranges_verb()};
  return kVerbs;
}

std::span<const std::string_view> later_verbs() {
  static constexpr std::array<std::string_view, 2> kLater{"chat", "serve"};
  return kLater;
}

}  // namespace whit::cli
