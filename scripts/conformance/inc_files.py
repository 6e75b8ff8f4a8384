#!/usr/bin/env python3
"""Measurement and scale files of whit's, loaded by NumPy and compared with the JSON beside them.

    inc_files.py WHIT FOLDER

Ranks are made by NumPy as Intel Neural Compressor makes them; whit unifies, expands and scales them. Tensors that
`whit measure --observer save` writes are loaded by torch. Prints a line for each file; exit 1 where one does not load or differs.
"""
import json
import pathlib
import random
import shutil
import subprocess
import sys

import numpy
import torch

CLASSES = {"qkv_proj": 1, "attn.impl.matmul_qk": 2, "attn.impl.k_cache": 1}
EXPERTS = 4


def amax(value):
    """A maximum as bf16 holds it, in fp32."""
    bits = numpy.float32(value).view(numpy.uint32)
    return numpy.array([[((bits + 0x7fff) & numpy.uint32(0xffff0000)).view(numpy.float32)]], dtype=numpy.float32)


def rank_of(rank, world, draw):
    nodes = {}
    for layer in range(2):
        prefix = f"model.layers.{layer}."
        for name, inputs in CLASSES.items():
            node = {"inputs": [amax(draw.uniform(0, 30)) for _ in range(inputs)]}
            if name.endswith("_proj"):
                node["params"] = {"weight": amax(draw.uniform(0, 1))}
            nodes[prefix + "self_attn." + name] = node
        moe = prefix + "mlp.experts.moe_op"
        nodes[moe] = {"inputs": [amax(8.5)],
                      "outputs": [amax(draw.uniform(0, 2)) for _ in range(EXPERTS + 1)]}
        for name in ("w13_list", "w2_list"):
            for expert in range(EXPERTS):
                nodes[f"{moe}.{name}.{expert}"] = {"inputs": [amax(0)], "params": {"weight": amax(draw.uniform(0, 1))}}
    return {"GlobalRank": None, "LocalRank": rank, "Mode": "DynamicRange", "Nodes": nodes}


