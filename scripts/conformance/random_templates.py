"""Random templates over the variables of scripts/goldens/template_constructs.py."""
import random

ATOMS = ["1", "0", "-3", "2.5", "7", "100", "1e20", "'abc'", "''", "' a B '", "'x,y,,z'", "'Ünï😀'", "'a\\nb'", "true", "false", "none",
         "missing", "text", "wide", "users", "users[0]", "mapping", "nested", "number", "real", "html", "none_value", "yes",
         "[1, 2, 3]", "[3, 'a', none]", "['b', 'A', 'c']", "[]", "{}", "{'a': 1, 'b': [2]}", "(1, 2)", "range(4)", "users[1].tags",
         "mapping.a", "ns.v", "ns", "loop.index", "loop.last", "item", "'%s'", "'{}-{}'", "'5'", "'<b>'|e", "[[1, 2], [3]]", "'12.5'"]
BINARY = ["+", "-", "*", "/", "//", "%", "~", "~", "+", "==", "!=", "<", ">=", "in", "not in", "and", "or"]
FILTERS = ["trim", "upper", "lower", "title", "capitalize", "length", "first", "last", "list", "string", "int", "float", "abs", "round",
           "sum", "sort", "unique|list", "reverse|list", "reverse", "join", "join('-')", "join(', ', attribute='name')", "tojson",
           "tojson(indent=1)", "items|list", "dictsort", "default('d')", "default('d', true)", "d", "e", "safe", "escape|upper",
           "indent", "indent(2, true)", "wordcount", "replace('a', 'Z')", "map('upper')|list", "map(attribute='name')|list",
           "selectattr('active')|list|length", "rejectattr('age', 'gt', 26)|map(attribute='name')|list", "select('string')|list",
           "reject('none')|list", "batch(2)|list", "slice(2)|list", "groupby('age')|length", "min", "max", "center(9)", "truncate(5)",
           "count", "round(1)", "int(9)", "sort(reverse=true)", "map('length')|list", "select|list", "attr('name')", "format(1, 'q')",
           "urlencode", "xmlattr", "filesizeformat", "sum(attribute='age')", "tojson(sort_keys=true)", "map('string')|join('|')"]
TESTS = ["defined", "undefined", "none", "string", "number", "integer", "float", "boolean", "mapping", "sequence", "iterable", "callable",
         "true", "false", "odd", "even", "lower", "upper", "escaped", "divisibleby(2)", "eq(1)", "in([1, 'a'])", "ne('a')", "gt(1)",
         "sameas(none)", "not none", "not string", "filter", "test"]
METHODS = ["upper()", "split(',')", "split()", "strip()", "lstrip(' a')", "rstrip()", "startswith('a')", "endswith('c')", "replace('a', 'b')",
           "title()", "find('b')", "get('a')", "get('z', 5)", "keys()|list", "values()|list", "items()|list", "count('a')", "index(1)",
           "join(['p', 'q'])", "name", "a", "b[0]", "length", "isdigit()", "splitlines()", "rsplit('a', 1)", "partition(',')", "zfill(6)",
           "capitalize()", "format(1, 2)", "swapcase()", "center(7, '*')", "copy()", "append(1)", "lower().upper()", "removeprefix('a')"]
SUBSCRIPTS = ["[0]", "[-1]", "[5]", "[1:]", "[:-1]", "[::-1]", "[::2]", "['a']", "['name']", "[:2]", "[-2:]", "[number]", "[none]", "[1:3]"]
SPACE = ["", " ", "\n", "  \n", "\n  ", "x", " y ", "\n\n", "\t"]


