"""Hessian files of VPTQ's collector, both ways, on a CPU.

    python vptq_hessians.py WHIT WORK

(1) `whit measure --hessians` on a small random Llama: torch.load (weights_only) reads the files, and mean and second
moment are those that hooks on Transformers' own modules sum up in double precision.
(2) The same files saved by torch, in its zip file and in the layout before it, and the factors of their inverses made
with torch by the equations of VPTQ's tool: `whit quantize --hessian-path --inv-hessian-path` writes the same bytes for
either; factors of another layer, and a truncated file, are refused by name.
Exits 1 where anything differs.
"""
import json
import pathlib
import shutil
import subprocess
import sys

import torch
from transformers import LlamaConfig, LlamaForCausalLM

KEYS = {"qkv": "self_attn.q_proj", "o": "self_attn.o_proj", "up": "mlp.up_proj", "down": "mlp.down_proj"}


def run(whit, *words, fails=None):
    done = subprocess.run([whit, *map(str, words), "--quiet"], capture_output=True, text=True)
    if fails is None and done.returncode != 0 or fails is not None and (done.returncode == 0 or fails not in done.stderr):
        sys.exit(f"{' '.join(map(str, words))}: {done.returncode} {done.stderr}")


def make_model(folder, rows):
    torch.manual_seed(1)
    model = LlamaForCausalLM(LlamaConfig(vocab_size=300, hidden_size=48, intermediate_size=80, num_hidden_layers=2,
                                         num_attention_heads=4, num_key_value_heads=2, initializer_range=0.2))
    model.save_pretrained(folder)
    ids = torch.randint(300, (rows, 64))
    (folder / "ids.jsonl").write_text("".join(json.dumps({"input_ids": row.tolist()}) + "\n" for row in ids))
    return model.float().eval(), ids


def moments(model, ids):
    """Sums over tokens of x and of x xᵀ, by layer and key, in double precision."""
    sums = {}

    def watch(name):
        def hook(_, inputs):
            x = inputs[0].reshape(-1, inputs[0].shape[-1]).double()
            sums[name] = (x.sum(0), x.T @ x)
        return hook

    for i, layer in enumerate(model.model.layers):
        for key, module in KEYS.items():
            layer.get_submodule(module).register_forward_pre_hook(watch(f"{i}_{key}"))
    with torch.no_grad():
        model(ids)
    return sums


def second_moment(saved):
    n = saved["n"]
    h = torch.zeros(n, n)
    h[tuple(torch.tril_indices(n, n))] = saved["flatH"]
    return h + h.tril(-1).T + torch.outer(saved["mu"], saved["mu"])


def factor(saved):
    """invH, perm and zero_idx as VPTQ's tool saves them."""
    h = second_moment(saved).double()
    h = h / h.diag().mean() + 0.01 * torch.eye(len(h))
    perm = torch.argsort(h.diag(), descending=True)
    h = h[perm][:, perm]
    h = h + 0.01 * h.diag().mean() * torch.eye(len(h))
    return {"invH": torch.linalg.cholesky(torch.linalg.inv(h), upper=True).float(), "perm": perm,
            "zero_idx": torch.zeros(len(h), dtype=torch.bool)}


def main():
    whit, work = sys.argv[1], pathlib.Path(sys.argv[2]) / "vptq-hessians"
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True)
    model, ids = make_model(work / "model", 16)
    calibration = ["--calibration", work / "model/ids.jsonl", "--num-calibration-samples", "16", "--max-sequence-length", "64"]
    run(whit, "measure", work / "model", *calibration, "--hessians", work / "measured")
    good, expected = True, moments(model, ids)
    for name, (total, square) in expected.items():
        saved = torch.load(work / "measured" / f"{name}.pt", weights_only=True)
        tokens = ids.numel()
        off = (second_moment(saved).double() - square / tokens).norm() / (square / tokens).norm()
        mean = (saved["mu"].double() - total / tokens).norm() / (square / tokens).diag().sum().sqrt()
        good = good and saved["ct"] == tokens and off < 1e-5 and mean < 1e-5
        if not good:
            print(f"{name}: second moment off by {off:.2e}, mean by {mean:.2e}, {saved['ct']} tokens")
    print(f"{len(expected)} measured Hessians are Transformers' within 1e-5: {good}")

    for layout in ("zip", "plain"):
        for folder in ("h", "inverse"):
            (work / layout / folder).mkdir(parents=True)
        for name in expected:
            saved = torch.load(work / "measured" / f"{name}.pt")
            for folder, value in (("h", saved), ("inverse", factor(saved))):
                torch.save(value, work / layout / folder / f"{name}.pt",
                           _use_new_zipfile_serialization=layout == "zip")
    vptq = ["--method", "vptq", "--vector-lens", "-1", "4", "--num-centroids", "-1", "64", "--enable-norm",
            "--enable-perm"]
    for name, flags in {"whit": ["--hessian-path", work / "measured"],
                        "zip": ["--hessian-path", work / "zip/h", "--inv-hessian-path", work / "zip/inverse"],
                        "plain": ["--hessian-path", work / "plain/h", "--inv-hessian-path", work / "plain/inverse"]}.items():
        run(whit, "quantize", work / "model", work / f"out-{name}", *vptq, *flags)
    files = [[file.read_bytes() for file in sorted((work / f"out-{name}").glob("*.safetensors"))]
             for name in ("whit", "zip", "plain")]
    same = files[0] == files[1] == files[2] and len(files[0]) > 0
    print(f"quantized from whit's, torch's and torch's old files, with factors: {'the same bytes' if same else 'DIFFERENT'}")

    shutil.copy(work / "zip/inverse/1_up.pt", work / "zip/inverse/0_up.pt")
    run(whit, "quantize", work / "model", work / "refused", *vptq, "--hessian-path", work / "zip/h", "--inv-hessian-path",
        work / "zip/inverse", fails="0_up.pt: invH")
    whole = (work / "zip/h/1_o.pt").read_bytes()
    (work / "zip/h/1_o.pt").write_bytes(whole[:len(whole) // 2])
    run(whit, "quantize", work / "model", work / "refused", *vptq, "--hessian-path", work / "zip/h", "--overwrite",
        fails="1_o.pt")
    print("a factor of another layer and a truncated file are refused by name")
    sys.exit(0 if good and same else 1)


main()
