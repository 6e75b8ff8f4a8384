"""One DeepSeek-R1 expert quantized by MoE-Quant's own code and by whit, one after the other on the same GPU.

    python moe_quant_beside.py WHIT MOE_QUANT [--tokens 65536] [--repeats 3]

MOE_QUANT is a checkout of github.com/IST-DASLab/MoE-Quant; its GPTQ class is used as its quant.py uses it: Hessians
updated a sequence of 4,096 tokens at a time, gate_proj and up_proj with one handle tied to the other, int4 in groups of
128, activation order, mse scales asked for. Shapes: gate and up [2048, 7168], down [7168, 2048]. whit's times are those of
`whit bench gptq --gpu-precision bf16`: Gram, factor, scale search and sweep; gate and up as one weight of 4,096 rows.
Neither side runs the forward. The best of the repeats counts; MoE-Quant's first pass, which compiles, does not.
"""
import argparse
import json
import subprocess
import sys
import time

SEQUENCE = 4096


def moe_quant_seconds(folder, tokens, repeats):
    sys.path.insert(0, folder)
    import torch
    from src.gptq import GPTQ
    torch.manual_seed(1)

    def linear(rows, cols):
        layer = torch.nn.Linear(cols, rows, bias=False, device="cuda", dtype=torch.bfloat16)
        torch.nn.init.normal_(layer.weight, std=0.02)
        return layer

    gate, up, down = linear(2048, 7168), linear(2048, 7168), linear(7168, 2048)
    x = torch.randn(SEQUENCE, 7168, device="cuda", dtype=torch.bfloat16)
    mid = torch.randn(SEQUENCE, 2048, device="cuda", dtype=torch.bfloat16)
    args = dict(group_size=128, sym=True, rel_damp=0.1, block_size=128, quantization_order="activation",
                quantization_scale="mse")
    parts = {"hessians": [], "quantize": []}
    for _ in range(repeats + 1):
        handles = [GPTQ(gate, **args), GPTQ(down, **args)]
        tied = GPTQ(up, tied_gptq_handle=handles[0], **args)
        torch.cuda.synchronize()
        start = time.perf_counter()
        for _ in range(tokens // SEQUENCE):
            handles[0].update(x)
            handles[1].update(mid)
        torch.cuda.synchronize()
        middle = time.perf_counter()
        for handle in (handles[0], tied, handles[1]):
            handle.quantize(4)
        torch.cuda.synchronize()
        parts["hessians"].append(middle - start)
        parts["quantize"].append(time.perf_counter() - middle)
    return {name: min(seconds[1:]) for name, seconds in parts.items()}


def whit_seconds(whit, tokens, repeats):
    parts = {"hessians": 0.0, "quantize": 0.0}
    for rows, cols in ((4096, 7168), (7168, 2048)):
        command = [whit, "bench", "gptq", "--rows", rows, "--cols", cols, "--tokens", tokens, "--repeats", repeats, "--device",
                   "cuda", "--gpu-precision", "bf16", "--json"]
        table = json.loads(subprocess.run([str(part) for part in command], check=True, capture_output=True).stdout)
        seconds = {row["name"]: row["seconds"] for row in table["rows"]}
        parts["hessians"] += seconds["gram"]
        parts["quantize"] += seconds["step"]
    return parts


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("whit")
    parser.add_argument("moe_quant")
    parser.add_argument("--tokens", type=int, default=65536)
    parser.add_argument("--repeats", type=int, default=3)
    args = parser.parse_args()
    ours = whit_seconds(args.whit, args.tokens, args.repeats)
    theirs = moe_quant_seconds(args.moe_quant, args.tokens, args.repeats)
    print(f"one expert, {args.tokens} tokens    MoE-Quant ms     whit ms    times")
    for name in (*ours, "together"):
        a, b = (sum(side.values()) if name == "together" else side[name] for side in (theirs, ours))
        print(f"{name:<28}{a * 1e3:>16.1f}{b * 1e3:>12.1f}{a / b:>9.1f}")


if __name__ == "__main__":
    main()
