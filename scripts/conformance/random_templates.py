"""Random templates over the variables of scripts/goldens/template_constructs.py.

Expressions have a kind: text, number, list, dict or truth; one in `WILD` takes any kind, so that errors come up too.
In a production {t}, {n}, {l}, {d}, {b} stand for further expressions of that kind.
"""
import random
import re

WILD = 40
ATOMS = {
    "t": ["'abc'", "''", "' a B '", "'x,y,,z'", "'Ünï😀ß'", "'a\\nb\\n'", "text", "wide", "html", "users[0].name", "mapping.a[4]", "missing|d('m')",
          "'5'", "'12.5'", "'%'", "'<b>'|e", "item|string", "ns.v|string", "'\\t \\u00a0x'", "'don\\'t'", "'TITLE case-word'", "users[1].city.name"],
    "n": ["1", "0", "-3", "2.5", "7", "100", "1e20", "number", "real", "loop.index", "users[0].age", "text|length", "users|length", "0.1", "-0.5",
          "mapping.b", "true", "12345678901", "1e-7", "3.0"],
    "l": ["[1, 2, 3]", "[3, 'a', none]", "['b', 'A', 'c', 'b']", "[]", "users", "users[1].tags", "users[0].tags", "mapping.a", "range(4)|list",
          "nested.list", "(1, 2)", "text.split()", "[[1, 2], [3]]", "range(5, 0, -2)", "mapping|list", "mapping.items()|list", "[2.5, 1, -3]"],
    "d": ["{}", "{'a': 1, 'b': [2]}", "mapping", "nested", "users[0]", "users[2]", "dict(x=1, y='z')", "{1: 'a', none: 2.5, 'k': {'l': []}}"],
    "b": ["true", "false", "yes", "loop.last", "loop.first", "missing is defined", "users[0].active", "none is none", "number > 40"],
}
MORE = {
    "t": ["{t} ~ {n}", "{t} ~ {t} ~ {l}", "{t} + {t}", "{t}|trim", "{t}|upper", "{t}|lower", "{t}|title", "{t}|capitalize", "{t}|replace('a', 'Z')",
          "({t}).strip()", "({t}).split(',')|join('+')", "({t}).replace('a', {t})", "({t}).title()", "({t})[1:]", "({t})[::-1]", "({t})[-3:]", "({t})[:2]",
          "{l}|join", "{l}|join(', ')", "{t}|tojson", "{l}|tojson", "{d}|tojson", "{l}|tojson(indent=2)", "{d}|tojson(indent=1, sort_keys=false)", "{n}|string",
          "{l}|string", "{d}|string", "{t}|indent(2)", "{t}|indent(3, true)", "{t}|e", "({t}).lstrip('a ')", "({t}).rstrip()", "{t} * 2", "{t} if {b} else {t}",
          "'%s-%s' % ({t}, {n})", "'{{}}:{{:>5}}'.format({n}, {t})", "({t}).upper()", "({t}).capitalize()", "({t}).swapcase()", "{t}|first|d('-')", "{t}|last|d('-')",
          "{t}|center(9)", "({t}).zfill(7)", "({t}).center(8, '*')", "{t}|default('d', true)", "({t}).partition(',')[0]", "({t}).rsplit(' ', 1)[-1]", "{t}|reverse",
          "{t}|string|safe ~ '<'", "m({t})", "m({n}, b={t})", "({t})|truncate(6)", "{t} or {t}", "{t} and {t}", "({t}).removeprefix('a')", "({n})|tojson", "'%5.2f|%03d' % ({n}, 7)",
          "({l}|map('string')|join('|'))", "({d}).keys()|join('/')", "{t}|urlencode", "({t}).format(1, a=2)", "(users|map(attribute='name')|join({t}))", "({t})[0]|d('')",
          "({t}).splitlines()|join('$')", "({t}).join(['p', 'q'])", "({t}).lower()", "({t}).expandtabs(3)"],
    "n": ["{n} + {n}", "{n} - {n}", "{n} * {n}", "{n} / 3", "{n} // 2", "{n} % 7", "-{n}", "{t}|length", "{l}|length", "{d}|length", "{n}|abs", "{n}|round(1)", "{n}|round",
          "{t}|int", "{t}|int(5)", "{t}|float", "{n}|int", "{n}|float", "({t}).find('b')", "({t}).count('a')", "[{n}, {n}]|sum", "[{n}, {n}]|max", "[{n}, {n}]|min",
          "{t}|wordcount", "{l}|count", "{n} ** 2", "({n}) if {b} else ({n})", "{n} or {n}", "users|sum(attribute='age')", "{l}|unique|list|length", "ns.v|int", "{n}|round(2, 'floor')"],
    "l": ["{l}|list", "{l}|reverse|list", "({l})[1:]", "({l})[::-1]", "({l})[:-1]", "({l})[::2]", "{l} + [{n}]|list", "({t}).split(',')", "({t}).split()", "({l}|map('string')|list)",
          "(users|selectattr('active')|list)", "(users|map(attribute='age')|list)", "(users|rejectattr('age', 'gt', 26)|list)", "({l}|select('string')|list)", "({l}|reject('none')|list)",
          "({d}|items|list)", "({d}).items()|list", "({d}).keys()|list", "({d}).values()|list", "({d}|list)", "({l}|batch(2)|list)", "({l}|slice(2)|list)", "(users|sort(attribute='name'))",
          "({t}|list)", "({l}|unique|list)", "['b', 'A', {t}]|sort", "[{n}, {n}, 1]|sort(reverse=true)", "({l}) if {b} else ({l})", "[{t}, {n}, {l}]", "({t}).partition('a')|list",
          "(users|groupby('age')|map('first')|list)", "({l}|map('default', 'z')|list)", "({d}|dictsort|list) if ({d})|length < 3 else []", "({l})*2", "({t}).splitlines()"],
    "d": ["({d}) if {b} else ({d})", "dict({d}, z={n})", "{{'k': {l}, {t}: {n}}}", "{{'a': {d}}}", "({d}).copy()", "{d} or {d}"],
    "b": ["{n} < {n}", "{n} == {n}", "{t} == {t}", "{t} in {t}", "{n} in {l}", "{t} not in {d}", "not {b}", "{b} and {b}", "{b} or {b}", "{l} == {l}", "({t}) is string", "({n}) is number",
          "({d}) is mapping", "({l}) is iterable", "({l}) is sequence", "({n}) is odd", "({n}) is divisibleby(2)", "missing is undefined", "({t}).startswith('a')", "({t}).endswith({t})",
          "({t}) is lower", "({n}) is integer", "({n}) is float", "({b}) is boolean", "({n}) is in({l})", "({t}).isdigit()", "({t}).isalpha()", "({l}) is not none", "{t} < {t}", "1 < {n} <= 50",
          "({d}).get('a') is none", "({t}) is escaped", "({b}) is true", "({n}) is gt(2)", "({t}).istitle()", "({t}).isupper()", "({t}).isspace()", "({n}) is eq({n})"],
}
STRANGE = ["{any}|{filter}", "{any} + {any}", "({any}).name", "({any})[0]", "({any})['a']", "{any} < {any}", "{any} % {any}", "({any}).nope.deeper", "missing.x", "{any}|nofilter", "({any})()"]
FILTERS = ["abs", "batch(2)", "capitalize", "count", "dictsort", "e", "first", "float", "groupby('age')", "int", "items", "join", "last", "length", "list", "lower", "map('upper')",
           "max", "min", "reverse", "round", "safe", "select", "sort", "string", "sum", "title", "tojson", "trim", "unique", "upper", "wordcount", "indent", "replace('a', 'b')",
           "format(1)", "attr('x')", "center", "urlencode", "xmlattr", "filesizeformat", "default", "random", "selectattr('x')"]
