#include <gtest/gtest.h>

#include "base/error.h"
#include "jinja/support.h"
#include "jinja/template.h"

namespace whit::jinja {

namespace {

// What jinja2 makes of small templates: scripts/goldens/make_template_golden.py.
struct Case {
  std::string name, source;
  std::optional<std::string> text, error;
  bool is_raised = false;  // by jinja2 itself: its words are then ours too
};

const Value& golden() {
  static const Value kRead = read_golden("constructs.json");
  return kRead;
}

std::vector<Case> cases() {
  std::vector<Case> cases;
  for (const Value& entry : golden().dict().find("cases")->items()) {
    const Dict& dict = entry.dict();
    Case one{dict.find("name")->bytes(), dict.find("template")->bytes(), {}, {}, false};
    if (const Value* text = dict.find("text")) one.text = text->bytes();
    if (const Value* error = dict.find("error")) one.error = error->bytes();
    if (const Value* raised = dict.find("raised")) one.is_raised = raised->boolean();
    cases.push_back(std::move(one));
  }
  return cases;
}

class Constructs : public ::testing::TestWithParam<Case> {};

TEST_P(Constructs, AreThoseOfJinja2) {
  const Case& one = GetParam();
  const Value& variables = *golden().dict().find("variables");
  try {
    const std::string text = Template(one.source, "t").render(variables.dict(), kDate);
    ASSERT_TRUE(one.text) << one.source << "\ngives " << text << "\nnot the error " << *one.error;
    EXPECT_EQ(text, *one.text) << one.source;
  } catch (const base::Error& error) {
    ASSERT_TRUE(one.error) << one.source << "\nfails: " << error.what();
    EXPECT_NE(error.kind(), base::ErrorKind::kBug);
    EXPECT_EQ(error.subject().substr(0, 2), "t:") << error.what();
  }
}

std::string name_of(const ::testing::TestParamInfo<Case>& info) {
  std::string name = info.param.name;
  for (auto& c : name)
    if (c == ' ') c = '_';
  return name;
}

INSTANTIATE_TEST_SUITE_P(All, Constructs, ::testing::ValuesIn(cases()), name_of);

}  // namespace

}  // namespace whit::jinja
