#pragma once

#include <functional>
#include <span>
#include <string_view>

namespace CLI {
class App;
}

namespace whit::cli {

class Session;

// What a verb does once its flags are known; returns the exit code.
using Job = std::function<int(Session&)>;

struct Verb {
  std::string_view name;
  std::string_view summary;
  std::string_view examples;  // one command line a line
  Job (*declare)(CLI::App&);  // adds the verb's flags
};

// In the order in which help lists them.
std::span<const Verb> verbs();

// Verbs of two words ("bench quality"), which have flags of their own.
std::span<const Verb> two_word_verbs();

// Words of the command line that other versions of whit know and this one does not do.
std::span<const std::string_view> later_verbs();

// One a file: verb_NAME.cpp.
Verb inspect_verb();
Verb plan_verb();
Verb quantize_verb();
Verb eval_verb();
Verb generate_verb();
Verb verify_verb();
Verb convert_verb();
Verb logits_verb();
Verb tokenize_verb();
Verb rows_verb();
Verb chat_template_verb();
Verb measure_verb();
Verb calibrate_verb();
Verb scales_verb();
Verb unify_verb();
Verb expand_verb();
Verb bench_verb();
Verb bench_quality_verb();
Verb report_ranges_verb();

}  // namespace whit::cli
