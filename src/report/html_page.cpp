#include "report/html_page.h"

#include <fmt/format.h>

#include <string_view>

#include "report/svg_plot.h"

namespace whit::report {

namespace {

constexpr std::string_view kStyle = R"(
:root { color-scheme: light dark; --ink: #1c1d20; --paper: #ffffff; --soft: #6b6f76; --rule: #dcdfe4;
  --bar: #3b74b9; --base: #9aa3ad; --error: #1c1d20; --s0: #3b74b9; --s1: #c2571a; --s2: #2f8a4c; --s3: #8a4fb0;
  --s4: #b0892a; --s5: #b23a5f; }
@media (prefers-color-scheme: dark) {
  :root { --ink: #e6e7ea; --paper: #17181b; --soft: #9aa0a8; --rule: #34373d; --bar: #6ea3e0;
    --base: #6b737d; --error: #e6e7ea; --s0: #6ea3e0; --s1: #ee9358; --s2: #6cc48a; --s3: #c08fe4;
    --s4: #dcb85a; --s5: #e57b9b; } }
body { background: var(--paper); color: var(--ink); font: 15px/1.45 system-ui, sans-serif;
  max-width: 1180px; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.4rem; } h2 { font-size: 1.1rem; margin-top: 2.2rem; }
p, figcaption { color: var(--soft); }
figcaption { overflow-wrap: anywhere; }
.plots { display: grid; grid-template-columns: repeat(auto-fit, minmax(20rem, 1fr)); gap: 1.5rem; }
figure { margin: 0; min-width: 0; display: flex; flex-direction: column; justify-content: space-between; }
svg { width: 100%; height: auto; }
.axis { stroke: var(--ink); } .grid { stroke: var(--rule); } .error { stroke: var(--error); }
.bar, .dot { fill: var(--bar); } .bar-base, .dot-base { fill: var(--base); }
.series { fill: none; stroke-width: 1.8; }
.s0 { stroke: var(--s0); } .s1 { stroke: var(--s1); } .s2 { stroke: var(--s2); }
.s3 { stroke: var(--s3); } .s4 { stroke: var(--s4); } .s5 { stroke: var(--s5); }
.key { display: inline-block; width: 2.2rem; height: .7rem; vertical-align: baseline; }
.label { fill: var(--ink); font: 12px system-ui, sans-serif; }
.scroll { overflow-x: auto; }
table { border-collapse: collapse; font-variant-numeric: tabular-nums; margin: 1rem 0; }
th, td { padding: .2rem .7rem; border-bottom: 1px solid var(--rule); text-align: right; }
th:first-child, td:first-child, td.left { text-align: left; }
code { font-size: .85em; }
)";

}  // namespace

std::string html_page(const std::string& title, const std::string& body) {
  return fmt::format(
      "<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\"/>\n<meta "
      "name=\"viewport\" content=\"width=device-width, initial-scale=1\"/>\n"
      "<title>{0}</title>\n<style>{1}</style>\n</head>\n<body>\n<h1>{0}</h1>\n{2}</body>\n</"
      "html>\n",
      escape_xml(title), kStyle, body);
}

}  // namespace whit::report
