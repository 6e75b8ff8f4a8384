"""Small templates that exercise every construct, (name, template), all over the variables DATA."""

DATA = {
    "users": [
        {"name": "Ann", "age": 31, "tags": ["x", "y"], "active": True, "city": {"name": "Rome"}},
        {"name": "bob", "age": 25, "tags": [], "active": False, "city": {"name": "Bern"}},
        {"name": "Cid", "age": 31, "tags": ["z"], "active": True, "city": {"name": "rome"}},
    ],
    "text": "The quick brown fox",
    "wide": "Größe: 世界 😀",
    "none_value": None,
    "number": 42,
    "real": 2.5,
    "yes": True,
    "mapping": {"b": 1, "a": [1, 2.0, None, True, "it's", 'say "x"', "both ' and \""], "items": 3},
    "nested": {"list": [[1, [2, [3]]], {"k": {"l": "m"}}]},
    "children": [{"v": 1, "c": [{"v": 2, "c": []}, {"v": 3, "c": [{"v": 4, "c": []}]}]}],
    "html": "<a href='x'>\"&\"</a>",
}


def group(prefix, templates):
    return [(f"{prefix} {k}", template) for k, template in enumerate(templates, 1)]


LITERALS = [
    "{{ 1 }} {{ 1.0 }} {{ 1e3 }} {{ 1_000 }} {{ 0x1F }} {{ 0o17 }} {{ 0b101 }} {{ 1.5e-7 }} {{ 1E+2 }}",
    r'''{{ 'a\nb\t\\ \x41 \u00e9 \101 \q \'' }} {{ "x" 'y' "z" }} {{ '\N{BULLET}' }} {{ 'é\é' }}''',
    "{{ true }} {{ True }} {{ false }} {{ False }} {{ none }} {{ None }}",
    "{{ [1, 'a', none, true, 2.0] }} {{ (1,) }} {{ () }} {{ (1, 2) }} {{ {'a': 1, 2: 'b', none: 3} }} {{ [] }} {{ {} }}",
    "{{ ['it\\'s', 'say \"x\"', 'both \\' \"', '\\\\', '\\n', '\\x07', 'é', '\\u200b'] }}",
    "{{ {'a': 1, 'a': 2, 1: 'x', 1.0: 'y', true: 'z'} }}",
    "{{ [1, 2,] }} {{ {'a': 1,} }} {{ (1, 2,) }} {{ 1, 2 }}",
    "{{ 1e16 }} {{ 1e15 }} {{ 123456789.123456789 }} {{ 0.1 + 0.2 }} {{ 1e-4 }} {{ 1e-5 }} {{ -0.0 }} {{ 5e-324 }} {{ 1e308 * 10 }} {{ 100.0 }}",
    "{{ 123456789012345678901234567890 }} {{ 9223372036854775807 + 1 }}",
    "{{ mapping }} {{ nested }} {{ wide }} {{ [wide, html] }}",
]

OPERATORS = [
    "{{ 1 + 2 * 3 - 4 / 2 }} {{ 7 // 2 }} {{ -7 // 2 }} {{ 7 % 3 }} {{ -7 % 3 }} {{ 7.5 % 2 }} {{ -7.5 // 2 }} {{ 2 ** 10 }} {{ 2 ** -1 }} {{ 2 ** 3 ** 2 }}",
    "{{ 'a' + 'b' }} {{ 'ab' * 3 }} {{ 2 * 'x' }} {{ [1] + [2] }} {{ [0] * 3 }} {{ (1,) + (2,) }} {{ 'a' * -1 }}|",
    "{{ 'a' ~ 1 ~ 2.0 ~ none ~ true ~ [1] ~ missing }}",
    "{{ 1 < 2 < 3 }} {{ 1 < 3 < 2 }} {{ 1 == 1.0 }} {{ true == 1 }} {{ 'a' < 'b' }} {{ [1, 2] < [1, 3] }} {{ 1 != 2 }} {{ 'a' == 'a' == 'a' }}",
    "{{ 1 in [1, 2] }} {{ 'b' in 'abc' }} {{ 'k' not in {'k': 1} }} {{ 3 not in [1] }} {{ 'x' in missing }} {{ 1 in (1, 2) }} {{ 2 in range(3) }}",
    "{{ not true }} {{ not 0 }} {{ 1 and 2 }} {{ 0 or 'x' }} {{ '' or none }} {{ [] and 1 }} {{ not 1 == 2 }}",
    "{{ 'yes' if number > 40 else 'no' }} {{ 'yes' if false }}| {{ 1 if 0 else 2 if 0 else 3 }}",
    "{{ -number }} {{ +number }} {{ -number ** 2 }} {{ - 2 }} {{ 3 - -2 }} {{ -1|abs }} {{ (-1)|abs }}",
    "{{ 10 / 4 }} {{ 10 / 5 }} {{ 1 / 3 }} {{ true + true }} {{ 3 * 1.0 }}",
    "{{ '%s is %d years, %.2f %5.1f|%-5s|%05d %x %%' % ('Ann', 31, 2.5, 3.14159, 'ab', 42, 255) }}",
    "{{ '%(a)s-%(b)03d' % {'a': 'x', 'b': 7} }} {{ '%s' % 'only' }} {{ '%r' % 'q' }} {{ '%+d %e %g' % (5, 12345.678, 0.0001) }}",
    "{{ {'a': 1} == {'a': 1.0} }} {{ [1] == (1,) }} {{ none == none }} {{ missing == absent }} {{ range(3) == range(0, 3) }}",
]

