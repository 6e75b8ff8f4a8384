#!/usr/bin/env python3
"""Documentation that cannot rot silently.

    check_docs.py [WHIT]      prints each finding as FILE:LINE: text; exit 1 where there is one

Every relative link of README.md, CONTRIBUTING.md and docs/ leads somewhere; every `make TARGET` is a
target of the Makefile; every source path named in `backticks` exists; every `Suite.Test` that docs/errors.md and
docs/fp8_conformance.md name is there; and, where the program WHIT is
given, every `whit VERB --flag` names a verb and flags that its --help tells.
"""
import functools
import pathlib
import re
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
GLOBAL_WORDS = {"--help", "--version"}
COMMAND = re.compile(r'(?:^|[\s`(/])whit ((?:[a-z-]+)(?: [^`|#\n]*)?)')


def documents():
    return sorted([ROOT / "README.md", ROOT / "CONTRIBUTING.md", *(ROOT / "docs").rglob("*.md")])


@functools.lru_cache(maxsize=None)
def help_of(whit, *verb):
    run = subprocess.run([whit, *verb, "--help"], capture_output=True, text=True, timeout=60)
    return run.stdout if run.returncode == 0 else None


def joined_lines(text):
    """Lines of a document with backslash continuations joined: (number, line)."""
    number, pending, first = 0, "", 1
    for number, line in enumerate(text.splitlines(), 1):
        if not pending:
            first = number
        pending += line.rstrip("\\") if line.endswith("\\") else line
        if not line.endswith("\\"):
            yield first, pending
            pending = ""


def code_of(text):
    """Code lines of a Markdown text: those in fences, and `spans` elsewhere."""
    fenced = False
    for number, line in joined_lines(text):
        if line.lstrip().startswith("```"):
            fenced = not fenced
        elif fenced:
            yield number, line
        else:
            for span in re.findall(r'`([^`]+)`', line):
                yield number, span


def check_commands(name, text, whit):
    for number, code in code_of(text):
        code = re.sub(r'\s#.*$', '', code)
        for command in COMMAND.findall(code):
            words = command.split()
            if words[0].startswith("-"):
                continue
            two_words = words[0] in ("bench", "report") and len(words) > 1 and words[1].isalpha()
            help_text = help_of(whit, *words[:2 if two_words else 1])
            if help_text is None:
                yield f"{name}:{number}: whit has no verb {words[0]}"
                continue
            for flag in re.findall(r'(?<!\S)(--[a-z][a-z0-9-]*)', command):
                if flag not in GLOBAL_WORDS and not re.search(re.escape(flag) + r'(?![\w-])', help_text):
                    yield f"{name}:{number}: whit {words[0]} --help does not tell {flag}"


def check_links(path, name, text):
    for number, line in enumerate(text.splitlines(), 1):
        for target in re.findall(r'\]\(([^)#\s]+)(?:#[^)]*)?\)', line):
            if "://" not in target and not (path.parent / target).exists():
                yield f"{name}:{number}: no such file: {target}"


def check_make_targets(name, text, targets):
    for number, code in code_of(text):
        for target in re.findall(r'(?:^|[;&]\s*)make ([a-z-]+)', code):
            if target not in targets:
                yield f"{name}:{number}: the Makefile has no target {target}"


def check_paths(name, text):
    for number, code in code_of(text):
        for word in re.findall(r'(?<![\w/.-])((?:src|tests|scripts|fuzz|cmake|docs|demo)/[\w./-]*\w)', code):
            if not re.search(r'[A-Z*<{]{2,}|NAME|ROOM', word) and not (ROOT / word).exists():
                yield f"{name}:{number}: no such path: {word}"


def check_tests(name, text):
    sources = "".join(path.read_text() for path in (ROOT / "tests").rglob("*.cpp"))
    tests = set(re.findall(r'^TEST(?:_F|_P)?\((\w+),\s*(\w+)\)', sources, re.M))
    for number, line in enumerate(text.splitlines(), 1):
        if not line.startswith("|") or set(line) <= {"|", "-"}:
            continue
        named = re.findall(r'`(\w+)\.([A-Z]\w+)`', line.rsplit("|", 2)[1])
        if not named and not line.rstrip().endswith("| test |"):
            yield f"{name}:{number}: no test named"
        for test in named:
            if test not in tests:
                yield f"{name}:{number}: no such test: {'.'.join(test)}"


def main():
    whit = sys.argv[1] if len(sys.argv) > 1 else None
    targets = set(re.findall(r'^([a-z-]+):', (ROOT / "Makefile").read_text(), re.M))
    findings = []
    for path in documents():
        name, text = path.relative_to(ROOT).as_posix(), path.read_text()
        findings += check_links(path, name, text)
        findings += check_make_targets(name, text, targets)
        findings += check_paths(name, text)
        if path.name in ("errors.md", "fp8_conformance.md"):
            findings += check_tests(name, text)
        if whit:
            findings += check_commands(name, text, whit)
    print("\n".join(findings) if findings else "docs: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
