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


def decoded_tensors(folder: pathlib.Path) -> dict[str, torch.Tensor]:
    tensors = {}
    for shard in sorted(folder.glob("*.safetensors")):
        tensors.update(load_file(shard))
    return tensors


def expert_parts(name: str, decoded: dict, config) -> torch.Tensor | None:
    """The fused expert parameter `name` of transformers, stacked from per-expert tensors."""
    prefix, _, last = name.rpartition(".")
    if not prefix.endswith("mlp.experts"):
        return None
    count = config.n_routed_experts
    get = lambda e, which: decoded[f"{prefix}.{e}.{which}.weight"]
    if last == "gate_up_proj":
        return torch.stack([torch.cat([get(e, "gate_proj"), get(e, "up_proj")]) for e in range(count)])
    if last == "down_proj":
        return torch.stack([get(e, "down_proj") for e in range(count)])
    return None


def compare_parameters(model, decoded: dict) -> list[str]:
    errors, compared = [], 0
    for name, parameter in model.named_parameters():
        expected = decoded.get(name)
        if expected is None:
            expected = expert_parts(name, decoded, model.config)
        if expected is None:
            if name == "lm_head.weight" and "lm_head.weight" not in decoded:
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


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--ids", default="0,480,729,439,94,491,61,267,61,156,18,285,42,88,343,265")
    args = parser.parse_args()
    vocabulary = json.loads((args.out / "config.json").read_text())["vocab_size"]
    ids = [int(i) % vocabulary for i in args.ids.split(",")]
    with tempfile.TemporaryDirectory() as tmp:
        folder = pathlib.Path(tmp)
        subprocess.run([args.whit, "convert", args.out, folder / "f32", "--to", "f32", "--quiet"], check=True)
        (folder / "ids.json").write_text(json.dumps(ids))
        subprocess.run([args.whit, "logits", args.out, "--ids", folder / "ids.json", "--out", folder / "l.npy",
                        "--quiet"], check=True, stdout=subprocess.DEVNULL)
        ours = np.load(folder / "l.npy")
        decoded = decoded_tensors(folder / "f32")
        packed = AutoModelForCausalLM.from_pretrained(
            args.out, dtype=torch.bfloat16, quantization_config=CompressedTensorsConfig(dequantize=True))
        errors = compare_parameters(packed, decoded)
        plain = AutoModelForCausalLM.from_pretrained(folder / "f32", dtype=torch.float32,
                                                     experts_implementation="eager")
        theirs = logits_of(plain, ids)
    gap = np.abs(ours - theirs).max() / np.abs(theirs).max()
    print(f"  logits differ by {gap:.2e} of the largest")
    if ours.shape != theirs.shape or not gap < 1e-4:
        errors.append(f"logits differ by {gap}")
    for error in errors[:20]:
        print("  " + error)
    print("ok" if not errors else f"{len(errors)} differences")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