ACCESS = [
    "{{ users[0].name }} {{ users[-1]['name'] }} {{ users[0].city.name }} {{ users.0.name }}",
    "{{ text[0] }} {{ text[-1] }} {{ text[4:9] }} {{ text[::-1] }} {{ text[:3] }} {{ text[-3:] }} {{ text[1:10:3] }} {{ text[100:] }}| {{ wide[2] }} {{ wide[7:] }} {{ wide[::-1] }}",
    "{{ [1, 2, 3, 4, 5][1:-1] }} {{ [1, 2, 3][::-1] }} {{ [1, 2, 3][5:] }} {{ (1, 2, 3)[:2] }} {{ [1, 2, 3, 4][::2] }} {{ [1, 2, 3, 4][3:0:-1] }} {{ range(10)[2:8:2] }}",
    "{{ mapping.items is callable }} {{ mapping['items'] }} {{ mapping.get('items') }} {{ mapping.get('zz') }} {{ mapping.get('zz', 7) }}",
    "{{ mapping.missing }}|{{ users[9] }}|{{ text.missing }}|{{ number.foo }}|{{ none_value.foo }}|{{ users['x'] }}",
    "{{ mapping.keys() }} {{ mapping.values() }} {{ {'a': 1}.items() }} {{ mapping.keys()|list }} {{ 'a' in mapping.keys() }} {{ mapping.items()|length }}",
    "{{ users.append is defined }} {{ users.index(users[1]) }} {{ [1, 1, 2].count(1) }} {{ (3, 4).index(4) }}",
    "{{ number.__class__ }}|{{ text.__len__ }}|{{ ''.__class__.__mro__ is defined }}",
]

UNDEFINED = [
    "{{ missing }}|{{ missing|length }}|{{ missing|list }}|{{ missing|upper }}|{{ missing|join(',') }}|{% for x in missing %}x{% else %}none{% endfor %}",
    "{{ missing is defined }} {{ missing is undefined }} {{ missing is none }} {{ missing is string }} {{ missing is iterable }} {{ missing is sequence }} {{ missing is callable }} {{ missing is mapping }}",
    "{{ missing|default('d') }} {{ none_value|default('d') }} {{ none_value|default('d', true) }} {{ ''|d('e', boolean=true) }} {{ missing|d }}|",
    "{{ missing.attribute }}", "{{ missing['x'] }}", "{{ missing() }}", "{{ missing + 'x' }}", "{{ 'x' + missing }}",
    "{{ mapping.nope.deeper }}", "{{ users[7].name }}", "{{ none_value.x.y }}", "{{ missing < 1 }}", "{{ -missing }}",
    "{{ missing|int }}", "{{ missing|tojson }}", "{{ [missing] }}", "{{ missing * 2 }}", "{{ missing|items|list }}",
    "{{ missing|first }}|{{ missing|last }}|{{ missing|sum }}|{{ missing|sort }}|{{ missing|reverse|list }}|{{ missing|map('upper')|list }}",
    "{{ (1 if false).x }}", "{{ missing|trim }}|{{ missing|replace('a', 'b') }}|{{ missing|string }}|{{ missing ~ '' }}|{{ missing|e }}|",
]

