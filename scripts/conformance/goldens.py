#!/usr/bin/env python3
"""Golden files of the rooms text, jinja and data, made anew by their scripts and compared with those in the repository.

    goldens.py [--templates DIR]

Exits 1 where one differs. DIR holds the real chat templates (../shared/tokenizers/chat_templates unless given); without it
renderings.json is left out, and said. Of the pickles only the one of this pandas is made; the others are of older ones.
"""
import argparse
import json
import pathlib
import shutil
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDENS = ROOT / "scripts/goldens"


def run(script, *arguments):
    subprocess.run([sys.executable, GOLDENS / script, *map(str, arguments)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL)


def difference(old, new):
    """None where the files say the same, else what differs first."""
    if old.read_bytes() == new.read_bytes():
        return None
    if old.suffix != ".json":
        return f"{old.stat().st_size} bytes, made anew {new.stat().st_size}, other contents"
    before, after = json.loads(old.read_text(encoding="utf-8")), json.loads(new.read_text(encoding="utf-8"))
    return first_difference(before, after, "") or "the same values, written otherwise"


def first_difference(before, after, place):
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(key, before.get(key), after.get(key)) for key in before | after]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(index, *pair) for index, pair in enumerate(zip(before, after))]
    else:
        return None if before == after else f"{place}: {str(before)[:200]!r}, made anew {str(after)[:200]!r}"
    return next(filter(None, (first_difference(b, a, f"{place}/{key}") for key, b, a in pairs)), None)


class Comparison:
    def __init__(self):
        self.wrong = 0

    def compare(self, room, made):
        for new in sorted(made.iterdir()):
            what = difference(ROOT / "tests/golden" / room / new.name, new)
            self.wrong += what is not None
            print(f"{'same' if what is None else 'DIFFERS':8}{room}/{new.name}{'' if what is None else ': ' + what}", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--templates", type=pathlib.Path, default=ROOT.parent / "shared/tokenizers/chat_templates")
    args = parser.parse_args()
    found = Comparison()
    with tempfile.TemporaryDirectory() as work:
        text, jinja, data = (pathlib.Path(work) / name for name in ("text", "jinja", "data"))
        for folder in (text, jinja, data):
            folder.mkdir()
        run("make_tokenizer_golden.py", text)
        run("make_pipeline_golden.py", text / "pipelines.json")
        found.compare("text", text)
        templates = ["--templates", args.templates] if args.templates.is_dir() else []
        if not templates:
            print(f"LEFT OUT jinja/renderings.json: no {args.templates}")
        shutil.copyfile(ROOT / "tests/golden/jinja/chats.json", jinja / "chats.json")
        run("make_template_golden.py", jinja, *templates)
        (jinja / "chats.json").unlink()  # written by hand
        found.compare("jinja", jinja)
        run("make_dataset_files.py", "parquet", data)
        run("make_dataset_files.py", "pickle", data, "pandas3")
        for path in data.glob("pandas3-p[234].pkl"):
            path.unlink()
        found.compare("data", data)
    print(f"{found.wrong} golden files differ")
    return 1 if found.wrong else 0


if __name__ == "__main__":
    sys.exit(main())
