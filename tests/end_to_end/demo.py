"""`make demo`, as a user runs it, and what it promises."""
import os
import pathlib
import re
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402


def value(text, name):
    row = re.search(rf"^\s*{re.escape(name)}\s+([\d.]+)[^\d\n]*([\d.]+)", text, re.M)
    whit.expect(row, f"the demo's table has no row '{name}':\n{text}")
    return float(row[1]), float(row[2])


def main():
    out = str(pathlib.Path.cwd() / "out")
    started = time.monotonic()
    done = subprocess.run([sys.executable, whit.SOURCE / "scripts" / "demo.py", whit.PROGRAM], cwd=whit.SOURCE,
                          env={**os.environ, "OUT": out}, capture_output=True, text=True)
    whit.expect(done.returncode == 0, f"demo.py: exit {done.returncode}\n{done.stdout}\n{done.stderr}")
    text = done.stdout

    before, after = value(text, "bits per weight")
    whit.expect(before > 8 and 4 < after < before, f"bits per weight {before} -> {after}")
    before, after = value(text, "size of the tensors")
    whit.expect(after < 0.75 * before, f"size {before} -> {after}")
    before, after = value(text, "perplexity")
    whit.expect(0.97 * before < after < 1.10 * before, f"perplexity {before} -> {after}")
    _, mean_kl = value(text, "mean KL (nats)")
    _, p99_kl = value(text, "99 % KL (nats)")
    whit.expect(0 < mean_kl < 0.10 and mean_kl < p99_kl, f"KL mean {mean_kl}, 99 % {p99_kl}")
    _, agreement = value(text, "same most likely token")
    whit.expect(80 < agreement < 100, f"top-1 agreement {agreement}")

    # Each command that it tells next works.
    commands = re.findall(r"^  \S*whit ((?:inspect|verify|plan|generate|convert) .*)$", text, re.M)
    whit.expect(len(commands) == 5, f"commands told: {commands}")
    for command in commands:
        shell = subprocess.run(f'"{whit.PROGRAM}" {command}', shell=True, cwd=whit.SOURCE, capture_output=True, text=True)
        whit.expect(shell.returncode == 0, f"whit {command}: exit {shell.returncode}\n{shell.stderr}")
    print(text)
    print(f"demo and the commands after it: {time.monotonic() - started:.0f} s")


if __name__ == "__main__":
    main()