BLOCKS = [
    "{% if yes %}a{% elif number %}b{% else %}c{% endif %}{% if not yes %}a{% elif number == 42 %}b{% else %}c{% endif %}{% if none_value %}a{% elif 0 %}b{% else %}c{% endif %}",
    "{% for u in users %}{{ loop.index }}{{ loop.index0 }}{{ loop.revindex }}{{ loop.revindex0 }}{{ loop.first }}{{ loop.last }}{{ loop.length }} {{ u.name }};{% endfor %}",
    "{% for u in users %}{{ loop.previtem.name if loop.previtem is defined }}<{{ u.name }}>{{ loop.nextitem.name if not loop.last }} {% endfor %}",
    "{% for k, v in mapping.items() %}{{ k }}={{ v }};{% endfor %}{% for k in mapping %}{{ k }}{% endfor %}{% for c in 'añ' %}[{{ c }}]{% endfor %}",
    "{% for x in [1, 2, 3, 4] if x is even %}{{ loop.index }}:{{ x }} {{ loop.length }} {% else %}none{% endfor %}{% for x in [1] if x > 1 %}x{% else %}none{% endfor %}",
    "{% for x in range(6) %}{% if x == 1 %}{% continue %}{% endif %}{% if x == 4 %}{% break %}{% endif %}{{ x }}{% endfor %}",
    "{% for x in [1] %}{% continue %}{% else %}else after continue{% endfor %}{% for x in [1] %}{% break %}{% else %} else after break{% endfor %}",
    "{% for a, (b, c) in [(1, (2, 3)), [4, [5, 6]]] %}{{ a }}{{ b }}{{ c }} {% endfor %}",
    "{% for x in children recursive %}{{ loop.depth }}{{ loop.depth0 }}:{{ x.v }}({{ loop(x.c) }}){% endfor %}",
    "{% for x in [1, 2] %}{% for y in [3, 4] %}{{ loop.index }}{{ x }}{{ y }} {% endfor %}{{ loop.index }}{% endfor %}",
    "{% for x in 'abcd' %}{{ loop.cycle('odd', 'even') }} {{ loop.changed(x < 'c') }} {% endfor %}",
    "{% set x = 1 %}{% for i in [1, 2] %}{{ x }}{% set x = x + i %}{{ x }} {% endfor %}{{ x }}",
    "{% set ns = namespace(x=1, l=[]) %}{% for i in [1, 2] %}{% set ns.x = ns.x + i %}{% set ns.l = ns.l + [i] %}{% endfor %}{{ ns.x }} {{ ns.l }} {{ ns.nope }}| {{ ns }}",
    "{% set a, b = 1, 2 %}{% set (c, d) = [3, 4] %}{{ a }}{{ b }}{{ c }}{{ d }}{% set ns = namespace() %}{% set ns.p, q = 5, 6 %}{{ ns.p }}{{ q }}",
    "{% set b %}  <{{ number }}>\n{% endset %}[{{ b }}]{% set u | upper | trim %} abc {% endset %}[{{ u }}]",
    "{% set x = 1 %}{% if true %}{% set x = 2 %}{% endif %}{{ x }}{% if false %}{% set y = 1 %}{% endif %}{{ y is defined }}",
    "{% with a = 1, b = number %}{{ a }}{{ b }}{% set a = 5 %}{{ a }}{% endwith %}{{ a is defined }}{% with %}{% set z = 1 %}{{ z }}{% endwith %}",
    "{% filter upper %}abc {{ text }}{% endfilter %}{% filter replace('a', 'b')|trim %} aaa {% endfilter %}",
    "{% macro m(a, b='B', c=a) %}{{ a }}-{{ b }}-{{ c }};{% endmacro %}{{ m('x') }}{{ m(1, 2, 3) }}{{ m(b=5, a=4) }}{{ m() }}",
    "{% macro m() %}{{ varargs }}{{ kwargs }}{% endmacro %}{{ m(1, 2, x=3) }}{{ m() }}",
    "{% macro box(t) %}[{{ t }}:{{ caller('in') }}]{% endmacro %}{% call(x) box('title') %}{{ x }}-{{ number }}{% endcall %}",
    "{% macro a() %}{{ caller() if caller is defined else 'no' }}{% endmacro %}{% call a() %}yes{% endcall %}",
    "{% macro fact(n) %}{% if n <= 1 %}1{% else %}{{ n * (fact(n - 1)|int) }}{% endif %}{% endmacro %}{{ fact(6) }}",
    "{% macro m(x) %}{{ x }}{% endmacro %}{{ m.name }} {{ m.arguments }} {{ m.catch_kwargs }} {{ m.caller }} {{ m }}",
    "{% set x = 'outer' %}{% macro m() %}{{ x }}{% set x = 'inner' %}{{ x }}{% endmacro %}{{ m() }}{{ x }}{% set x = 'later' %}{{ m() }}",
    "{% for i in [1, 2] %}{% macro m() %}<{{ i }}>{% endmacro %}{{ m() }}{% endfor %}{{ m is defined }}",
    "{% for j in [1] %}{{ number }}{% endfor %}{% set number = 1 %}{{ number }}",
    "{% if yes %}{{ number }}{% set number = 1 %}{% endif %}{{ number }}",
    "{% generation %}a{{ number }}{% set q = 1 %}{% endgeneration %}{{ q is defined }}",
    "{% block one %}[{{ number }}]{% endblock %}{% set v = 3 %}{% block two %}{{ v }}{{ self.one() }}{% endblock %}",
    "{% for x in [1, 2] %}{% block b scoped %}{{ x }}{% endblock %}{% endfor %}{% for x in [1] %}{% block c %}{{ x is defined }}{% endblock %}{% endfor %}",
    "{% raw %}{{ not }} {% this %}{% endraw %} {%- raw -%}  x  {%- endraw -%}  y",
    "{% autoescape true %}{{ html }}{{ html|safe }}{{ '<b>'|e }}{{ ['<', '>'|safe]|join('&') }}{{ text ~ (html|safe) ~ '<' }}{% endautoescape %}{{ html }}",
    "{% set ns = namespace(stop=false) %}{% for x in [1, 2, 3, 4] if not ns.stop %}{{ x }}{% if x == 2 %}{% set ns.stop = true %}{% endif %}{% endfor %}",
    "{% print 'x', number %}{% if (1, 2) %}t{% endif %}{% for x in 1, 2 %}{{ x }}{% endfor %}",
    "{% set c = cycler('a', 'b') %}{{ c.next() }}{{ c.current }}{{ c.next() }}{{ c.next() }}{% set j = joiner('|') %}{{ j() }}x{{ j() }}y{{ j() }}",
    "{% set x = 0 %}{% for i in [1, 2, 3] %}{% if i == 2 %}{% set x = i %}{% endif %}{{ x }}{% endfor %}",
    "{% for m in users -%}  {% set label = m.name %} {{- label }}{% endfor %}{{ label is defined }}",
]

