"""Loads what whit wrote with transformers + compressed-tensors on a CPU and compares it with whit.

    python transformers_load.py WHIT OUT [--ids 1,2,3]

OUT is a checkpoint written by `whit quantize`. Checked: (1) every parameter that transformers decompresses equals
`whit convert OUT --to f32`, rounded as transformers rounds; (2) the logits that transformers computes on those
weights in fp32 equal `whit logits OUT` to 1e-4 of the largest logit. Exits 1 where anything differs.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile

import numpy as np
import torch
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM, CompressedTensorsConfig

IDS = [0, 480, 729, 439, 94, 491, 61, 267, 61, 156, 18, 285, 42, 88, 343, 265]


def as_loaded(decoded: dict, packed: dict) -> dict[str, torch.Tensor]:
    """`decoded` with each product of code and scale rounded to the dtype of the scale, in which the package multiplies:
    that of the model where it is a narrow one, BF16 where it is float32."""
    rounded = dict(decoded)
    for name, scale in packed.items():
        weight = name.removesuffix("_scale")
        if name.endswith(".weight_scale") and weight in decoded:
            rounded[weight] = decoded[weight].to(scale.dtype).float()
    return rounded


def decoded_tensors(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for shard in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(shard))
    return tensors


def expert_parts(name: str, decoded: dict) -> torch.Tensor | None:
    """The fused expert parameter `name` of transformers, stacked from per-expert tensors."""
    prefix, _, last = name.rpartition(".")
    if not prefix.endswith("mlp.experts"):
        return None
    mixtral = prefix.replace("mlp.experts", "block_sparse_moe.experts")
    for folder, gate, up, down in ((prefix, "gate_proj", "up_proj", "down_proj"), (mixtral, "w1", "w3", "w2")):
        count = sum(f"{folder}.{e}.{down}.weight" in decoded for e in range(4096))
        get = lambda e, which: decoded[f"{folder}.{e}.{which}.weight"]
        if count and last == "gate_up_proj":
            return torch.stack([torch.cat([get(e, gate), get(e, up)]) for e in range(count)])
        if count and last == "down_proj":
            return torch.stack([get(e, down) for e in range(count)])
    return None


def stored_names(name: str, base: str) -> list[str]:
    """What files may call the parameter `name` of a model whose base is `base`."""
    return [name, name.removeprefix(base + "."), name.replace("mlp.gate", "block_sparse_moe.gate"),
            name.replace("lm_head", "embed_out"), name.replace("embed_out", "lm_head")]


def compare_parameters(model, decoded: dict) -> list[str]:
    errors, compared = [], 0
    for name, parameter in model.named_parameters():
        if parameter.numel() == 0:
            continue  # shared experts that are none
        stored = [n for n in stored_names(name, model.base_model_prefix) if n in decoded]
        expected = decoded[stored[0]] if stored else expert_parts(name, decoded)
        if expected is None:
            if name in ("lm_head.weight", "embed_out.weight"):
                continue  # tied
            errors.append(f"{name}: whit has no such tensor")
            continue
        expected = expected.to(parameter.dtype)
        compared += 1
        if not torch.equal(parameter.data, expected):
            gap = (parameter.data.float() - expected.float()).abs().max().item()
            errors.append(f"{name}: differs by up to {gap}")
    print(f"  {compared} parameters compared")
    return errors


def logits_of(model, ids: list[int]) -> np.ndarray:
    with torch.no_grad():
        return model(torch.tensor([ids])).logits[0].float().numpy()


def differences(whit: str, out: pathlib.Path, ids: list[int] = IDS) -> list[str]:
    """Both checks on `out`; ids count modulo the vocabulary."""
    config = json.loads((out / "config.json").read_text())
    vocabulary = config["vocab_size"]
    # The package multiplies in the dtype of the scales, which is the model's: in another one it would round twice.
    stored = getattr(torch, config.get("dtype") or config.get("torch_dtype") or "bfloat16")
    ids = [i % vocabulary for i in ids]
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        subprocess.run([whit, "convert", out, folder / "f32", "--to", "f32", "--quiet"], check=True)
        (folder / "ids.json").write_text(json.dumps(ids))
        subprocess.run([whit, "logits", out, "--ids", folder / "ids.json", "--out", folder / "l.npy", "--weights-only",
                        "--quiet"], check=True, stdout=subprocess.DEVNULL)
        ours = np.load(folder / "l.npy")
        decoded = decoded_tensors(folder / "f32")
        packed = AutoModelForCausalLM.from_pretrained(
            out, dtype=stored, quantization_config=CompressedTensorsConfig(dequantize=True))
        errors = compare_parameters(packed, as_loaded(decoded, decoded_tensors(out)))
        plain = AutoModelForCausalLM.from_pretrained(folder / "f32", dtype=torch.float32,
                                                     experts_implementation="eager")
        theirs = logits_of(plain, ids)
    gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"  logits differ by {gap:.2e} of the largest")
    if ours.shape != theirs.shape or not gap < 1e-4:
        errors.append(f"logits differ by {gap}")
    return errors


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--ids", default=",".join(map(str, IDS)))
    args = parser.parse_args()
    errors = differences(args.whit, args.out, [int(i) for i in args.ids.split(",")])
    for error in errors[:20]:
        print("  " + error)
    print("ok" if not errors else f"{len(errors)} differences")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
