#!/usr/bin/env python3
"""Templates and chats with what Python makes of them, for tests/jinja.

    make_template_golden.py [OUT]     writes into OUT (tests/golden/jinja)

    constructs.json    our own small templates, each with its rendering or its error, by transformers'
                       own environment (jinja2 in its immutable sandbox)
    chats.json         our own conversations; read by this script, never written
    renderings.json    real templates x chats.json: a hash of each rendering, or the error that the
                       template raises, by transformers' render_jinja_template; only with
                       --templates DIR, a folder of *.jinja files, which are not copied

Dates are those of SOURCE_DATE_EPOCH=1700000000, in UTC.
"""
import argparse
import datetime
import json
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parent))
import template_constructs  # noqa: E402
from template_reference import Reference, fnv1a  # noqa: E402

ROOT = pathlib.Path(__file__).resolve().parents[2]


def constructs(reference):
    cases = []
    variables = template_constructs.DATA
    for name, template in template_constructs.CASES:
        case = {"name": name, "template": template}
        case.update(reference.render_template(template, variables))
        cases.append(case)
    return cases


def renderings(reference, folder, chats):
    found = {}
    for path in sorted(folder.glob("*.jinja")):
        source = path.read_text(encoding="utf-8")
        found[path.name] = {}
        for chat in chats:
            result = reference.render_chat(source, chat)
            text = "error: " + result["error"] if "error" in result else fnv1a(result["text"])
            found[path.name][chat["name"]] = text if result.get("raised", True) else "error"
    return found


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", default=ROOT / "tests/golden/jinja", type=pathlib.Path)
    parser.add_argument("--templates", type=pathlib.Path)
    args = parser.parse_args()
    reference = Reference(datetime.datetime(2023, 11, 14, 22, 13, 20))
    made = reference.versions()

    def write(name, value):
        text = json.dumps({"made_with": made, **value}, indent=0, ensure_ascii=False, sort_keys=False)
        (args.out / name).write_text(text + "\n", encoding="utf-8")

    write("constructs.json", {"variables": template_constructs.DATA, "cases": constructs(reference)})
    if args.templates:
        chats = json.loads((args.out / "chats.json").read_text(encoding="utf-8"))["chats"]
        write("renderings.json", {"templates": renderings(reference, args.templates, chats)})


if __name__ == "__main__":
    main()
