"""FP8 checkpoints of whit against compressed-tensors and transformers, on a CPU.

    python fp8_checkpoints.py WHIT WORK

(1) Codes and scales: for the embedded model by tensor, channel and block, each weight of the decoded source is scaled and
quantized by compressed-tensors' own functions in fp32; both must be those in the file, bit for bit. Linears that whit
gives one scale count as one tensor.
(2) Served logits: tiny dense models, quantized with static and with dynamic activations, are loaded by transformers with
compressed-tensors in fp32, where its linears round their inputs; the logits must be those of `whit logits`, which does
the same, to 2e-3 of the largest (an input that lies within fp32's noise of a tie is rounded the other way by the one or
the other), and closer to them than to the logits of the weights alone.
(3) The embedded mixture of experts loads with dequantize=True: transformers_load.py.
Exits 1 where anything differs.
"""
import json
import pathlib
import subprocess
import sys

import numpy as np
import torch
from compressed_tensors.quantization import QuantizationArgs
from compressed_tensors.quantization.lifecycle.forward import quantize
from compressed_tensors.quantization.utils import calculate_qparams
from transformers import AutoModelForCausalLM
from transformers.utils import logging

from tiny_models_load import MODELS, write_rows
from transformers_load import IDS, decoded_tensors, differences, logits_of

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent


def run(whit, *words):
    subprocess.run([whit, *map(str, words), "--quiet"], check=True, stdout=subprocess.DEVNULL)


def extremes(weight, strategy, block):
    """Least and largest of what shares a scale."""
    if strategy == "tensor":
        return weight.amin().reshape(1), weight.amax().reshape(1)
    if strategy == "channel":
        return weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    rows, cols = (-(-n // block) for n in weight.shape)
    padded = torch.zeros(rows * block, cols * block)
    padded[: weight.shape[0], : weight.shape[1]] = weight
    tiles = padded.reshape(rows, block, cols, block)
    return tiles.amin((1, 3)), tiles.amax((1, 3))


def fused_with(module, modules):
    """Modules that have one scale by tensor with `module`."""
    parent, _, last = module.rpartition(".")
    for parts in (("q_proj", "k_proj", "v_proj"), ("q_a_proj", "kv_a_proj_with_mqa"), ("gate_proj", "up_proj")):
        if last in parts:
            return [f"{parent}.{p}" for p in parts if f"{parent}.{p}" in modules]
    return [module]


def compare_codes(source, out, strategy):
    config = json.loads((out / "config.json").read_text())["quantization_config"]
    args = QuantizationArgs(**config["config_groups"]["group_0"]["weights"])
    written = decoded_tensors(out)
    modules = {n.removesuffix(".weight") for n, t in written.items()
               if n.endswith(".weight") and t.dtype == torch.float8_e4m3fn}
    errors = []
    for module in sorted(modules):
        weight = source[module + ".weight"]
        low, high = extremes(weight, strategy, 128)
        if strategy == "tensor":
            parts = [extremes(source[m + ".weight"], strategy, 128) for m in fused_with(module, modules)]
            low, high = torch.stack([p[0] for p in parts]).amin(0), torch.stack([p[1] for p in parts]).amax(0)
        scale, zero = calculate_qparams(low, high, args)
        stored = written[module + ".weight_scale"]
        if not torch.equal(scale.reshape(stored.shape), stored):
            errors.append(f"{module}: scales differ")
            continue
        codes = quantize(weight, stored, None, args, dtype=torch.float8_e4m3fn)
        if not torch.equal(codes.view(torch.uint8), written[module + ".weight"].view(torch.uint8)):
            count = (codes.float() != written[module + ".weight"].float()).sum().item()
            errors.append(f"{module}: {count} codes differ")
    print(f"  {len(modules)} modules by {strategy}: {len(errors)} differ")
    return errors


def logits_by_whit(whit, model, work, *flags):
    ids = work / "ids.json"
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    numbers = [i % vocabulary for i in IDS]
    ids.write_text(json.dumps(numbers))
    run(whit, "logits", model, "--ids", ids, "--out", work / "logits.npy", *flags)
    return np.load(work / "logits.npy"), numbers


def compare_served(whit, model, out, work):
    served, ids = logits_by_whit(whit, out, work)
    alone, _ = logits_by_whit(whit, out, work, "--weights-only")
    loaded = AutoModelForCausalLM.from_pretrained(out, dtype=torch.float32)
    theirs = logits_of(loaded, ids)
    largest = np.abs(theirs).max()
    gap, other = np.abs(served - theirs).max() / largest, np.abs(alone - theirs).max() / largest
    print(f"  {out.name}: served logits differ by {gap:.2e} of the largest, weights alone by {other:.2e}")
    return [] if gap < 2e-3 and gap < other / 4 else [f"{out.name}: served logits differ by {gap}, alone by {other}"]


def main() -> int:
    whit, work = sys.argv[1], pathlib.Path(sys.argv[2])
    work.mkdir(parents=True, exist_ok=True)
    logging.disable_progress_bar()
    demo = ROOT / "demo" / "moe-15m"
    errors = []
    run(whit, "convert", demo, work / "decoded", "--to", "f32", "--overwrite")
    source = decoded_tensors(work / "decoded")
    for strategy in ("tensor", "channel", "block"):
        # From the decoded source: blocks of FP8 that stay blocks keep the bytes that they have.
        out = work / strategy
        run(whit, "quantize", work / "decoded", out, "--method", "fp8", "--weight-scales", strategy, "--overwrite")
        run(whit, "verify", out, "--source", work / "decoded")
        errors += compare_codes(source, out, strategy)
        if strategy != "block":
            errors += differences(whit, out)
    for model in sorted(path for path in MODELS.iterdir() if path.is_dir()):
        config = json.loads((model / "config.json").read_text())
        if config["model_type"] not in ("llama", "qwen2", "qwen3", "mistral") or "quantization_config" in config:
            continue
        write_rows(work / "rows.jsonl", config["vocab_size"])
        calibration = ["--calibration", work / "rows.jsonl", "--num-calibration-samples", 6,
                       "--max-sequence-length", 24]
        for name, flags in (("dynamic", []), ("static", ["--activations", "static", *calibration])):
            out = work / f"{model.name}-{name}"
            run(whit, "quantize", model, out, "--method", "fp8", "--overwrite", *flags)
            run(whit, "verify", out, "--source", model)
            errors += compare_served(whit, model, out, work)
    for error in errors[:20]:
        print("  " + error)
    print("ok" if not errors else f"{len(errors)} differences")
    return 1 if errors else 0


if __name__ == "__main__":
    sys.exit(main())
