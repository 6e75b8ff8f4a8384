"""VPTQ checkpoints of whit against the vptq package's own unpacking and dequantization, on a CPU.

    python vptq_files.py WHIT WORK

(1) Ours: the embedded model and a dense one, quantized with and without residuals, norm, order, outliers and groups; every
linear is built as the package's VQuantLinear from its entry in config_for_layers, filled from the file and dequantized by
the package in fp32. It must be what `whit convert --to f32` writes, bit for bit.
(2) Its: linears of the dense model replaced by random ones, indices packed by the package's pack_index; whit must decode
what the package does.
Residuals of more bits than the main index are left out: the package masks them with the wrong width.
Exits 1 where anything differs.
"""
import json
import math
import pathlib
import shutil
import subprocess
import sys
import types

import torch
from safetensors.torch import load_file, save_file

# pack.py asks for a package that packing does not use.
stub = types.ModuleType("sentence_transformers")
stub.SentenceTransformer = types.ModuleType("sentence_transformers.SentenceTransformer")
stub.SentenceTransformer.SentenceTransformer = type("SentenceTransformer", (), {})
sys.modules.setdefault("sentence_transformers", stub)
sys.modules.setdefault("sentence_transformers.SentenceTransformer", stub.SentenceTransformer)

from vptq.layers import VQuantLinear  # noqa: E402
from vptq.ops import dequant  # noqa: E402
from vptq.utils.pack import pack_index  # noqa: E402

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


def dequantized(module, entry, tensors):
    """What the package makes of one linear, in fp32."""
    layer = VQuantLinear(**entry, dtype=torch.float32, enable_proxy_error=False)
    state = {name: value for name, value in layer.state_dict().items()}
    for name in state:
        stored = tensors[f"{module}.{name}"]
        assert stored.shape == state[name].shape, (module, name, stored.shape, state[name].shape)
        state[name] = stored.float() if stored.is_floating_point() else stored
    layer.load_state_dict(state)
    residual, outlier = layer.enable_residual, layer.enable_outlier
    return dequant(
        indices=layer.indices, centroids=layer.centroids.weight.view(layer.num_codebooks, layer.num_centroids, -1),
        outlier_indices=layer.outlier_indices, outlier_centroids=layer.outlier_centroids.weight if outlier else None,
        res_indices=None, res_centroids=layer.res_centroids.weight if residual else None,
        perm=getattr(layer, "perm", None), weight_scale=layer.weight_scale, weight_bias=layer.weight_bias,
        is_indice_packed=True, enable_outlier=outlier, enable_residual=residual, enable_perm=layer.enable_perm,
        enable_norm=layer.enable_norm, num_centroids=layer.num_centroids,
        num_outlier_centroids=layer.num_outlier_centroids, num_res_centroids=layer.num_res_centroids,
        padding=layer.padding, outlier_padding=layer.outlier_padding, num_codebooks=layer.num_codebooks,
        group_size=layer.group_size, outlier_size=layer.outlier_size, vector_len=layer.vector_len,
        outlier_vector_len=layer.outlier_vector_len).detach()


def compare(whit, folder, label):
    plain = folder.parent / (folder.name + "-f32")
    shutil.rmtree(plain, ignore_errors=True)
    run(whit, "convert", folder, plain, "--to", "f32")
    ours, stored = tensors_of(plain), tensors_of(folder)
    bad = [module for module, entry in entries_of(folder).items()
           if not torch.equal(dequantized(module, entry, stored), ours[module + ".weight"])]
    print(f"{label}: {len(entries_of(folder)) - len(bad)} of {len(entries_of(folder))} linears are the package's")
    return not bad


def random_linear(rows, cols, config, generator):
    """A linear packed by the package: its tensors by name, and its entry."""
    length, main, residual, groups, normed = config
    chunks, size = math.ceil(rows / length), cols // groups

    def draw(entries):
        return torch.randint(entries, (groups, chunks, size), generator=generator, dtype=torch.int64).to(torch.uint16)

    def book(entries):
        return torch.randn(groups, entries * length, generator=generator).bfloat16()

    low, high = draw(main), draw(residual) if residual > 0 else None
    tensors = {"indices": pack_index(low.view(torch.int16), int(math.log2(main)),
                                     None if high is None else high.view(torch.int16),
                                     0 if high is None else int(math.log2(residual))),
               "centroids.weight": book(main)}
    if residual > 0:
        tensors["res_centroids.weight"] = book(residual)
    if normed:
        tensors["weight_scale"] = torch.rand(cols, generator=generator).bfloat16()
        tensors["weight_bias"] = torch.randn(cols, generator=generator).bfloat16()
    tensors["perm"] = torch.randperm(cols, generator=generator).to(torch.uint16).view(torch.int16)
    entry = {"in_features": cols, "out_features": rows, "vector_lens": [-1, length], "num_centroids": [-1, main],
             "num_res_centroids": [-1, residual], "group_num": groups, "group_size": size, "outlier_size": 0,
             "enable_norm": normed, "enable_perm": True, "bias": False, "is_indice_packed": True,
             "indices_as_float": False}
    return tensors, entry


def theirs(whit, folder, work):
    """`folder` with its linears replaced by random ones of the package's making."""
    out = work / "vptq-theirs"
    shutil.rmtree(out, ignore_errors=True)
    shutil.copytree(folder, out)
    for file in out.glob("*.safetensors*"):
        file.unlink()
    config = json.loads((out / "config.json").read_text())
    layers = config["quantization_config"]["config_for_layers"]
    tensors = tensors_of(folder)
    generator = torch.Generator().manual_seed(1)
    shapes = [(8, 4096, 256, 1, True), (6, 4096, -1, 1, False), (4, 256, 256, 2, True), (12, 1024, 64, 4, False),
              (8, 65536, 16, 1, True), (16, 8192, 8192, 1, True), (5, 512, 2, 1, False), (8, 65536, 65536, 1, True)]
    for i, (module, entry) in enumerate(list(layers.items())):
        made, layers[module] = random_linear(entry["out_features"], entry["in_features"], shapes[i % len(shapes)],
                                             generator)
        for name in [n for n in tensors if n.startswith(module + ".") and not n.endswith(".bias")]:
            del tensors[name]
        tensors.update({f"{module}.{name}": value.contiguous() for name, value in made.items()})
    save_file(tensors, out / "model.safetensors", metadata={"format": "pt"})
    (out / "config.json").write_text(json.dumps(config))
    return compare(whit, out, "packed by the package")


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
    good = theirs(whit, folder, work) and good
    sys.exit(0 if good else 1)


main()