class Maker:
    def __init__(self, seed):
        self.random = random.Random(seed)

    def pick(self, options):
        return self.random.choice(options)

    def expression(self, depth):
        kind = self.random.random()
        if depth <= 0 or kind < 0.18:
            return self.pick(ATOMS)
        inner = self.expression(depth - 1)
        if kind < 0.40:
            return f"({inner})|{self.pick(FILTERS)}" if self.random.random() < 0.7 else f"{inner}|{self.pick(FILTERS)}"
        if kind < 0.52:
            return f"({inner}).{self.pick(METHODS)}"
        if kind < 0.62:
            return f"({inner}){self.pick(SUBSCRIPTS)}"
        if kind < 0.70:
            return f"({inner}) is {self.pick(TESTS)}"
        if kind < 0.90:
            other = self.expression(depth - 1)
            return self.pick([f"({inner}) {self.pick(BINARY)} ({other})", f"{inner} {self.pick(BINARY)} {other}"])
        if kind < 0.94:
            return f"{inner} if {self.expression(depth - 1)} else {self.expression(depth - 1)}"
        if kind < 0.97:
            return f"not {inner}"
        return self.pick([f"[{inner}, 1]", f"{{'k': {inner}}}", f"({inner},)", f"dict(a={inner})", f"m({inner})"])

    def begin(self):
        return "{%" + self.pick(["", "", "", "-", "+"])

    def end(self):
        return self.pick(["", "", "", "-", "+"]) + "%}"

    def tag(self, words):
        return f"{self.begin()} {words} {self.end()}"

    def body(self, depth, in_loop):
        parts = []
        for _ in range(self.random.randint(1, 3)):
            parts += [self.pick(SPACE), self.statement(depth, in_loop), self.pick(SPACE)]
        return "".join(parts)

    def statement(self, depth, in_loop):
        kind = self.random.random()
        if depth <= 0 or kind < 0.45:
            minus = self.pick(["", "", "", "-"])
            return "{{" + minus + " " + self.expression(2) + " " + self.pick(["", "", "-"]) + "}}"
        inner = self.body(depth - 1, in_loop)
        condition = self.expression(1)
        if kind < 0.57:
            return (self.tag(f"if {condition}") + inner + self.pick(["", self.tag(f"elif {self.expression(1)}") + "E"])
                    + self.pick(["", self.tag("else") + self.body(depth - 1, in_loop)]) + self.tag("endif"))
        if kind < 0.72:
            items = self.pick(["users", "[1, 2, 3]", "range(3)", "mapping", "missing", "text[:4]", self.expression(1)])
            test = self.pick(["", "", f" if {self.expression(1)}", " if item is number"])
            stop = self.pick(["", "", self.tag("if loop.index > 1") + self.tag("break") + self.tag("endif"),
                              self.tag("if item") + self.tag("continue") + self.tag("endif")])
            return (self.tag(f"for item in {items}{test}") + self.body(depth - 1, True) + stop + inner
                    + self.pick(["", self.tag("else") + "none"]) + self.tag("endfor"))
        if kind < 0.84:
            return self.tag(self.pick([f"set number = {condition}", f"set ns.v = {condition}", f"set fresh = {condition}", f"set item = {condition}",
                                       f"set text = {condition}"])) + "{{ number }}{{ fresh }}{{ text }}"
        if kind < 0.89:
            return self.tag(self.pick(["set cap", "set cap | trim", "set text"])) + inner + self.tag("endset") + "{{ cap }}"
        if kind < 0.93:
            return self.tag(f"with item = {condition}") + inner + self.tag("endwith")
        if kind < 0.96:
            return self.tag(self.pick(["filter upper", "filter trim", "filter replace('a', 'b')"])) + inner + self.tag("endfilter")
        if kind < 0.98:
            return self.tag("call(p) wrap()") + inner + "{{ p }}" + self.tag("endcall")
        return self.pick(["{#- c -#}", "{# c #}", "{% raw %} {{ x }} {% endraw %}", self.tag("generation") + inner + self.tag("endgeneration")])

    def template(self):
        head = "{% set ns = namespace(v=1) %}{% macro m(a, b=2) %}<{{ a }}{{ b }}>{% endmacro %}{% macro wrap() %}[{{ caller(7) }}]{% endmacro %}"
        return head + self.body(self.random.randint(1, 3), False) + self.pick(["", "\n", "\n\n"])


def make(count, seed):
    maker = Maker(seed)
    return [maker.template() for _ in range(count)]
