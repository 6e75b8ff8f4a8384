"""Makes evaluation.json: transformers' perplexity of the demo model on the demo's evaluation text.

    python make_evaluation.py [FILE]      needs torch 2.15, transformers 5.24, safetensors, tokenizers

The FP8 blocks are dequantized in fp32; 4,096 tokens, BOS once, windows of 512 that do not overlap,
the first token of each window is not scored.
"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file, save_file
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

HERE = pathlib.Path(__file__).parent
DEMO = HERE.parents[2] / "demo"
MODEL = DEMO / "moe-15m"
MAX_TOKENS, WINDOW, BLOCK = 4096, 512, 128


def dequantized():
    stored = {}
    for shard in sorted(MODEL.glob("*.safetensors")):
        stored.update(load_file(shard))
    weights = {}
    for name, value in stored.items():
        if name.endswith("_scale_inv"):
            continue
        scale = stored.get(name + "_scale_inv")
        value = value.float()
        if scale is not None:
            grid = scale.float().repeat_interleave(BLOCK, 0).repeat_interleave(BLOCK, 1)
            value = value * grid[: value.shape[0], : value.shape[1]]
        weights[name] = value
    return weights


def main():
    with tempfile.TemporaryDirectory() as folder:
        config = json.loads((MODEL / "config.json").read_text())
        del config["quantization_config"]
        (pathlib.Path(folder) / "config.json").write_text(json.dumps(config))
        save_file(dequantized(), pathlib.Path(folder) / "model.safetensors", metadata={"format": "pt"})
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32,
                                                     attn_implementation="eager").eval()
    tokenizer = Tokenizer.from_file(str(MODEL / "tokenizer.json"))
    text = (DEMO / "text" / "evaluation.txt").read_text(encoding="utf-8")
    ids = torch.tensor(tokenizer.encode(text).ids[:MAX_TOKENS]).view(-1, WINDOW)
    total, count = 0.0, 0
    with torch.no_grad():
        for window in ids:
            logits = model(window[None]).logits[0, :-1]
            total += torch.nn.functional.cross_entropy(logits.double(), window[1:], reduction="sum").item()
            count += WINDOW - 1
    out = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else HERE / "evaluation.json"
    out.write_text(json.dumps(
        {"max_tokens": MAX_TOKENS, "tokens": count, "nll_nats": total / count}, indent=1) + "\n")


if __name__ == "__main__":
    main()