SPACE = [
    "  {% if true %}\n  a\n  {% endif %}\nb\n",
    "x {% if true %} y {% endif %} z\n\n",
    "{%- if true -%}\n  a  \n{%- endif -%}\n  b",
    "  {{ 1 }}  \n  {{- 2 }}\n{{ 3 -}}  \n  4",
    "a\n  {#- comment -#}  \n b {# c #}\n  {# d #}\n c",
    "  {%+ if true %}\nx\n  {%+ endif %}\ny",
    "{% if true +%}\nx\n{% endif +%}\ny\n",
    "\t {% set x = 1 %}\n\t{{ x }}\n\t {% set y = 2 -%} \n z",
    "a\r\nb\rc\n{% if true %}\r\nd\r\n{% endif %}\r\n",
    "{% for x in [1, 2] %}\n  {{ x }}\n{% endfor %}\n{% for x in [1, 2] -%}\n  {{ x }}\n{%- endfor %}\n",
    "{#\n multi\n line #}\nx{# y #}z{#- a -#} b",
    "{% raw -%}\n  {{ x }}\n  {%- endraw %}\nend\n",
    "  {% raw %}\n  a {% endraw %}\nb",
    "{{ '\n' }}{{ \"a\r\nb\" }}",
    "one {%- set x = 1 %} two {%- set y = 2 -%} three",
    "line\n    {%- if true %} a{% endif %}\n   {% if true %}b{% endif %}",
    "\n\n{% if true %}\n\n x{% endif %}\n\n",
    "{{- 1 -}}{{+2}}{{-3}}",
    "\u00a0 {% if true %}\u2003x{% endif %} \u00a0{%- set a = 1 -%}\u3000y",
]