def lists(value):
    if isinstance(value, dict):
        return {str(key): lists(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [lists(entry) for entry in value]
    return value.tolist() if isinstance(value, (numpy.ndarray, numpy.generic)) else value


def write_ranks(folder, world):
    draw = random.Random(7)
    for rank in range(world):
        tree = rank_of(rank, world, draw)
        stem = folder / f"run_hooks_maxabs_{rank}_{world}"
        numpy.savez(f"{stem}.npz", tree)
        pathlib.Path(f"{stem}.json").write_text(json.dumps(lists(tree), indent=4))


def compare(folder):
    failures = 0
    for path in sorted(folder.glob("*.npz")):
        tree = numpy.load(path, allow_pickle=True)["arr_0"].item()
        text = path.with_suffix(".json").read_text()
        expected = json.loads(text)
        same = lists(tree) == expected and list(tree["Nodes"]) == list(expected["Nodes"])
        same = same and text == json.dumps(expected, indent=4)
        failures += not same
        print(f"{'same' if same else 'DIFFERS':8}{path.parent.name}/{path.name}")
    return failures


def merged(trees):
    """Expert parallel: the specification's rules, in Python."""
    out = {}
    for tree in trees:
        for name, node in lists(tree)["Nodes"].items():
            out.setdefault(name, []).append(node)
    return out


def check_unified(folder, ranks):
    """Every rank's amax is found where it belongs."""
    nodes = json.loads((folder / "run_hooks_maxabs_0_1.json").read_text())["Nodes"]
    failures = 0
    for rank, tree in enumerate(ranks):
        for name, node in tree["Nodes"].items():
            if name.endswith("moe_op"):
                found = nodes[name]["outputs"][1 + rank * EXPERTS:1 + (rank + 1) * EXPERTS]
                failures += found != node["outputs"][1:]
            elif "_list." in name:
                stem, expert = name.rsplit(".", 1)
                failures += nodes[f"{stem}.{rank * EXPERTS + int(expert)}"]["params"] != node["params"]
    for name, copies in merged(ranks).items():
        if "moe_op" not in name:
            most = [max(copy["inputs"][i][0][0] for copy in copies) for i in range(len(copies[0]["inputs"]))]
            failures += [entry[0][0] for entry in nodes[name]["inputs"]] != most
    print(f"{failures} nodes of 16 ranks differ from their maxima")
    return failures


def scales_of(whit, folder, out):
    config = {"mode": "QUANTIZE", "scale_method": "maxabs_pow2", "device_for_scales": "GAUDI2",
              "dump_stats_path": "./one/run"}
    (folder / "quant.json").write_text(json.dumps(config))
    empty = folder / "model"
    empty.mkdir()
    header = json.dumps({"model.layers.0.unused.weight": {"dtype": "BF16", "shape": [1, 1], "data_offsets": [0, 2]}})
    (empty / "model.safetensors").write_bytes(len(header).to_bytes(8, "little") + header.encode() + b"\x80\x3f")
    subprocess.run([whit, "scales", empty, "--config", folder / "quant.json", "--out", out, "--quiet"],
                   check=True, stdout=subprocess.DEVNULL)


def check_saved(whit, folder):
    """The observers save and shape: torch loads the tensors, whose maxima and extents are those of the other files."""
    root = pathlib.Path(__file__).resolve().parents[2]
    nodes = {}
    for observer in ("save", "shape", "maxabs"):
        out = folder / observer
        subprocess.run([whit, "measure", root / "demo/moe-15m", "--calibration", root / "demo/text/calibration.jsonl",
                        "--num-calibration-samples", "1", "--max-sequence-length", "128", "--observer", observer, "--out", out,
                        "--quiet"], check=True, stdout=subprocess.DEVNULL)
        path = out / f"inc_output_hooks_{observer}_0_1.npz"
        nodes[observer] = numpy.load(path, allow_pickle=True)["arr_0"].item()["Nodes"]
    failures = compared = 0
    for module, node in nodes["maxabs"].items():
        slots = {f"{kind}{i}": (kind + "s", i) for kind in ("input", "output") for i in range(len(node.get(kind + "s", [])))}
        slots |= {"weight": ("params", "weight")} if "params" in node else {}
        for slot, (group, key) in slots.items():
            path = folder / "save/tensors" / f"{module}_{slot}_iter0.pt"
            if not path.exists():
                continue
            compared += 1
            tensor = torch.load(path, weights_only=True)
            most, extents = node[group][key], nodes["shape"][module][group][key]
            failures += tensor.abs().max().item() != most.item() or list(tensor.shape) != extents[0].tolist()
        if "params" in node:
            state = torch.load(folder / "save/tensors" / f"{module}_module.pt", weights_only=True)
            failures += state["weight"].abs().max().item() != node["params"]["weight"].item()
    print(f"{failures} of {compared} saved tensors differ from their maxima or extents")
    return failures + (compared < 400)


def main():
    whit, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    shutil.rmtree(folder, ignore_errors=True)
    (folder / "sixteen").mkdir(parents=True)
    write_ranks(folder / "sixteen", 16)
    failures = 0
    for source, target, ranks in (("sixteen", "eight", 8), ("eight", "one", 1), ("sixteen", "direct", 1)):
        subprocess.run([whit, "unify", "--measurements", folder / source, "--ranks", str(ranks), "--out",
                        folder / target, "--quiet"], check=True, stdout=subprocess.DEVNULL)
        failures += compare(folder / target)
    stepped, direct = ((folder / name / "run_hooks_maxabs_0_1.npz").read_bytes() for name in ("one", "direct"))
    failures += stepped != direct
    ranks = [json.loads((folder / "sixteen" / f"run_hooks_maxabs_{k}_16.json").read_text()) for k in range(16)]
    failures += check_unified(folder / "one", ranks)
    subprocess.run([whit, "expand", "--measurements", folder / "one", "--ranks", "4", "--out", folder / "four",
                    "--quiet"], check=True, stdout=subprocess.DEVNULL)
    failures += compare(folder / "four")
    scales_of(whit, folder, folder / "scales")
    failures += compare(folder / "scales")
    failures += check_saved(whit, folder)
    print(f"{failures} failures")
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
