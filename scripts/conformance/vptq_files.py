"""VPTQ checkpoints of whit against the vptq package's own unpacking and dequantization, on a CPU.

    python vptq_files.py WHIT WORK

(1) Ours: the embedded model, quantized with and without residuals, norm, order, outliers and groups; every
linear is built as the package's VQuantLinear from its entry in config_for_layers, filled from the file and dequantized by
the package in fp32. It must be what `whit convert --to f32` writes, bit for bit.
(2) Its: linears replaced by random ones that the package's own pack_model packed, every width of an index, outliers and
groups among them, their order kept, or absorbed by its absorb_perm; whit must decode what the package does.
Residuals of more bits than the main index are left out: the package masks them with the wrong width.
Exits 1 where anything differs.
"""
import json
import pathlib
import shutil
import subprocess
import sys

import torch
from safetensors.torch import load_file, save_file

from vptq_package import dequantized, pack_checkpoint, random_layers

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
FLAGS = {
    "bits": ["--bits", "3"],
    "plain": "--vector-lens -1 8 --num-centroids -1 256 --num-res-centroids -1 -1".split(),
    "order": ("--vector-lens -1 6 --num-centroids -1 128 --num-res-centroids -1 32 --enable-norm --enable-perm "
              "--keep-perm").split(),
    "outliers": ("--vector-lens 4 8 --num-centroids 64 64 --num-res-centroids -1 16 --npercent 3 --group-num 2 "
                 "--enable-norm --enable-perm").split(),
}


def run(whit, *words):
    subprocess.run([whit, *map(str, words), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def tensors_of(folder):
    tensors = {}
    for file in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(file))
    return tensors


def entries_of(folder):
    return json.loads((folder / "config.json").read_text())["quantization_config"]["config_for_layers"]


def compare(whit, folder, label):
    plain = folder.parent / (folder.name + "-f32")
    shutil.rmtree(plain, ignore_errors=True)
    run(whit, "convert", folder, plain, "--to", "f32")
    ours, stored = tensors_of(plain), tensors_of(folder)
    bad = [module for module, entry in entries_of(folder).items()
           if not torch.equal(dequantized(module, entry, stored), ours[module + ".weight"])]
    print(f"{label}: {len(entries_of(folder)) - len(bad)} of {len(entries_of(folder))} linears are the package's")
    return not bad


# (v0, v), (C0, C), R, outliers, groups, norm: every width of an index, odd ones too.
WIDTHS = [((-1, 8), (-1, 4096), 256, 0, 1, True), ((-1, 6), (-1, 4096), -1, 0, 1, False),
          ((-1, 4), (-1, 256), 256, 0, 2, True), ((-1, 12), (-1, 1024), 64, 0, 4, False),
          ((-1, 8), (-1, 65536), 16, 0, 1, True), ((-1, 16), (-1, 8192), 8192, 0, 1, True),
          ((-1, 5), (-1, 512), 2, 0, 1, False), ((-1, 8), (-1, 65536), 65536, 0, 1, True),
          ((4, 8), (64, 2048), 512, 8, 1, True), ((4, 6), (8192, 32768), -1, 4, 2, False),
          ((3, 7), (4, 8), 4, 12, 4, True), ((-1, 2), (-1, 2), 2, 0, 1, True),
          ((-1, 1), (-1, 65536), -1, 0, 1, False), ((2, 2), (65536, 128), 128, 2, 2, True)]


def theirs(whit, folder, work, absorbed):
    """`folder` with its linears replaced by random ones that the package packed, their order absorbed by it or kept."""
    out = work / "vptq-theirs"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out)
    for file in out.glob("*.safetensors*"):
        file.unlink()
    config = json.loads((out / "config.json").read_text())
    entries = config["quantization_config"]["config_for_layers"]
    shapes = {module: (entry["out_features"], entry["in_features"]) for module, entry in entries.items()}
    # The package's absorption takes neither groups nor outliers.
    widths = [w for w in WIDTHS if not absorbed or (w[3] == 0 and w[4] == 1)]
    made, config["quantization_config"] = pack_checkpoint(random_layers(shapes, widths), absorbed)
    tensors = {name: value for name, value in tensors_of(folder).items()
               if name.endswith(".bias") or name.split(".")[-2] == "lm_head" or
               not any(name.startswith(module + ".") for module in shapes)}
    save_file({**tensors, **made}, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(config))
    return compare(whit, out, f"packed by the package, order {'absorbed' if absorbed else 'kept'}")


def main():
    whit, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    good = True
    folder = None
    for name, flags in FLAGS.items():
        folder = work / f"vptq-{name}"
        run(whit, "quantize", ROOT / "demo/moe-15m", folder, "--method", "vptq", *flags, "--kiter", "8",
            "--calibration", ROOT / "demo/text/calibration.jsonl", "--num-calibration-samples", "8",
            "--max-sequence-length", "256", "--overwrite")
        good = compare(whit, folder, name) and good
    for absorbed in (False, True):
        good = theirs(whit, folder, work, absorbed) and good
    sys.exit(0 if good else 1)


main()