FILTERS = [
    "{{ '  a b '|trim }}|{{ 'xxaxx'|trim('x') }}|{{ 42|trim }}|{{ text|upper }}|{{ text|lower }}|{{ 'hELLO wORLD foo-bar (baz'|title }}|{{ 'hELLO'|capitalize }}",
    "{{ 'straße'|upper }} {{ 'ΑΣ'|lower }} {{ 'ǆ'|title }} {{ 'ﬁn'|capitalize }} {{ 'İ'|lower|length }}",
    "{{ text|replace('quick', 'slow') }} {{ 'aaaa'|replace('a', 'b', 2) }} {{ 'abc'|replace('', '-') }} {{ 121|replace(1, 'x') }}",
    "{{ [1, 2, 3]|join }} {{ [1, 2, 3]|join(', ') }} {{ users|join('; ', attribute='name') }} {{ 'abc'|join('-') }} {{ [none, true, 1.0]|join(' ') }}",
    "{{ text|length }} {{ wide|length }} {{ users|count }} {{ mapping|length }} {{ ''|length }} {{ range(5)|length }}",
    "{{ [3, 1, 2]|first }} {{ [3, 1, 2]|last }} {{ []|first }}| {{ 'xyz'|first }}{{ 'xyz'|last }} {{ mapping|first }} {{ mapping|last }}",
    "{{ html|tojson }} {{ wide|tojson }} {{ mapping|tojson }} {{ nested|tojson(indent=2) }} {{ [1, {'a': []}, {}]|tojson(indent=4) }}",
    "{{ wide|tojson(ensure_ascii=true) }} {{ mapping|tojson(separators=(',', ':')) }} {{ mapping|tojson(sort_keys=true) }} {{ [1, 2]|tojson(indent='--') }} {{ [1]|tojson(indent=0) }}",
    "{{ {1: 'a', none: 2, true: 3, 2.5: 4}|tojson }} {{ (1, 2)|tojson }} {{ 1e16|tojson }} {{ -0.0|tojson }} {{ 'a\\x07\\x7f\\u2028'|tojson }} {{ 1e-7|tojson }}",
    "{{ mapping|items|list }} {% for k, v in mapping|items %}{{ k }}{% endfor %} {{ mapping|list }} {{ 'ab'|list }} {{ range(3)|list }}",
    "{{ users|map(attribute='name')|list }} {{ users|map(attribute='city.name')|join(',') }} {{ ['a', 'b']|map('upper')|list }} {{ users|map(attribute='zip', default='-')|list }} {{ ['1', 'x']|map('int', -1)|list }}",
    "{{ users|selectattr('active')|map(attribute='name')|list }} {{ users|rejectattr('active')|map(attribute='name')|list }} {{ users|selectattr('age', 'equalto', 31)|list|length }} {{ users|selectattr('age', '>', 30)|map(attribute='age')|list }} {{ users|selectattr('zip', 'defined')|list }}",
    "{{ [1, 2, 3, 4]|select('even')|list }} {{ [1, 2, 3, 4]|reject('divisibleby', 3)|list }} {{ [0, 1, '', 'a', none]|select|list }} {{ [0, 1]|reject|list }} {{ ['a', 'b']|select('in', ['b'])|list }}",
    "{{ {'b': 2, 'A': 3, 'c': 1}|dictsort }} {{ {'b': 2, 'A': 3}|dictsort(true) }} {{ {'b': 2, 'a': 3}|dictsort(by='value', reverse=true) }}",
    "{{ 42|string ~ 1 }} {{ '42'|int }} {{ '4.7'|int }} {{ 'x'|int }} {{ 'x'|int(7) }} {{ '0x1f'|int(base=16) }} {{ 4.9|int }} {{ true|int }} {{ ' 7 '|int }} {{ '1_0'|int }} {{ none_value|int }} {{ '-3'|int }} {{ '1e3'|int }}",
    "{{ '1.5'|float }} {{ 'x'|float }} {{ 'x'|float(2) }} {{ 3|float }} {{ 'inf'|float }} {{ '1e400'|float }} {{ none_value|float }} {{ 'nan'|float }}",
    "{{ 42.55|round }} {{ 42.55|round(1) }} {{ 2.5|round }} {{ 3.5|round }} {{ 42.55|round(1, 'floor') }} {{ 42.1|round(0, 'ceil') }} {{ 42|round }} {{ 1234.5|round(-2) }} {{ 1250|round(-2) }} {{ 0.15|round(1) }} {{ 2.675|round(2) }}",
    "{{ -5|abs }} {{ (-2.5)|abs }} {{ [1, 2, 3.5]|sum }} {{ users|sum(attribute='age') }} {{ [1]|sum(start=10) }} {{ [[1], [2]]|sum(start=[]) }}",
    "{{ [3, 1, 2]|sort }} {{ ['b', 'A', 'c']|sort }} {{ ['b', 'A', 'c']|sort(case_sensitive=true) }} {{ [1, 3, 2]|sort(reverse=true) }} {{ users|sort(attribute='age,name')|map(attribute='name')|list }} {{ users|sort(attribute='age', reverse=true)|map(attribute='name')|list }}",
    "{{ ['a', 'A', 'b', 'a']|unique|list }} {{ ['a', 'A']|unique(true)|list }} {{ users|unique(attribute='age')|map(attribute='name')|list }} {{ [1, 1.0, true, 2]|unique|list }}",
    "{{ [1, 2, 3]|reverse|list }} {{ 'abc'|reverse }} {{ wide|reverse }} {{ range(3)|reverse|list }} {{ mapping|reverse|list }}",
    "{{ 'a\nb\n\nc'|indent }}| {{ 'a\nb'|indent(2, true) }}| {{ 'a\n\nb'|indent(2, blank=true) }}| {{ 'a\nb'|indent('> ') }} {{ 'a\n'|indent }}|{{ ''|indent(2, true) }}|",
    "{{ html|e }} {{ html|escape|e }} {{ html|safe }} {{ (html|e) + '<' }} {{ '<' + (html|e) }} {{ ('<'|safe) * 2 }} {{ html|forceescape }} {{ ['<'|safe, '<'] }}",
    "{{ text|wordcount }} {{ 'a-b c_d  é1'|wordcount }} {{ text|center(30) }}| {{ 'ab'|center(5) }}| {{ 'abc'|center(6) }}|",
    "{% for row in range(7)|batch(3) %}{{ row }}{% endfor %} {% for row in range(7)|batch(3, 'x') %}{{ row }}{% endfor %} {% for c in range(7)|slice(3) %}{{ c }}{% endfor %} {% for c in range(7)|slice(3, 'x') %}{{ c }}{% endfor %}",
    "{% for city, us in users|groupby('city.name') %}{{ city }}:{{ us|map(attribute='name')|join(',') }} {% endfor %}{% for g in users|groupby('age') %}{{ g.grouper }}={{ g.list|length }} {% endfor %}{{ users|groupby('zip', default='?')|length }}",
    "{{ [3, 1, 2]|min }} {{ [3, 1, 2]|max }} {{ ['b', 'A']|min }} {{ []|max }}| {{ users|max(attribute='age') == users[0] }} {{ users|min(attribute='age') == users[1] }}",
    "{{ 'foo bar baz qux'|truncate(9) }} {{ 'foo bar baz qux'|truncate(9, true) }} {{ 'foo bar baz qux'|truncate(11) }} {{ 'foo bar baz qux'|truncate(11, false, '...', 0) }}",
    "{{ '%s-%s'|format(1, 'b') }} {{ '%(x)s'|format(x=3) }} {{ users[0]|attr('name') is defined }} {{ text|attr('upper') is callable }}",
    "{{ 1000|filesizeformat }} {{ 1|filesizeformat }} {{ 123456789|filesizeformat }} {{ 1024|filesizeformat(true) }} {{ 'a b/ü?'|urlencode }} {{ {'a': 1, 'b c': 'd&e'}|urlencode }} {{ {'class': 'x', 'id': none, 'q': '<'}|xmlattr }}",
    "{{ users|selectattr('age') is iterable }} {{ users|selectattr('age') is sequence }} {% set g = [1, 2]|select %}{{ g|list }}{{ g|list }} {% if []|select %}true{% endif %}",
]

