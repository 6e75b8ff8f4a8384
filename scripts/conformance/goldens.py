#!/usr/bin/env python3
"""Every golden file made anew by its script and compared with the one in the repository.

    goldens.py [--shared DIR] [ROOM...]

ROOM: folders of tests/golden, all unless named. Exits 1 where a file differs, or where one is in the repository that nobody
makes. Bytes are compared; of arrays (.npy, .safetensors, .pt) with other bytes the numbers, floats to 1e-4 of the largest: another
processor adds in another order. DIR is ../shared: the real chat templates for renderings.json, and the demo model's references.
What is not made is listed with the reason.
"""
import argparse
import json
import os
import pathlib
import shutil
import subprocess
import sys
import tempfile

import numpy
import safetensors.torch
import torch

ROOT = pathlib.Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests/golden"
TOLERANCE = 1e-4
# (pattern, why it is not made here)
NOT_MADE = [
    ("jinja/chats.json", "written by hand"),
    ("model/inventory_*.txt", "whit's own words, held by model_tests"),
    ("data/pandas[12]*.pkl", "of an older pandas"),
    ("inc/*-numpy1.npz", "of an older NumPy"),
    ("moe-15m/make_evaluation.py", "a script"),
]


def run(script, *arguments):
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(str(ROOT / "scripts" / f) for f in ("goldens", "conformance"))}
    subprocess.run([sys.executable, ROOT / script, *map(str, arguments)], check=True, cwd=ROOT, stdout=subprocess.DEVNULL,
                   env=environment)


def arrays(path):
    if path.suffix == ".npy":
        return {"": numpy.load(path)}
    if path.suffix in (".pt", ".bin"):
        tensors = {name: torch.as_tensor(value) for name, value in torch.load(path, weights_only=True).items()}
    else:
        tensors = safetensors.torch.load_file(path)
    return {name: (t.float() if t.is_floating_point() else t).numpy() for name, t in tensors.items()}


def array_difference(old, new):
    before, after = arrays(old), arrays(new)
    if before.keys() != after.keys():
        return f"arrays {sorted(before.keys() ^ after.keys())} are in one only"
    for name, left in before.items():
        right = after[name]
        if left.dtype != right.dtype or left.shape != right.shape:
            return f"{name}: {left.dtype}{left.shape}, made anew {right.dtype}{right.shape}"
        if left.dtype.kind != "f":
            if (left != right).any():
                return f"{name}: {(left != right).sum()} of {left.size} values"
        elif left.size and not numpy.abs(left - right).max() <= TOLERANCE * numpy.abs(left).max():
            return f"{name}: by {numpy.abs(left - right).max() / numpy.abs(left).max():.1e} of the largest"
    return None


def difference(old, new):
    """None where the files say the same, else what differs first."""
    if not old.exists():
        return "not in the repository"
    if old.read_bytes() == new.read_bytes():
        return None
    if old.suffix in (".npy", ".safetensors", ".bin", ".pt"):
        return array_difference(old, new)
    if old.suffix != ".json":
        return f"{old.stat().st_size} bytes, made anew {new.stat().st_size}, other contents"
    before, after = json.loads(old.read_text(encoding="utf-8")), json.loads(new.read_text(encoding="utf-8"))
    return first_difference(before, after, "")


def first_difference(before, after, place):
    if isinstance(before, dict) and isinstance(after, dict):
        pairs = [(key, before.get(key), after.get(key)) for key in before | after]
    elif isinstance(before, list) and isinstance(after, list) and len(before) == len(after):
        pairs = [(index, *pair) for index, pair in enumerate(zip(before, after))]
    elif isinstance(before, float) and isinstance(after, float) and abs(before - after) <= TOLERANCE * abs(before):
        return None
    else:
        return None if before == after else f"{place}: {str(before)[:200]!r}, made anew {str(after)[:200]!r}"
    return next(filter(None, (first_difference(b, a, f"{place}/{key}") for key, b, a in pairs)), None)


