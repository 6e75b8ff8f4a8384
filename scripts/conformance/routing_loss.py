"""How much of what a quantized mixture loses comes of tokens that go to other experts.

    routing_loss.py ORIGINAL QUANTIZED TEXT [--tokens 8192]

Both are folders that `whit convert --to bf16` wrote, of the DeepSeek-V3 architecture; transformers runs them in fp32. Mean
KL(original || quantized) over windows of 512 of the plain TEXT: as it is; with the original's choice of experts; with its
weights of them too. Then, of each layer, the share of tokens with another expert among theirs.
"""
import argparse
import pathlib

import torch
import transformers.models.deepseek_v3.modeling_deepseek_v3 as deepseek
from tokenizers import Tokenizer
from transformers import AutoModelForCausalLM

WINDOW = 512
own_choice = deepseek.DeepseekV3TopkRouter.forward


class Routes:
    """Stands in for the routers' forward: keeps what the original chose, and gives it to the quantized model."""

    def __init__(self):
        self.kept, self.mode, self.moved = {}, "keep", {}

    def forward(self, router, hidden):
        logits, weights, experts = own_choice(router, hidden)
        if self.mode == "keep":
            self.kept[router.name] = (weights, experts)
            return logits, weights, experts
        kept_weights, kept_experts = self.kept[router.name]
        if self.mode == "own":
            same = (experts.sort(-1)[0] == kept_experts.sort(-1)[0]).all(-1)
            self.moved.setdefault(router.name, []).append(1 - same.float().mean().item())
            return logits, weights, experts
        if self.mode == "choice":
            scores = logits.sigmoid().gather(1, kept_experts)
            kept_weights = scores / scores.sum(-1, keepdim=True) * router.routed_scaling_factor
        return logits, kept_weights, kept_experts


def load(folder):
    model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32, attn_implementation="eager").eval()
    for name, module in model.named_modules():
        if isinstance(module, deepseek.DeepseekV3TopkRouter):
            module.name = name
    return model


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    for name in ("original", "quantized", "text"):
        parser.add_argument(name, type=pathlib.Path)
    parser.add_argument("--tokens", type=int, default=8192)
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    original, quantized, routes = load(args.original), load(args.quantized), Routes()
    deepseek.DeepseekV3TopkRouter.forward = lambda router, hidden: routes.forward(router, hidden)
    tokenizer = Tokenizer.from_file(str(args.original / "tokenizer.json"))
    text = args.text.read_text(encoding="utf-8")[:8 * args.tokens]
    ids = [0, *tokenizer.encode(text, add_special_tokens=False).ids][:args.tokens // WINDOW * WINDOW]
    losses = {"own": [], "choice": [], "choice and weights": []}
    for window in torch.tensor(ids).view(-1, 1, WINDOW):
        routes.mode = "keep"
        wanted = original(window).logits[0].log_softmax(-1)
        for routes.mode in losses:
            found = quantized(window).logits[0].log_softmax(-1)
            losses[routes.mode].append((wanted.exp() * (wanted - found)).sum(-1).mean().item())
    for mode, values in losses.items():
        print(f"{mode}: mean KL {sum(values) / len(values):.4f}")
    for name, shares in routes.moved.items():
        print(f"{name}: {100 * sum(shares) / len(shares):.1f} % of the tokens have another expert")


if __name__ == "__main__":
    main()