TESTS = [
    "{{ 1 is odd }} {{ 2 is even }} {{ 6 is divisibleby 3 }} {{ 6 is divisibleby(4) }} {{ 1 is number }} {{ 1.0 is float }} {{ 1 is integer }} {{ true is integer }} {{ true is number }} {{ true is boolean }} {{ 1 is boolean }}",
    "{{ text is string }} {{ users is sequence }} {{ text is sequence }} {{ mapping is sequence }} {{ mapping is mapping }} {{ users is mapping }} {{ users is iterable }} {{ 1 is iterable }} {{ none is none }} {{ range(2) is sequence }} {{ none is iterable }}",
    "{{ 'abc' is lower }} {{ 'ABC' is upper }} {{ 'aBc' is lower }} {{ '1' is upper }} {{ true is true }} {{ 1 is true }} {{ false is false }} {{ 0 is false }}",
    "{{ 1 is eq 1 }} {{ 1 is equalto(2) }} {{ 1 is ne 2 }} {{ 1 is lt 2 }} {{ 1 is ge 2 }} {{ 2 is greaterthan 1 }} {{ 1 is in [1, 2] }} {{ 1 is not in [1] }} {{ 'a' is in 'abc' }} {{ none is sameas none }}",
    "{{ range is callable }} {{ text.upper is callable }} {{ 'upper' is filter }} {{ 'nope' is filter }} {{ 'even' is test }} {{ 'x'|e is escaped }} {{ 'x' is escaped }}",
    "{{ 1 is defined and 2 is even }} {{ not x is defined }} {{ x is not defined }} {{ 5 is odd or false }} {{ 'a' ~ 1 is string }}",
    "{{ 1 is string is defined }}",
]

