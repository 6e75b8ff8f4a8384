"""The published GPTQ step in torch (fp32), timed: what `whit bench gptq` is held against.

    gptq_torch.py --rows 2048 --cols 7168 [--tokens 8192] [--threads 2] [--json]
    gptq_torch.py --weights W.npy --gram G.npy --gram-tokens N --codes CODES.npy

Written from the equations (arXiv:2210.17323, and MoE-Quant's choices: static groups, activation
order, mse search over 100 shrink factors with norm 2.4, inverse by Cholesky, Cholesky of the
inverse, blocks of columns). It needs torch and numpy and is no part of the build.
"""
import argparse
import json
import time

import numpy
import torch

SHRINK = torch.linspace(1.0, 0.2, 100)
NORM = 2.4


def arguments():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rows", type=int, default=2048)
    parser.add_argument("--cols", type=int, default=7168)
    parser.add_argument("--tokens", type=int, default=8192, help="random inputs for the Gram")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--block-size", type=int, default=128)
    parser.add_argument("--rel-damp", type=float, default=0.1)
    parser.add_argument("--scale", choices=["absmax", "mse"], default="mse")
    parser.add_argument("--order", choices=["default", "activation"], default="activation")
    parser.add_argument("--threads", type=int, default=0, help="0: torch's own choice")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--weights", help="fp32 [N,K] .npy in place of random ones")
    parser.add_argument("--gram", help="fp32 [K,K] .npy, the sum of x xT")
    parser.add_argument("--gram-tokens", type=int, help="tokens in --gram")
    parser.add_argument("--codes", help="where to write the codes, int8 .npy")
    parser.add_argument("--json", action="store_true")
    return parser.parse_args()


def to_bf16(x):
    return x.bfloat16().float()


def rounded(x, scale, bits):
    return torch.clamp(torch.round(x / scale), -(2 ** (bits - 1)), 2 ** (bits - 1) - 1)


def find_scales(w, bits, group_size, search):
    """One symmetric scale a group, [N, K/group_size]; the search goes factor by factor in place."""
    groups = w.unflatten(-1, (-1, group_size))
    scale = to_bf16(groups.abs().amax(-1) * (2.0 / (2**bits - 1)) + 1e-12)
    if search == "absmax":
        return scale
    best, least = scale.clone(), torch.full_like(scale, float("inf"))
    for factor in SHRINK:
        trial = to_bf16(scale * factor)
        s = trial.unsqueeze(-1)
        loss = rounded(groups, s, bits).mul_(s).sub_(groups).abs_().pow_(NORM).sum(-1)
        better = loss < least
        least = torch.where(better, loss, least)
        best = torch.where(better, trial, best)
    return best


def hessian_inverse_cholesky(hessian):
    inverse = torch.cholesky_inverse(torch.linalg.cholesky(hessian))
    upper = torch.linalg.cholesky(inverse, upper=True)
    return upper / upper.diagonal()[:, None]


def column_loop(w, upper, scale, bits, block_size):
    """w and scale [K,N], one column of the weight a row; returns the codes, [K,N]."""
    columns, rows = w.shape
    codes = torch.empty_like(w)
    errors = torch.empty(block_size, rows)
    for start in range(0, columns, block_size):
        stop = min(start + block_size, columns)
        for j in range(start, stop):
            codes[j] = rounded(w[j], scale[j], bits)
            error = torch.sub(codes[j] * scale[j], w[j], out=errors[j - start])
            if j + 1 < stop:
                w[j + 1 : stop].addr_(upper[j, j + 1 : stop], error)
        if stop < columns:
            w[stop:].addmm_(upper[start:stop, stop:].t(), errors[: stop - start])
    return codes


def main():
    args = arguments()
    if args.threads:
        torch.set_num_threads(args.threads)
    torch.manual_seed(args.seed)
    torch.set_grad_enabled(False)
    seconds, clock = {}, time.perf_counter
    if args.weights:
        w = torch.from_numpy(numpy.load(args.weights)).float()
    else:
        w = torch.distributions.StudentT(4.0).sample((args.rows, args.cols)) * 0.02
    rows, cols = w.shape
    if args.gram:
        gram, tokens = torch.from_numpy(numpy.load(args.gram)).float(), args.gram_tokens
    else:
        x, tokens = torch.randn(args.tokens, cols), args.tokens
        x = x * torch.exp(0.7 * torch.randn(cols)) + torch.randn(args.tokens, 1)
        begin = clock()
        gram = x.t() @ x
        seconds["gram_seconds"] = clock() - begin

    begin = clock()
    scale = find_scales(w, args.bits, args.group_size, args.scale)
    seconds["scale_search_seconds"] = clock() - begin

    begin = clock()
    hessian = gram * (2.0 / tokens)
    order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
    if args.order == "default":
        order = torch.arange(cols)
    hessian = hessian[order][:, order]
    hessian.diagonal().add_(args.rel_damp * hessian.diagonal().mean())
    upper = hessian_inverse_cholesky(hessian)
    seconds["factor_seconds"] = clock() - begin

    begin = clock()
    columns = w.t()[order].contiguous()
    column_scale = scale.repeat_interleave(args.group_size, -1).t()[order].contiguous()
    codes = column_loop(columns, upper, column_scale, args.bits, args.block_size)
    codes = codes[torch.argsort(order)].t().contiguous().to(torch.int8)
    seconds["loop_seconds"] = clock() - begin

    step = sum(v for k, v in seconds.items() if k != "gram_seconds")
    result = {"rows": rows, "cols": cols, "tokens": tokens, "threads": torch.get_num_threads(), **seconds, "step_seconds": step}
    if args.codes:
        numpy.save(args.codes, codes.numpy())
    if args.json:
        print(json.dumps(result))
    else:
        for name, value in result.items():
            print(f"{name:<22}{value:>10.3f}" if isinstance(value, float) else f"{name:<22}{value:>10}")


if __name__ == "__main__":
    main()