def make_text(out, _):
    run("scripts/goldens/make_tokenizer_golden.py", out)
    run("scripts/goldens/make_pipeline_golden.py", out / "pipelines.json")


def make_jinja(out, shared):
    templates = shared / "tokenizers/chat_templates"
    shutil.copyfile(GOLDEN / "jinja/chats.json", out / "chats.json")
    run("scripts/goldens/make_template_golden.py", out, *(["--templates", templates] if templates.is_dir() else []))
    (out / "chats.json").unlink()
    return [] if templates.is_dir() else [("jinja/renderings.json", f"no {templates}")]


def make_data(out, _):
    run("scripts/goldens/make_dataset_files.py", "parquet", out)
    run("scripts/goldens/make_dataset_files.py", "pickle", out, "pandas3")
    for path in out.glob("pandas3-p[34].pkl"):
        path.unlink()


def make_gptq(out, _):
    run("scripts/conformance/make_gptq_golden.py", "--out", out)


def make_packed(out, _):
    run("scripts/conformance/make_packed_golden.py", out)


def make_inc(out, _):
    run("scripts/goldens/make_inc_golden.py", out, "numpy2")


def make_model(out, _):
    run("scripts/goldens/make_tiny_models.py", out)
    run("scripts/goldens/make_tiny_models.py", "--mtp", ROOT / "demo/moe-15m", out)


def make_maxima(out, _):
    run("scripts/goldens/make_maxima_golden.py", GOLDEN / "model", out)


def make_vptq(out, _):
    run("scripts/goldens/make_vptq_golden.py", out)
    run("scripts/goldens/make_vptq_hessian.py", out)


def make_demo(out, shared):
    run("tests/golden/moe-15m/make_evaluation.py", out / "evaluation.json")
    reference = shared / "models/moe-15m/reference"
    names = ["reference.json", "logits_fp8deq.npy"]
    if not reference.is_dir():
        return [(f"moe-15m/{name}", f"no {reference}") for name in names]
    for name in names:
        shutil.copyfile(reference / name, out / name)
    return []


MAKERS = {"text": make_text, "jinja": make_jinja, "data": make_data, "gptq": make_gptq, "packed": make_packed,
          "inc": make_inc, "model": make_model, "maxima": make_maxima, "moe-15m": make_demo,
          "vptq": make_vptq}


def compare(room, made, reasons):
    """How many of a room's files differ or are made by nobody; prints a line for each."""
    wrong, new = 0, {path.relative_to(made) for path in made.rglob("*") if path.is_file()}
    old = {path.relative_to(GOLDEN / room) for path in (GOLDEN / room).rglob("*") if path.is_file() and path.suffix != ".pyc"}
    for path in sorted(new | old):
        name = pathlib.PurePath(room) / path
        if path in new:
            what = difference(GOLDEN / room / path, made / path)
            line = "same" if what is None else f"DIFFERS: {what}"
        else:
            why = next((why for pattern, why in reasons if name.match(pattern)), None)
            line, what = (f"not made: {why}", None) if why else ("DIFFERS: nobody makes it", "")
        wrong += what is not None
        print(f"{name}: {line}", flush=True)
    return wrong


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    parser.add_argument("rooms", nargs="*", metavar="ROOM")
    args = parser.parse_args()
    torch.set_num_threads(1)
    folders = {path.name for path in GOLDEN.iterdir() if path.is_dir()}
    if folders != MAKERS.keys() or not folders.issuperset(args.rooms):
        sys.exit(f"tests/golden has {sorted(folders)}; made anew are {sorted(MAKERS)}; asked for {args.rooms}")
    wrong = 0
    for room in args.rooms or MAKERS:
        with tempfile.TemporaryDirectory() as work:
            left_out = MAKERS[room](pathlib.Path(work), args.shared) or []
            wrong += compare(room, pathlib.Path(work), NOT_MADE + left_out)
    print(f"{wrong} golden files differ")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
