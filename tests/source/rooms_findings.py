"""scripts/check_rooms.py finds what it is there to find."""
import importlib.util
import pathlib
import shutil
import sys
import tempfile

ROOT = pathlib.Path(__file__).resolve().parents[2]
CODE = {
    "src/quant/a.cpp": '#include "model/spec.h"\n#include "base/error.h"\n#include "pipeline/x.h"\n#include "x.h"\n'
                       "namespace whit::model {\nint f(int a,\n      int b) {\n" + "  a++;\n" * 61 + "}\n"
                       "// TO" + "DO x\nvoid g() {\n  std::cout << 1;\n  getenv(\"X\");\n}\n}\n",
    "src/formats/b.cpp": '#include "compute/backend.h"\n#include <sys/socket.h>\n' + "\n" * 400,
    "src/base/string_utils.h": "namespace whit::base {}\n",
    "src/base/clean.h": '#include "base/error.h"\nnamespace whit::base {\nint f();\n}\n',
}
EXPECTED = {
    "src/quant/a.cpp": ["quant -> model", "quant -> pipeline", 'include "x.h"', "f has 61 lines", "unfinished work",
                        "std::cout", "getenv", "namespace whit::model"],
    "src/formats/b.cpp": ["formats -> compute", "sys/socket.h", "402 lines"],
    "src/base/string_utils.h": ["a name that says nothing"],
    "src/base/clean.h": [],
}


def main():
    spec = importlib.util.spec_from_file_location("check_rooms", ROOT / "scripts" / "check_rooms.py")
    check_rooms = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(check_rooms)
    with tempfile.TemporaryDirectory() as name:
        root = pathlib.Path(name)
        shutil.copy(ROOT / "CMakeLists.txt", root)
        for path, text in CODE.items():
            (root / path).parent.mkdir(parents=True, exist_ok=True)
            (root / path).write_text(text)
        findings = list(check_rooms.check_tree(root))
    failed = False
    for path, expected in EXPECTED.items():
        found = [finding for finding in findings if finding.startswith(path)]
        for words in expected:
            if not any(words in finding for finding in found):
                print(f"{path}: '{words}' was not found")
                failed = True
        if len(found) != len(expected):
            print(f"{path}: {len(found)} findings, expected {len(expected)}:", *found, sep="\n  ")
            failed = True
    return 1 if failed else 0


if __name__ == "__main__":
    sys.dont_write_bytecode = True
    sys.exit(main())
