#include <gtest/gtest.h>

#include "base/error.h"
#include "jinja/support.h"
#include "jinja/template.h"

namespace whit::jinja {

namespace {

struct HostileCase {
  const char* name;
  std::string source;
  const char* says;  // part of the error
};

std::string repeated(std::string_view text, int count) {
  std::string out;
  for (int k = 0; k < count; ++k) out += text;
  return out;
}

std::vector<HostileCase> running() {
  return {
      {"text", "\n{{ 'a' * 10**9 }}", "t:2: a value of 1000000000 bytes"},
      {"text_of_texts",
       "{% set ns = namespace(x='ab') %}{% for i in range(60) %}\n{% set ns.x = "
       "ns.x + ns.x %}{% endfor %}",
       "t:2: a value of"},
      {"list", "{{ ([0] * 10**9)|length }}", "t:1: a value of"},
      {"lists",
       "{% set ns = namespace(x=[0]) %}{% for i in range(60) %}{% set ns.x = ns.x + ns.x "
       "%}{% endfor %}",
       "a value of"},
      {"many_values",
       "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = ns.x "
       "+ ['a' * 10**6] %}{% endfor %}",
       "values take more than"},
      {"range", "{{ range(10**9)|list }}", "range() of 1000000000 items"},
      {"loops", "{% for a in range(10**5) %}{% for b in range(10**5) %}{% endfor %}{% endfor %}",
       "runs longer than"},
      {"macro", "{% macro m() %}{{ m() }}{% endmacro %}\n{{ m() }}", "calls within each other"},
      {"recursive_loop", "{% for x in [1] recursive %}{{ loop([1]) }}{% endfor %}",
       "calls within each other"},
      {"output", "{% set s = 'a' * 10**6 %}{% for i in range(1000) %}{{ s }}{% endfor %}",
       "the rendering is longer than"},
      {"depth_of_values",
       "{% set ns = namespace(x=[]) %}{% for i in range(1000) %}{% set ns.x = "
       "[ns.x] %}{% endfor %}",
       "nested deeper than 200"},
      {"namespace_in_itself", "{% set ns = namespace() %}{% set ns.x = ns %}{{ ns }}",
       "within each other"},
      {"shared_parts",
       "{% set ns = namespace(x=[1]) %}{% for i in range(150) %}{% set ns.x = "
       "[ns.x, ns.x] %}{% endfor %}{{ ns.x }}",
       ""},
      {"shared_parts_compared",
       "{% set ns = namespace(x=[1], y=[1]) %}{% for i in range(150) "
       "%}{% set ns.x = [ns.x, ns.x] %}{% set ns.y = [ns.y, ns.y] %}{% "
       "endfor %}{{ ns.x == ns.y }}",
       "runs longer than"},
      {"shared_parts_as_key",
       "{% set ns = namespace(x=(1,)) %}{% for i in range(150) %}{% set "
       "ns.x = (ns.x, ns.x) %}{% endfor %}{{ {ns.x: 1} }}",
       "runs longer than"},
      {"shared_parts_as_json",
       "{% set ns = namespace(x=[]) %}{% for i in range(150) %}{% set "
       "ns.x = [ns.x, ns.x] %}{% endfor %}{{ ns.x|tojson }}",
       ""},
      {"filters",
       "{% set ns = namespace(x=[1]) %}{% for i in range(1000) %}{% set ns.x = "
       "ns.x|map('string') %}{% endfor %}{{ ns.x|list }}",
       "nested deeper than 200"},
      {"width", "{{ '%1000000000d' % 1 }}", "a value of"},
      {"format_width", "{{ '{:1000000000}'.format(1) }}", "a value of"},
      {"power", "{{ 10 ** 10 ** 10 }}", ""},
      {"center", "{{ 'a'|center(10**10) }}", "a value of"},
      {"indent", "{{ 'a\nb'|indent(10**10) }}", "a value of"},
      {"replace", "{% set s = 'a' * 10**5 %}{{ s|replace('a', s) }}", "a value of"},
      {"join", "{% set s = 'a' * 10**5 %}{{ ([s] * 10**4)|join(s) }}", "a value of"},
      {"batch", "{{ [1]|batch(10**12, 0)|list }}", "a value of"},
  };
}

std::vector<HostileCase> parsing() {
  return {
      {"parentheses", "{{ " + repeated("(", 5000) + "1" + repeated(")", 5000) + " }}",
       "t:1: nested deeper than 150"},
      {"conditions", repeated("{% if 1 %}", 5000), "nested deeper than 150"},
      {"sum", "{{ 1" + repeated(" + 1", 5000) + " }}", "nested deeper than 600"},
      {"negations", "{{ " + repeated("not ", 5000) + "1 }}", "nested deeper than 150"},
      {"minus", "{{ " + repeated("-", 5000) + "1 }}", "nested deeper than 150"},
      {"attributes", "{{ a" + repeated(".b", 5000) + " }}", "nested deeper than 600"},
      {"targets", "{% set " + repeated("(", 5000) + "a", "nested deeper than 150"},
      {"calls_in_sums", "{{ f(1" + repeated(" + f(1", 140) + repeated(")", 140) + ") }}", ""},
      {"deep_macros",
       "{% macro m() %}{{ 1" + repeated(" + (1", 60) + " + m()" + repeated(")", 60) +
           " }}{% endmacro %}{{ m() }}",
       "evaluations within each other"},
      {"parts", "{{ ('a ' * 10**6).split()|length }}", "a value of"},
      {"lines", "{{ ('\\n' * 10**6).splitlines()|length }}", "a value of"},
      {"rsplit", "{{ ('ab' * 10**6).rsplit('a')|length }}", "a value of"},
      {"grouped_zeros", "{{ '{:01000000000,}'.format(1) }}", "a value of"},
      {"branches", repeated("{% set a = 1 %}{% if a %}{% endif %}", 10), ""},
  };
}

std::vector<HostileCase> hostile_cases() {
  auto all = running();
  for (auto& one : parsing()) all.push_back(std::move(one));
  return all;
}

class Hostile : public ::testing::TestWithParam<HostileCase> {};

TEST_P(Hostile, StopsWithAnErrorThatNamesTheLimit) {
  const HostileCase& one = GetParam();
  Limits limits;  // smaller ones than usual, so that none is waited for
  limits.steps = 3'000'000;
  limits.value_bytes = 8'000'000;
  limits.memory_bytes = 32'000'000;
  limits.output_bytes = 16'000'000;
  try {
    Template(one.source, "t", limits).render({}, kDate);
    EXPECT_STREQ(one.says, "") << "nothing stopped it";
  } catch (const base::Error& error) {
    EXPECT_TRUE(error.kind() == base::ErrorKind::kInput ||
                error.kind() == base::ErrorKind::kUnsupported);
    EXPECT_NE(std::string(error.what()).find(one.says), std::string::npos) << error.what();
    EXPECT_EQ(error.subject().substr(0, 2), "t:") << error.what();
  }
}

INSTANTIATE_TEST_SUITE_P(All, Hostile, ::testing::ValuesIn(hostile_cases()),
                         [](const auto& test) { return std::string(test.param.name); });

// Whatever lies in a cycle is freed: a leak is what the sanitizers find here.
TEST(Limits, CyclesEnd) {
  for (const char* source :
       {"{% set ns = namespace() %}{% set ns.self = ns %}",
        "{% set ns = namespace() %}{% macro m() %}{{ ns }}{% endmacro %}{% set ns.m = m %}",
        "{% set ns = namespace(x=none) %}{% for i in range(3000) %}{% for x in [ns.x] %}{{ "
        "loop.index if false }}{% set ns.x = loop %}{% endfor %}{% endfor %}",
        "{% set ns = namespace(x=none) %}{% for i in range(3000) %}{% set n = namespace(p=ns.x) "
        "%}{% set ns.x = n %}{% endfor %}",
        "{% set ns = namespace(x=none) %}{% macro m(p) %}{% macro n() %}{{ p }}{% endmacro %}{% "
        "set "
        "ns.x = n %}{% endmacro %}{% for i in range(3000) %}{{ m(ns.x) }}{% endfor %}"})
    EXPECT_EQ(Template(source, "t").render({}, kDate), "") << source;
}

}  // namespace

}  // namespace whit::jinja
