#!/usr/bin/env python3
"""The rooms of src/, checked: arrows, one-home headers, sizes, words that admit unfinished work.

    check_rooms.py [ROOT]      prints each finding as FILE:LINE: text; exit 1 where there is one

A room is a folder of src/, a namespace and a CMake library. What it may include is what CMakeLists.txt
declares for it (whit_room(... DEPENDS ...)), followed to the ground. The declarations themselves must
keep to the floors below and to the forbidden pairs. Sizes: 400 lines a file, 60 a function; the
exceptions, each with its reason, are in scripts/size_exceptions.txt.
"""
import pathlib
import re
import sys

FLOORS = [["base"], ["numeric"], ["tensor"], ["scheme"],
          ["compute", "comm"],
          ["text", "jinja", "pickle", "stats", "checkpoint"],
          ["data", "quant", "formats", "model"],
          ["pipeline"], ["runtime"],
          ["serve", "eval", "report"],
          ["cli"]]
FLOOR = {room: level for level, rooms in enumerate(FLOORS) for room in rooms}

# Never included, whatever lies between: a method knows no model and no file format, and so on.
FORBIDDEN = {("quant", "model"), ("quant", "formats"), ("formats", "quant"), ("formats", "compute"),
             ("checkpoint", "compute"), ("model", "quant"), ("model", "formats"), ("text", "checkpoint")}
ABOVE_PIPELINE = {"runtime", "serve", "eval", "report", "cli"}

# What has one home: pattern of a source line -> the folders where it may stand.
HOMES = [
    (r'#\s*include\s*[<"](cuda|cublas|cusolver|curand)', ("src/compute/cuda", "src/comm/nccl")),
    (r'#\s*include\s*[<"]nccl', ("src/comm",)),
    (r'#\s*include\s*[<"]mpi\.h', ("src/comm",)),
    (r'#\s*include\s*[<"](sys/socket\.h|httplib\.h)', ("src/serve",)),
    (r'\bstd::(cout|cerr|clog)\b|(?<![\w:])(printf|puts|putchar)\s*\(|\bstd::(printf|puts|fputs)\b|\bstdout\b|\bstderr\b',
     ("src/cli", "src/main.cpp")),
    (r'\b(secure_)?getenv\s*\(', ("src/cli", "src/main.cpp")),
    (r'\bCLI/CLI\.hpp|#\s*include\s*[<"](spdlog/|csignal|signal\.h)', ("src/cli", "src/main.cpp")),
]
UNFINISHED = r'\b(TODO|FIXME|XXX|HACK)\b|not (yet )?implemented|\bunimplemented\b|\bplaceholder\b'
VAGUE_NAMES = re.compile(r'(^|[/_])(utils?|helpers?|misc)([_./]|$)')
FILE_LINES, FUNCTION_LINES = 400, 60


def declared_rooms(root):
    """CMakeLists.txt's whit_room(NAME DEPENDS ...) -> {room: [rooms]}."""
    text = (root / "CMakeLists.txt").read_text()
    rooms = {}
    for name, rest in re.findall(r'^whit_room\((\w+)([^)]*)\)', text, re.M):
        depends = re.search(r'DEPENDS\s+([\w\s]+?)(?:\s+LINKS\b|$)', rest.strip())
        rooms[name] = depends[1].split() if depends else []
    return rooms


def closure(rooms, room):
    seen, stack = set(), [room]
    while stack:
        for below in rooms.get(stack.pop(), []):
            if below not in seen:
                seen.add(below)
                stack.append(below)
    return seen


def check_declarations(rooms):
    for room, depends in rooms.items():
        if room not in FLOOR:
            yield f"CMakeLists.txt: room {room} has no floor in scripts/check_rooms.py"
            continue
        for below in depends:
            if below not in rooms:
                yield f"CMakeLists.txt: room {room} depends on {below}, which is no room"
            elif (FLOOR[below] > FLOOR[room]) or (room, below) in FORBIDDEN:
                yield f"CMakeLists.txt: room {room} may not depend on {below}"


def check_includes(path, room, lines, allowed):
    for number, line in enumerate(lines, 1):
        found = re.match(r'\s*#\s*include\s*"([^"]+)"', line)
        if not found:
            continue
        target = found[1].split("/")[0]
        if "/" not in found[1] or target not in FLOOR:
            yield f'{path}:{number}: include "{found[1]}"; expected "room/file.h"'
        elif target != room and (target not in allowed or (room, target) in FORBIDDEN):
            yield f"{path}:{number}: {room} -> {target} is against the arrows"
        elif target == "pipeline" and room != "pipeline" and room not in ABOVE_PIPELINE:
            yield f"{path}:{number}: only the rooms above may include pipeline"


