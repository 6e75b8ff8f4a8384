"""Chat templates rendered by whit and by transformers, byte for byte.

    python templates.py WHIT [--templates DIR] [--chats N] [--random N] [--seed S]

DIR holds *.jinja files (../shared/tokenizers/chat_templates unless given; passed over where it is absent). Each is
rendered with every conversation of tests/golden/jinja/chats.json and N random ones; then the small templates of
scripts/goldens/template_constructs.py, and N random templates. Equal means: the same bytes, or an error on both sides, with
the same words where jinja2 itself or the template raises it. Exits 1 where anything differs.
"""
import argparse
import concurrent.futures
import datetime
import json
import os
import pathlib
import subprocess
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path[:0] = [str(ROOT / "scripts/goldens"), str(pathlib.Path(__file__).resolve().parent)]
import random_chats  # noqa: E402
import random_templates  # noqa: E402
import template_constructs  # noqa: E402
from template_reference import TOKENS, Reference  # noqa: E402

EPOCH = 1700000000


def run_whit(whit, folder, source, chat):
    work = pathlib.Path(tempfile.mkdtemp(dir=folder))
    (work / "t.jinja").write_bytes(source.encode())
    (work / "messages.json").write_text(json.dumps(chat["messages"]))
    command = [whit, "chat-template", str(work / "t.jinja"), "--messages", str(work / "messages.json")]
    for name in ("tools", "documents"):
        if name in chat:
            (work / f"{name}.json").write_text(json.dumps(chat[name]))
            command += [f"--{name}", str(work / f"{name}.json")]
    if chat.get("add_generation_prompt"):
        command.append("--add-generation-prompt")
    for name, value in {**TOKENS, **chat.get("variables", {})}.items():
        command += ["--set", f"{name}={json.dumps(value)}"]
    done = subprocess.run(command, capture_output=True, env={**os.environ, "SOURCE_DATE_EPOCH": str(EPOCH)})
    if done.returncode == 0:
        return {"text": done.stdout.decode()}
    return {"error": done.stderr.decode(), "code": done.returncode}


def difference(expected, found):
    """None, or what differs."""
    if "text" in expected:
        return None if found.get("text") == expected["text"] else f"\n  wanted {expected['text']!r}\n  found  {found}"
    if "text" in found:
        return f"\n  wanted the error {expected['error']!r}\n  found {found['text']!r}"
    if found["code"] not in (3, 4):
        return f"\n  exit code {found['code']}: {found['error']}"
    return None


def same_words(expected, found):
    return "text" in expected or not expected["raised"] or expected["error"] in found.get("error", "")


class Comparison:
    def __init__(self, whit, folder):
        self.whit, self.folder = whit, folder
        self.reference = Reference(datetime.datetime.fromtimestamp(EPOCH, datetime.timezone.utc).replace(tzinfo=None))
        self.pool = concurrent.futures.ThreadPoolExecutor(os.cpu_count())

    def compare(self, title, cases):
        """`cases`: (name, source, chat). The number that differ."""
        futures = [self.pool.submit(run_whit, self.whit, self.folder, source, chat) for _, source, chat in cases]
        wrong = errors = other_words = skipped = 0
        for (name, source, chat), future in zip(cases, futures):
            expected, found = self.reference.render_chat(source, chat), future.result()
            if " at 0x" in expected.get("text", "") or "built-in" in expected.get("text", ""):
                skipped += 1  # a printed function: its address
                continue
            errors += "error" in expected
            what = difference(expected, found)
            if what:
                wrong += 1
                if wrong <= 10:
                    print(f"  {name}: {source[:200]!r} differs: {what}"[:3000])
            elif not same_words(expected, found):
                other_words += 1
        print(f"{title}: {len(cases) - skipped} compared, {errors} of them errors ({other_words} in other words), {wrong} differ")
        return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("--templates", type=pathlib.Path, default=ROOT.parent / "shared/tokenizers/chat_templates")
    parser.add_argument("--chats", type=int, default=20)
    parser.add_argument("--random", type=int, default=1000)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    chats = json.loads((ROOT / "tests/golden/jinja/chats.json").read_text(encoding="utf-8"))["chats"]
    wrong = 0
    with tempfile.TemporaryDirectory() as folder:
        comparison = Comparison(args.whit, folder)
        print(f"with {comparison.reference.versions()}")
        real = sorted(args.templates.glob("*.jinja"))
        if not real:
            print(f"no templates in {args.templates}: the real ones are left out")
        for title, talks in (("chats", chats), ("random chats", random_chats.make(args.chats, args.seed))):
            cases = [(f"{path.name}, {chat['name']}", path.read_text(encoding="utf-8"), chat) for path in real for chat in talks]
            wrong += comparison.compare(f"real templates, {title}", cases)
        plain = {"messages": [{"role": "user", "content": "hi"}], "variables": template_constructs.DATA}
        wrong += comparison.compare("constructs", [(name, source, plain) for name, source in template_constructs.CASES])
        made = random_templates.make(args.random, args.seed)
        wrong += comparison.compare("random templates", [(f"random {k}", source, plain) for k, source in enumerate(made)])
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
