"""Golden files of GPTQ on real weights: tests/golden/gptq/NAME.{weight,gram,codes,scales}.npy.

    make_gptq_golden.py [--model demo/moe-15m] [--text demo/text/calibration.jsonl] [--out tests/golden/gptq]

Takes two linears of the demo model, the Gram of what they read on 16 x 512 tokens (transformers,
fp32), and the codes that the torch loop in gptq_torch.py gives in fp32. Made with torch 2.15,
transformers 5.24.
"""
import argparse
import json
import pathlib
import tempfile

import numpy
import torch
from safetensors import safe_open
from safetensors.torch import save_file
from transformers import AutoModelForCausalLM, PreTrainedTokenizerFast

import gptq_torch

LINEARS = {"attention_q_a": ("model.layers.2.self_attn.q_a_proj", 64), "shared_down": ("model.layers.2.mlp.shared_experts.down_proj", 32)}


def dequantized(model_dir, out):
    """The FP8 checkpoint in fp32, as a folder that transformers loads."""
    tensors = {}
    for file in sorted(model_dir.glob("*.safetensors")):
        with safe_open(file, "pt") as f:
            tensors.update({name: f.get_tensor(name) for name in f.keys()})
    for name in [n for n in tensors if n.endswith(".weight_scale_inv")]:
        weight = name.removesuffix("_scale_inv")
        scale = tensors.pop(name).float().repeat_interleave(128, 0).repeat_interleave(128, 1)
        rows, cols = tensors[weight].shape
        tensors[weight] = tensors[weight].float() * scale[:rows, :cols]
    save_file({n: t.float().contiguous() for n, t in tensors.items()}, out / "model.safetensors", metadata={"format": "pt"})
    config = json.loads((model_dir / "config.json").read_text())
    config.pop("quantization_config", None)
    config["torch_dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config))


def sequences(model_dir, text_file, count, length):
    tokenizer = PreTrainedTokenizerFast(tokenizer_file=str(model_dir / "tokenizer.json"))
    for line in text_file.read_text().splitlines():
        ids = [0] + tokenizer.encode(json.loads(line)["text"], add_special_tokens=False)
        if len(ids) >= length and count:
            count -= 1
            yield torch.tensor([ids[:length]])


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    root = pathlib.Path(__file__).resolve().parents[2]
    parser.add_argument("--model", type=pathlib.Path, default=root / "demo/moe-15m")
    parser.add_argument("--text", type=pathlib.Path, default=root / "demo/text/calibration.jsonl")
    parser.add_argument("--out", type=pathlib.Path, default=root / "tests/golden/gptq")
    args = parser.parse_args()
    torch.set_grad_enabled(False)
    with tempfile.TemporaryDirectory() as folder:
        dequantized(args.model, pathlib.Path(folder))
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32).eval()
    grams, tokens = {}, 0
    for key, (module, _) in LINEARS.items():

        def observe(_, inputs, key=key):
            x = inputs[0].flatten(0, -2).float()
            grams[key] = grams.get(key, 0) + x.t() @ x

        model.get_submodule(module).register_forward_pre_hook(observe)
    for ids in sequences(args.model, args.text, 16, 512):
        model(ids)
        tokens += ids.numel()
    args.out.mkdir(parents=True, exist_ok=True)
    for key, (module, group) in LINEARS.items():
        w, gram = model.get_submodule(module).weight.float(), grams[key]
        scale = gptq_torch.find_scales(w, 4, group, "mse")
        hessian = gram * (2.0 / tokens)
        order = torch.argsort(hessian.diagonal(), descending=True, stable=True)
        hessian = hessian[order][:, order]
        hessian.diagonal().add_(0.1 * hessian.diagonal().mean())
        columns = w.t()[order].contiguous()
        codes = gptq_torch.column_loop(
            columns, gptq_torch.hessian_inverse_cholesky(hessian), scale.repeat_interleave(group, -1).t()[order].contiguous(), 4, 128
        )[torch.argsort(order)].t()
        for what, array in {"weight": w, "gram": gram, "codes": codes.to(torch.int8), "scales": scale}.items():
            numpy.save(args.out / f"{key}.{what}.npy", array.contiguous().numpy())
        print(key, tuple(w.shape), "tokens", tokens)


if __name__ == "__main__":
    main()