METHODS = [
    "{{ 'a,b,,c'.split(',') }} {{ ' a  b '.split() }} {{ 'a b c'.split(' ', 1) }} {{ 'a-b-c'.rsplit('-', 1) }} {{ 'a b c'.split(maxsplit=1) }} {{ 'a  b c'.rsplit(none, 1) }} {{ ''.split() }} {{ ''.split(',') }}",
    "{{ ' x '.strip() }}| {{ 'xxaxx'.strip('x') }} {{ '  a'.lstrip() }} {{ 'a  '.rstrip() }}| {{ 'abcab'.lstrip('ba') }} {{ 'a\n'.rstrip('\n') }}| {{ '\u3000a\u00a0'.strip() }}|",
    "{{ text.startswith('The') }} {{ text.endswith('fox') }} {{ text.startswith(('a', 'T')) }} {{ text.startswith('quick', 4) }} {{ text.endswith('quick', 0, 9) }}",
    "{{ text.upper() }} {{ text.lower() }} {{ text.title() }} {{ \"it's a dog\".title() }} {{ 'abc'.capitalize() }} {{ 'aBc'.swapcase() }} {{ 'ß'.upper() }} {{ 'ß'.casefold() }}",
    "{{ text.find('q') }} {{ text.find('z') }} {{ wide.find('世') }} {{ text.rfind('o') }} {{ text.index('b') }} {{ text.count('o') }} {{ 'aaa'.count('aa') }} {{ 'abc'.count('') }} {{ 'abc'.find('c', -1) }}",
    "{{ 'a-b-c'.replace('-', '+') }} {{ 'aaa'.replace('a', 'b', 2) }} {{ ', '.join(['a', 'b']) }} {{ 'a=b=c'.partition('=') }} {{ 'a=b=c'.rpartition('=') }} {{ 'abc'.partition('x') }}",
    "{{ 'ab'.center(6, '*') }} {{ 'ab'.ljust(4) }}| {{ 'ab'.rjust(4, '.') }} {{ '-5'.zfill(4) }} {{ '5'.zfill(3) }} {{ 'a\\tb'.expandtabs(4) }} {{ 'prefix-x'.removeprefix('prefix-') }} {{ 'x.txt'.removesuffix('.txt') }}",
    "{{ 'a\nb\r\nc'.splitlines() }} {{ 'a\nb'.splitlines(true) }} {{ 'abc'.isalpha() }} {{ '12'.isdigit() }} {{ 'a1'.isalnum() }} {{ ' '.isspace() }} {{ 'Ab'.istitle() }} {{ 'ab'.islower() }} {{ 'AB'.isupper() }} {{ '½'.isnumeric() }} {{ '½'.isdecimal() }} {{ 'a_1'.isidentifier() }} {{ 'é'.isascii() }} {{ 'a\\x07'.isprintable() }} {{ ''.isalpha() }}",
    "{{ '{} {}'.format(1, 'a') }} {{ '{1}{0}'.format('a', 'b') }} {{ '{x:>5}|{y:05.1f}|{z!r}'.format(x='a', y=3.14159, z='q') }} {{ '{:,}'.format(1234567) }} {{ '{:.2%}'.format(0.256) }} {{ '{{}}'.format() }} {{ '{0.name} {0[age]}'.format(users[0]) }}",
    "{{ '{:<6}|{:^6}|{:*^7}|{:+d}|{:x}|{:#o}|{:e}'.format('a', 'b', 'c', 5, 255, 8, 12345.678) }} {{ '{:.3}'.format('abcdef') }} {{ '{:6.2f}'.format(2) }} {{ '{:g}'.format(0.0001) }} {{ '{}'.format(none_value) }} {{ '{:_}'.format(1234567) }} {{ '{:010,}'.format(1234) }} {{ '{:05,}'.format(123) }} {{ '{:04,}'.format(123) }} {{ '{:012,.2f}'.format(1234.5) }}",
    "{{ dict(a=1, b=2) }} {{ dict([('x', 1)]) }} {{ dict({'a': 1}, b=2) }} {{ dict() }} {{ {'a': 1}.copy() }} {{ dict(a=1).get('a') }}",
    "{{ range(3) }} {{ range(1, 4)|list }} {{ range(5, 0, -2)|list }} {{ range(3)|length }} {{ range(0)|list }} {{ range(3)[1] }} {{ range(3)[-1] }} {{ range(3)[9] }}|",
    "{{ users.pop }}|{{ mapping.update }}|{{ users.append(1) }}", "{{ mapping.pop('a') }}",
    "{{ strftime_now('%Y-%m-%d') }} {{ strftime_now('%d %b %Y %H:%M:%S %j %A %B %p %%') }} {{ strftime_now('') }}|",
    "{{ (2.0).is_integer() }} {{ (5).bit_length() }} {{ 5.real }}",
    "{{ '%s' % none_value }} {{ '%s %s' % (1, [2]) }} {{ '%5d|%-5d|%05.1f' % (3, 4, 2.25) }} {{ '%c%c' % ('a', 98) }} {{ '%.3s' % 'abcdef' }} {{ '%#x %o' % (255, 8) }}",
]

