"""Tiny models of tests/golden/model, quantized by whit and loaded with transformers + compressed-tensors.

    python tiny_models_load.py WHIT [--only MODEL_TYPE] [--quality fast,default,best]

For each model and quality: `whit quantize` of every linear to 4 bits, `whit verify` against the source, and the two
checks of transformers_load.py. Left out are the types that transformers does not load quantized (Conv1D) or not at all
(old names), and sources in FP8. Exits 1 where a command fails or anything differs.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

from safetensors import safe_open
from transformers.utils import logging

from transformers_load import differences

MODELS = pathlib.Path(__file__).resolve().parent.parent.parent / "tests" / "golden" / "model"
NOT_LOADED = {"gpt2", "RefinedWeb", "RefinedWebModel"}


def group_size(model: pathlib.Path) -> int:
    """Divides the width of every matrix."""
    with safe_open(model / "model.safetensors", "pt") as file:
        shapes = {name: file.get_slice(name).get_shape() for name in file.keys()}
    return math.gcd(*[s[1] for n, s in shapes.items() if len(s) == 2 and n.endswith(".weight")])


def write_rows(path: pathlib.Path, vocabulary: int) -> None:
    rows = [[(row * 31 + i * i * 7 + i) % vocabulary for i in range(24)] for row in range(6)]
    path.write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))


def check(whit: str, model: pathlib.Path, quality: str) -> list[str]:
    config = json.loads((model / "config.json").read_text())
    with tempfile.TemporaryDirectory() as tmp:
        rows, out = pathlib.Path(tmp) / "rows.jsonl", pathlib.Path(tmp) / "out"
        write_rows(rows, config["vocab_size"])
        for command in (["quantize", model, out, "--calibration", rows, "--num-calibration-samples", "6",
                         "--max-sequence-length", "24", "--group-size", str(group_size(model)), "--quality", quality],
                        ["verify", out, "--source", model]):
            done = subprocess.run([whit, *command, "--quiet"], capture_output=True, text=True)
            if done.returncode != 0:
                return [f"whit {command[0]}: exit {done.returncode}: {done.stderr.strip() or done.stdout.strip()}"]
        return differences(whit, out)


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("--only")
    parser.add_argument("--quality", default="default,best")
    args = parser.parse_args()
    logging.disable_progress_bar()
    failures = 0
    for model in sorted(path for path in MODELS.iterdir() if path.is_dir()):
        config = json.loads((model / "config.json").read_text())
        kind = config["model_type"]
        if kind in NOT_LOADED or "quantization_config" in config or args.only not in (None, kind):
            continue
        for quality in args.quality.split(","):
            print(f"{model.name}, {quality}", flush=True)
            errors = check(args.whit, model, quality)
            failures += bool(errors)
            for error in errors[:20]:
                print("  " + error, flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
