"""What the end-to-end tests share: running the program, and comparing what it wrote."""
import hashlib
import json
import os
import pathlib
import subprocess
import sys

PROGRAM = os.environ["WHIT"]
SOURCE = pathlib.Path(os.environ["WHIT_SOURCE_DIR"])
MODEL = str(SOURCE / "demo" / "moe-15m")
CALIBRATION = str(SOURCE / "demo" / "text" / "calibration.jsonl")
EVALUATION = str(SOURCE / "demo" / "text" / "evaluation.txt")

# A small but whole job: every expert sees tokens or is topped up.
SMALL_JOB = ["--calibration", CALIBRATION, "--num-calibration-samples", "12", "--max-sequence-length", "256"]


def expect(holds, what):
    if not holds:
        sys.exit(f"FAILED: {what}")


def run(*arguments, code=0):
    """Runs a verb that must end with exit code `code`; returns (stdout, stderr)."""
    done = subprocess.run([PROGRAM, *map(str, arguments)], capture_output=True, text=True)
    expect(done.returncode == code,
           f"whit {' '.join(map(str, arguments))}: exit {done.returncode}, expected {code}\n{done.stderr}")
    return done.stdout, done.stderr


def run_json(*arguments, code=0):
    return json.loads(run(*arguments, "--json", code=code)[0])


def start(*arguments):
    return subprocess.Popen([PROGRAM, *map(str, arguments)], stdout=subprocess.DEVNULL,
                            stderr=subprocess.DEVNULL)


def contents(folder):
    """{file name: hash} of everything under `folder`."""
    return {path.relative_to(folder).as_posix(): hashlib.sha256(path.read_bytes()).hexdigest()
            for path in sorted(pathlib.Path(folder).rglob("*")) if path.is_file()}


def expect_same_bytes(expected, folder, what):
    found = contents(folder)
    different = sorted(name for name in expected.keys() | found.keys() if expected.get(name) != found.get(name))
    expect(not different, f"{what}: other bytes in {', '.join(different)}")