ERRORS = [
    "{{ raise_exception('Conversation roles must alternate: ' ~ number) }}", "{% if x %}", "{% for x in y %}{% endif %}", "{{ 1 + }}",
    "{{ x|nofilter }}", "{{ x is notest }}", "{% if false %}{{ x|nofilter }}{% endif %}ok", "{% if true %}{{ x|nofilter }}{% endif %}",
    "{{ 1/0 }}", "{{ 1 // 0 }}", "{{ 'a' + 1 }}", "{{ 1 + 'a' }}", "{{ [] + {} }}", "{{ none|length }}", "{% for x in none %}{% endfor %}", "{% for x in 5 %}{% endfor %}",
    "{% set a, b = [1] %}", "{% set a, b = [1, 2, 3] %}", "{{ number.upper() }}", "{{ text() }}", "{{ {'a': 1}['b'].c }}",
    "{{ 'abc'.nope() }}", "{{ range(1000000) }}", "{% set x.y = 1 %}", "{% set mapping.y = 1 %}", "{{ [1, 'a']|sort }}",
    "{{ {[]: 1} }}", "{{ 'a' < 1 }}", "{{ users|sum }}", "{{ '%d' % 'x' }}", "{{ '%s %s' % (1,) }}", "{{ '%s' % (1, 2) }}",
    "{{ '{}'.format() }}", "{{ '{'.format() }}", "{{ ''.split('') }}", "{{ 'a'.index('z') }}", "{% break %}", "{{ x | }}", "{{ 'unclosed }}", "{# unclosed", "{% raw %} x",
    "{{ (1, 2 }}", "{{ ] }}", "{% unknown %}", "{% macro m(a) %}{% endmacro %}{{ m(1, 2) }}", "{% macro m(a) %}{% endmacro %}{{ m(b=1) }}",
    "{% macro m(a=1, b) %}{% endmacro %}", "{% include 'x' %}", "{% extends 'x' %}", "{% import 'x' as y %}", "{% for loop in [1] %}{% endfor %}",
    "{{ namespace(_x=1) }}", "{% set ns = namespace() %}{% set ns._x = 1 %}", "{{ mapping|tojson(foo=1) }}", "{{ range|tojson }}", "{{ [1]|select('nope')|list }}", "{{ [1]|map('nope')|list }}",
    "{{ [1]|map|list }}", "{{ 5|items|list }}", "{{ users|selectattr|list }}", "{{ loop.index }}", "{% for x in [1] %}{{ loop('x') }}{% endfor %}", "{{ 'x'|int|foo }}",
    "{{ cycler() }}", "{{ 'x' in 5 }}", "{{ 1 in 'abc' }}", "{{ [1, 2]|join(1)|foo }}", "{{ dict(1) }}", "{{ foo bar }}", "{% if %}x{% endif %}", "{% set 5 = 1 %}", "{% endif %}", "{{ a.b.c }}", "{{ f(a=1, a=2) }}",
    "{% call number() %}{% endcall %}", "{% call number %}{% endcall %}", "{{ ('a' if false) + 'b' }}", "{{ users[0].tags.append('q') }}", "{{ [3]|first.x }}", "{{ 2 ** 0.5 }} {{ 'x' ** 2 }}", "{{ -'x' }}", "{{ true.upper() }}",
    "{{ text.split(5) }}", "{{ text.replace('a') }}", "{{ text.startswith(1) }}", "{{ ','.join([1]) }}", "{{ number|join }}", "{{ (users|selectattr('age'))|length }}", "{{ (users|map(attribute='age'))[0].x }}", "{{ users|selectattr('age')|last }}",
    "{{ 1e400|int }}", "{{ none|abs }}", "{{ 'x'|round }}", "{{ 5|round(1, 'up') }}", "{{ 'x'|batch('y')|list }}", "line\n\n{{ raise_exception('on line 3') }}",
]

CASES = (group("literals", LITERALS) + group("operators", OPERATORS) + group("access", ACCESS) + group("undefined", UNDEFINED)
         + group("blocks", BLOCKS) + group("space", SPACE) + group("filters", FILTERS) + group("tests", TESTS)
         + group("methods", METHODS) + group("errors", ERRORS))