def strip_comment(line):
    return line.split("//")[0]


def check_lines(path, lines):
    for number, line in enumerate(lines, 1):
        code = strip_comment(line)
        for pattern, homes in HOMES:
            if re.search(pattern, code) and not path.startswith(homes):
                yield f"{path}:{number}: belongs in {' or '.join(homes)}: {line.strip()[:80]}"
        if re.search(UNFINISHED, line):
            yield f"{path}:{number}: admits unfinished work: {line.strip()[:80]}"


def check_namespace(path, room, text):
    declared_elsewhere = r'^namespace \w+ \{\n(?:(?:class|struct) \w+;\n)+\}'
    for name in re.findall(r'^namespace (\w[\w:]*) \{', re.sub(declared_elsewhere, "", text, flags=re.M), re.M):
        own = name == pathlib.PurePath(path).stem  # within the room's: what a file keeps to itself
        if name != f"whit::{room}" and not own and not name.startswith((f"whit::{room}::", "std")):
            yield f"{path}:1: namespace {name}; expected whit::{room}"


def long_functions(lines):
    """(line, name, length) of functions over the limit. As clang-format writes them, a function
    starts on an unindented line, its body opens where a line ends in `{`, and closes at the next
    unindented `}`."""
    start, name, opening = None, "", ""
    for number, line in enumerate(lines, 1):
        if start is None:
            if line[:1] not in ("", " ", "}", "#", "/"):
                opening = "" if re.match(r'(inline )?namespace|extern "C"|.*;$', line) else line
                words = re.findall(r'([\w:~]+)\s*\(', line)
                name = words[0] if words else line.split()[-1]
            if opening and line.rstrip().endswith("{"):
                is_other = (re.match(r'(template.*> )?(class|struct|union|enum|INSTANTIATE_\w+)\b', opening) or
                            re.search(r'[={(,]\s*\{$', line.rstrip()))
                start, opening = (None if is_other else number), ""
        elif line.startswith("}"):
            if number - start - 1 > FUNCTION_LINES:
                yield start, name, number - start - 1
            start = None


def read_exceptions(root):
    path = root / "scripts" / "size_exceptions.txt"
    entries = {}
    for line in path.read_text().splitlines() if path.exists() else []:
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(" ")
            entries[name] = reason.strip()
    return entries


def check_sizes(path, lines, exceptions, used):
    findings = []
    if len(lines) > FILE_LINES:
        findings.append((path, f"{path}:1: {len(lines)} lines; at most {FILE_LINES}"))
    for start, name, length in long_functions(lines):
        findings.append((f"{path}:{name}", f"{path}:{start}: {name} has {length} lines; at most {FUNCTION_LINES}"))
    for key, finding in findings:
        if exceptions.get(key):
            used.add(key)
        else:
            yield finding


def check_tree(root):
    rooms = declared_rooms(root)
    yield from check_declarations(rooms)
    exceptions, used = read_exceptions(root), set()
    for path in sorted(p for top in ("src", "tests", "fuzz") for p in (root / top).rglob("*")
                       if p.suffix in {".cpp", ".h", ".cu", ".cuh"}):
        rel = path.relative_to(root).as_posix()
        text = path.read_text(errors="replace")
        lines = text.splitlines()
        yield from check_sizes(rel, lines, exceptions, used)
        if VAGUE_NAMES.search(rel):
            yield f"{rel}:1: a name that says nothing"
        parts = rel.split("/")
        if parts[0] != "src" or len(parts) < 3:
            continue
        room = parts[1]
        if room not in rooms:
            yield f"{rel}:1: {room} is no room of CMakeLists.txt"
            continue
        yield from check_includes(rel, room, lines, closure(rooms, room))
        yield from check_lines(rel, lines)
        yield from check_namespace(rel, room, text)
    for stale in sorted(set(exceptions) - used):
        yield f"scripts/size_exceptions.txt: {stale} needs no exception"


def main():
    root = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else pathlib.Path(__file__).parent.parent).resolve()
    findings = list(check_tree(root))
    print("\n".join(findings) if findings else "rooms: nothing found")
    return 1 if findings else 0


if __name__ == "__main__":
    sys.exit(main())