SPACE = ["", " ", "\n", "  \n", "\n  ", "x", " y ", "\n\n", "\t"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, options):
        return self.random.choice(options)

    def expression(self, kind, depth):
        if self.random.randrange(WILD) == 0:
            return self.fill(self.pick(STRANGE), depth)
        if kind == "any":
            kind = self.pick("tnldb")
        if depth <= 0 or self.random.random() < 0.25:
            return self.pick(ATOMS[kind])
        return self.fill(self.pick(MORE[kind]), depth)

    def fill(self, production, depth):
        def part(found):
            if found[0] in ("{{", "}}"):
                return found[0][0]
            if found[1] == "filter":
                return self.pick(FILTERS)
            inner = self.expression(found[1], depth - 1)
            return inner if re.fullmatch(r"[\w.]+|'[^'\\]*'", inner) else f"({inner})"

        return re.sub(r"\{\{|\}\}|\{(t|n|l|d|b|any|filter)\}", part, production)

    def tag(self, words):
        return "{%" + self.pick(["", "", "", "-", "+"]) + f" {words} " + self.pick(["", "", "", "-", "+"]) + "%}"

    def body(self, depth):
        parts = []
        for _ in range(self.random.randint(1, 3)):
            parts += [self.pick(SPACE), self.statement(depth), self.pick(SPACE)]
        return "".join(parts)

    def loop(self, depth):
        items = self.pick(["users", "[1, 2, 3]", "range(3)", "mapping", "missing", "text[:4]", f"({self.expression('l', 1)})"])
        test = self.pick(["", "", f" if {self.expression('b', 1)}", " if item is number", " if not ns.stop"])
        stop = self.pick(["", "", self.tag("if loop.index > 1") + self.tag("break") + self.tag("endif"),
                          self.tag("if item") + self.tag("continue") + self.tag("endif"), self.tag("set ns.stop = loop.index == 2")])
        return (self.tag(f"for item in {items}{test}") + self.body(depth - 1) + stop + "{{ loop.revindex }}{{ loop.previtem is defined }}"
                + self.pick(["", self.tag("else") + "none"]) + self.tag("endfor"))

    def statement(self, depth):
        kind = self.random.random()
        if depth <= 0 or kind < 0.45:
            return "{{" + self.pick(["", "", "", "-"]) + " " + self.expression("any", 2) + " " + self.pick(["", "", "-"]) + "}}"
        if kind < 0.57:
            return (self.tag(f"if {self.expression('b', 2)}") + self.body(depth - 1) + self.pick(["", self.tag(f"elif {self.expression('b', 1)}") + "E"])
                    + self.pick(["", self.tag("else") + self.body(depth - 1)]) + self.tag("endif"))
        if kind < 0.70:
            return self.loop(depth)
        if kind < 0.82:
            name, like = self.pick([("number", "n"), ("ns.v", "any"), ("fresh", "any"), ("text", "t"), ("yes", "b"), ("wide, real", "l")])
            value = "('w', 2.25)" if "," in name else self.expression(like, 2)
            return self.tag(f"set {name} = {value}") + "{{ number }}{{ fresh }}{{ text }}{{ ns.v }}"
        inner = self.body(depth - 1)
        if kind < 0.87:
            return self.tag(self.pick(["set cap", "set cap | trim", "set text", "set text | upper | replace('A', 'b')"])) + inner + self.tag("endset") + "{{ cap }}"
        if kind < 0.91:
            return self.tag(f"with item = {self.expression('any', 1)}, fresh = 1") + inner + self.tag("endwith")
        if kind < 0.94:
            return self.tag(self.pick(["filter upper", "filter trim", "filter replace('a', 'b') | title"])) + inner + self.tag("endfilter")
        if kind < 0.97:
            return self.tag("call(p) wrap()") + inner + "{{ p }}{{ number }}" + self.tag("endcall")
        return self.pick(["{#- c -#}", "{# c #}", "{% raw %} {{ x }} {% endraw %}", self.tag("generation") + inner + self.tag("endgeneration"),
                          self.tag("macro n(q)") + inner + "{{ q }}" + self.tag("endmacro") + "{{ n(3) }}"])

    def template(self):
        head = ("{% set ns = namespace(v=1, stop=false) %}{% macro m(a, b=2) %}<{{ a }}{{ b }}>{% endmacro %}"
                "{% macro wrap() %}[{{ caller(7) }}]{% endmacro %}")
        return head + self.body(self.random.randint(1, 3)) + self.pick(["", "\n", "\n\n"])


def make(count, seed):
    maker = Maker(seed)
    return [maker.template() for _ in range(count)]
