"""What searches cleverer than GPTQ's sweep would find for a mixture's routed experts.

    code_search.py MODEL IDS [--device cuda] [--experts N] [--bits 4] [--group-size 128]

MODEL is a folder that `whit convert --to bf16` wrote, of the DeepSeek-V3 architecture; IDS are JSON lines with input_ids, all of
one length. Every expert's Gram of the tokens routed to it, weighted by the router's weight squared; then tr(E Hd E') of each
search relative to one sweep by descending diagonal, mean over experts, gate and down apart. A minute on a GPU.
"""
import argparse
import json

import torch
from transformers import AutoModelForCausalLM

UNREACHED = 1e30


# ---- Grams ---------------------------------------------------------------------------------------------------------
class Grams:
    """Means of 2 x x' over the tokens of each expert, in two halves of the sequences."""

    def __init__(self, model, experts, device):
        self.sums, self.tokens, self.half = {}, {}, 0
        self.layers = [i for i, layer in enumerate(model.model.layers) if hasattr(layer.mlp, "experts")]
        self.experts, self.weights = experts, {}
        for layer in self.layers:
            module = model.model.layers[layer].mlp.experts
            for expert in range(experts):
                gate, up = module.gate_up_proj[expert].chunk(2, 0)
                self.weights[layer, expert] = (gate, up, module.down_proj[expert])
            module.register_forward_pre_hook(self.hook(layer))

    def hook(self, layer):
        def observe(_, args):
            hidden, experts, route = args[:3]
            for expert in range(self.experts):
                token, slot = (experts == expert).nonzero(as_tuple=True)
                x, weight = hidden[token], route[token, slot].float() ** 2
                gate, up, _ = self.weights[layer, expert]
                mid = torch.nn.functional.silu(x @ gate.T) * (x @ up.T)
                for kind, values in (("gate", x), ("down", mid)):
                    key = layer, expert, kind, self.half
                    self.sums[key] = self.sums.get(key, 0) + (values.T @ (values * (weight / weight.mean())[:, None])).double()
                    self.tokens[key] = self.tokens.get(key, 0) + len(token)

        return observe

    def of(self, kind, half):
        keys = [(layer, expert, kind, half) for layer in self.layers for expert in range(self.experts)]
        return torch.stack([2 * self.sums[key] / self.tokens[key] for key in keys])

    def weight(self, kind):
        at = {"gate": 0, "down": 2}[kind]
        return torch.stack([self.weights[layer, expert][at] for layer in self.layers for expert in range(self.experts)])


def damped(hessian, share):
    mean = torch.diagonal(hessian, dim1=1, dim2=2).mean(1, keepdim=True)
    return hessian + torch.diag_embed(share * mean.expand(hessian.shape[:2]))


# ---- the codec: w [experts, N, K], scales [experts, N, G], codes [experts, N, K] -----------------------------------------
class Codec:
    def __init__(self, bits, group):
        self.low, self.high, self.group = -(2 ** (bits - 1)), 2 ** (bits - 1) - 1, group

    def each(self, scales):
        return scales.repeat_interleave(self.group, 2)

    def error(self, w, codes, scales, hessian):
        e = (w - codes * self.each(scales)).double()
        return ((e @ hessian) * e).sum(2)

    def search_scales(self, w, diagonal):
        found = []
        for first in range(0, w.shape[2], self.group):
            x, weight = w[:, :, first:first + self.group], diagonal[:, None, first:first + self.group]
            widest = x.abs().amax(2, keepdim=True) / (self.high + 0.5)
            least, best = torch.full(x.shape[:2], torch.inf, device=w.device), widest[..., 0]
            for trial in range(100):
                scale = (widest * (1.05 - 0.85 * trial / 99)).bfloat16().float()
                lost = ((x - (x / scale).round().clamp(self.low, self.high) * scale) ** 2 * weight).sum(2)
                best, least = torch.where(lost < least, scale[..., 0], best), torch.minimum(lost, least)
            found.append(best)
        return torch.stack(found, -1)

    def sweep(self, w, hessian, order, scales, kept=1, collapse=0, choices=2):
        """LDL' in `order` with the `kept` best codings of each row; every `collapse` columns only the best goes on."""
        count, rows, width = w.shape
        u, pivots = udu(permuted(hessian, order))
        columns = order[:, None, :].expand_as(w)
        w, step = torch.gather(w, 2, columns), torch.gather(self.each(scales), 2, columns)
        errors = torch.zeros(count, rows, kept, width, device=w.device)
        codes = torch.zeros_like(errors, dtype=torch.int8)
        cost = torch.full((count, rows, kept), UNREACHED, device=w.device)
        cost[:, :, 0] = 0
        for k in range(width):
            target = w[:, :, k, None] + (errors[..., :k] * u[:, None, None, :k, k]).sum(-1)
            s = step[:, :, k, None]
            nearest = (target / s).round().clamp(self.low, self.high)
            side = torch.where(target / s >= nearest, 1.0, -1.0)
            tried = torch.stack([nearest, nearest + side, nearest - side][:1 if kept == 1 else choices], -1)
            total = cost[..., None] + pivots[:, None, None, k, None] * (target[..., None] - tried * s[..., None]) ** 2
            total = torch.where((tried >= self.low) & (tried <= self.high), total, UNREACHED).reshape(count, rows, -1)
            cost, at = (part[..., :kept] for part in torch.sort(total, dim=2, stable=True))
            parent = (at // tried.shape[-1])[..., None].expand(count, rows, kept, k)
            errors[..., :k] = torch.gather(errors[..., :k], 2, parent)
            codes[..., :k] = torch.gather(codes[..., :k], 2, parent)
            code = torch.gather(tried.reshape(count, rows, -1), 2, at)
            codes[..., k], errors[..., k] = code.to(torch.int8), w[:, :, k, None] - code * s
            if collapse and (k + 1) % collapse == 0 and k + 1 < width:
                cost[..., 1:] = UNREACHED
        best = cost.argmin(2)[:, :, None, None].expand(count, rows, 1, width)
        return torch.zeros_like(w).scatter_(2, columns, torch.gather(codes, 2, best)[:, :, 0].float())

    def descend(self, w, codes, scales, hessian, passes):
        codes, step, hessian = codes.clone(), self.each(scales), hessian.float()
        for _ in range(passes):
            slope = (w - codes * step) @ hessian
            for k in range(w.shape[2]):
                x = slope[..., k] / (hessian[:, k, k][:, None] * step[..., k])
                code = torch.where(x.abs() > 0.501, (codes[..., k] + x).round().clamp(self.low, self.high), codes[..., k])
                slope -= ((code - codes[..., k]) * step[..., k])[..., None] * hessian[:, None, k]
                codes[..., k] = code
        return codes

    def refit(self, w, codes, scales, hessian):
        count, rows, width = w.shape
        groups = width // self.group
        value = (codes * self.each(scales)).double()
        apart = torch.zeros(count, rows, groups, width, dtype=torch.double, device=w.device)
        for g in range(groups):
            of_group = slice(g * self.group, (g + 1) * self.group)
            apart[:, :, g, of_group] = value[:, :, of_group]
        product = (apart.reshape(count, rows * groups, width) @ hessian).reshape(apart.shape)
        matrix = product @ apart.transpose(2, 3)
        matrix += 1e-9 * matrix.diagonal(dim1=2, dim2=3).mean() * torch.eye(groups, device=w.device)
        right = (product * (w.double() - value)[:, :, None]).sum(-1)
        moved = (scales * (1 + torch.linalg.solve(matrix, right).float())).bfloat16().float()
        gains = self.error(w, codes, moved, hessian) < self.error(w, codes, scales, hessian)
        return torch.where(gains[..., None] & (moved > 0), moved, scales)

    def refined(self, w, codes, scales, hessian):
        scales = self.refit(w, codes, scales, hessian)
        codes = self.descend(w, codes, scales, hessian, 3)
        return codes, self.refit(w, codes, scales, hessian)

    def move_pairs(self, w, codes, scales, hessian, most=100):
        """The best two moves by one of each row, again and again."""
        codes, hessian = codes.clone(), hessian.float()
        for c, s, h, x in zip(codes, self.each(scales), hessian, w):
            rows, width = c.shape
            alone = s * s * torch.diagonal(h)
            for _ in range(most):
                slope = 2 * s * ((x - c * s) @ h)
                found = []
                for a, b in ((1, 1), (1, -1), (-1, 1), (-1, -1)):
                    of = [torch.where((c + m >= self.low) & (c + m <= self.high), alone - m * slope, UNREACHED) for m in (a, b)]
                    change = of[0][:, :, None] + of[1][:, None, :] + 2 * a * b * s[:, :, None] * s[:, None, :] * h
                    change.diagonal(dim1=1, dim2=2).fill_(UNREACHED)
                    found.append((*change.reshape(rows, -1).min(1), a, b))
                value, which = torch.stack([one[0] for one in found]).min(0)
                row = (value < -1e-4 * alone.mean(1)).nonzero()[:, 0]
                if not len(row):
                    break
                at = torch.stack([one[1] for one in found])[which[row], row]
                for part, column in ((2, at // width), (3, at % width)):
                    c[row, column] += torch.tensor([one[part] for one in found], dtype=c.dtype, device=c.device)[which[row]]
        return codes


# ---- orders --------------------------------------------------------------------------------------------------------
def udu(hessian):
    lower = torch.linalg.cholesky(hessian.flip(1, 2)).flip(1, 2)
    root = torch.diagonal(lower, dim1=1, dim2=2)
    return (lower / root[:, None, :]).float(), (root * root).float()


def permuted(hessian, order):
    rows = torch.gather(hessian, 1, order[:, :, None].expand_as(hessian))
    return torch.gather(rows, 2, order[:, None, :].expand_as(hessian))


def greedy_order(hessian, by_trace):
    """From the back: the least remaining pivot, or what takes most off the trace of the rest."""
    count, width, _ = hessian.shape
    rest, every = hessian.clone(), torch.arange(count, device=hessian.device)
    order = torch.empty(count, width, dtype=torch.long, device=hessian.device)
    used = torch.zeros(count, width, dtype=torch.bool, device=hessian.device)
    for place in range(width - 1, -1, -1):
        pivots = torch.diagonal(rest, dim1=1, dim2=2)
        score = ((rest ** 2).sum(1) - pivots ** 2) / pivots - pivots if by_trace else -pivots
        chosen = torch.where(used, -torch.inf, score).argmax(1)
        order[:, place], used[every, chosen] = chosen, True
        column = rest[every, :, chosen]
        rest = rest - column[:, :, None] * column[:, None, :] / pivots[every, chosen][:, None, None]
        rest[every, chosen, :] = 0
        rest[every, :, chosen] = 0
    return order


# ---- the tables ----------------------------------------------------------------------------------------------------
def tell(kind, codec, grams):
    w, halves = grams.weight(kind), [grams.of(kind, half) for half in (0, 1)]
    hessian = damped(sum(halves) / 2, 0.1)
    diagonal = torch.diagonal(hessian, dim1=1, dim2=2)
    by_size = torch.argsort(-diagonal, dim=1, stable=True)
    scales = codec.search_scales(w, diagonal.float())
    base = codec.error(w, codec.sweep(w, hessian, by_size, scales), scales, hessian).sum(1)

    def of_sweep(codes, with_scales):
        return (codec.error(w, codes, with_scales, hessian).sum(1) / base).mean().item()

    pivots = udu(permuted(hessian, by_size))[1]
    print(f"{kind}: mean of the pivots over their geometric mean {(pivots.mean(1) / pivots.log().mean(1).exp()).mean():.4f}")
    plain = torch.arange(w.shape[2], device=w.device).expand(len(w), -1).contiguous()
    for name, order in (("diagonal", by_size), ("plain", plain), ("least pivot last", greedy_order(hessian, False)),
                        ("trace", greedy_order(hessian, True))):
        codes = codec.sweep(w, hessian, order, scales)
        descended = codec.descend(w, codes, scales, hessian, 8)
        print(f"{kind}: order {name}: sweep {of_sweep(codes, scales):.4f}, 8 passes {of_sweep(descended, scales):.4f}")
    for kept, collapse, choices in ((1, 0, 2), (2, 0, 2), (4, 0, 2), (8, 0, 2), (8, 0, 3), (8, 128, 2), (8, 64, 2), (8, 32, 2),
                                    (16, 0, 2), (32, 0, 2), (64, 0, 2)):
        codes = codec.sweep(w, hessian, by_size, scales, kept, collapse, choices)
        passes = [of_sweep(codec.descend(w, codes, scales, hessian, count), scales) for count in (3, 8)]
        refined = codec.refined(w, codes, scales, hessian)
        again = codec.sweep(w, hessian, by_size, refined[1], kept, collapse, choices)
        again = codec.refined(w, again, refined[1], hessian)
        print(f"{kind}: {kept} codings, {choices} codes, the best alone every {collapse or 'end'}: sweep {of_sweep(codes, scales):.4f}, "
              f"3 and 8 passes {passes[0]:.4f} {passes[1]:.4f}, refined {of_sweep(*refined):.4f}, again {of_sweep(*again):.4f}")
    some = slice(0, 8)
    codes = codec.sweep(w[some], hessian[some], by_size[some], scales[some])
    codes = codec.descend(w[some], codes, scales[some], hessian[some], 8)
    pairs = codec.move_pairs(w[some], codes, scales[some], hessian[some])
    told = [(codec.error(w[some], c, scales[some], hessian[some]).sum(1) / base[some]).mean().item() for c in (codes, pairs)]
    print(f"{kind}: pairs after 8 passes {told[0]:.4f} -> {told[1]:.4f}")
    judged = None
    for share in (0.1, 0.03, 0.01, 0.2):
        half = damped(halves[0], share)
        order = torch.argsort(-torch.diagonal(halves[0], dim1=1, dim2=2), dim=1, stable=True)
        half_scales = codec.search_scales(w, torch.diagonal(half, dim1=1, dim2=2).float())
        for kept in (1, 8, 32):
            codes = codec.sweep(w, half, order, half_scales, kept)
            swept = codec.error(w, codes, half_scales, halves[1]).sum(1)
            judged = swept if judged is None else judged
            moved = codec.refit(w, codes, half_scales, half)
            codes = codec.descend(w, codes, moved, half, 3)
            lost = codec.error(w, codes, moved, halves[1]).sum(1)
            print(f"{kind}: half of the tokens, damping {share}, {kept} codings, judged by the other half: sweep "
                  f"{(swept / judged).mean():.4f}, refit and 3 passes {(lost / judged).mean():.4f}")


@torch.no_grad()
def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("ids")
    parser.add_argument("--device", default="cuda")
    parser.add_argument("--experts", type=int, help="of each layer; left out: all")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    args = parser.parse_args()
    torch.backends.cuda.matmul.allow_tf32 = False
    model = AutoModelForCausalLM.from_pretrained(args.model, dtype=torch.float32).to(args.device).eval()
    grams = Grams(model, args.experts or model.config.n_routed_experts, args.device)
    with open(args.ids) as lines:
        sequences = [json.loads(line)["input_ids"] for line in lines]
    for first in range(0, len(sequences), 16):
        grams.half = int(2 * first >= len(sequences))
        model(torch.tensor(sequences[first:first + 16], device=args.device))
    codec = Codec(args.bits, args.group_size)
    for kind in ("gate", "down"):
        tell(kind, codec, grams)


if __name__ == "__main__":
    main()
