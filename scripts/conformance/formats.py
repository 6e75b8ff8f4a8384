#!/usr/bin/env python3
"""Packed weights, both ways, bit for bit against the compressed-tensors package.

    formats.py WHIT FOLDER...   each FOLDER, written by whit: every module as the package decodes it, in fp32,
                                against `whit convert FOLDER --to f32`; then a Llama checkpoint that the package
                                packs (each linear in another scheme: 2..8 bits, tensor/channel/group, symmetric
                                or not) against the same; exit 1 where anything differs
"""
import json
import pathlib
import subprocess
import sys
import tempfile

import torch
from compressed_tensors.compressors.base import BaseCompressor
from compressed_tensors.quantization import QuantizationConfig
from compressed_tensors.utils import match_name
from safetensors import safe_open
from safetensors.torch import save_file

import packing

HIDDEN, INTERMEDIATE, VOCABULARY, HEADS, KV_HEADS, GROUP = 64, 96, 48, 4, 2, 32


def tensors_of(folder):
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with safe_open(path, "pt") as file:
            tensors |= {name: file.get_tensor(name) for name in file.keys()}
    return tensors


def scheme_for(module, config):
    """By exact name, by pattern in alphabetical order, by class."""
    targets = [(target, scheme) for scheme in config.config_groups.values() for target in scheme.targets]
    if any(match_name(module, ignored) for ignored in config.ignore or []):
        raise SystemExit(f"{module}: packed, but in the ignore list")
    for pattern in (False, True):
        for target, scheme in sorted(targets, key=lambda pair: pair[0]):
            if target.startswith("re:") == pattern and match_name(module, target):
                return scheme
    return next(scheme for target, scheme in targets if target == "Linear")


def decoded_by_package(folder):
    """{name: fp32 weight} of every packed module, by the compressor that the config's format names."""
    config = QuantizationConfig.model_validate(json.loads((folder / "config.json").read_text())["quantization_config"])
    compressor = BaseCompressor.get_value_from_registry(config.format)
    tensors, decoded = tensors_of(folder), {}
    for name in tensors:
        if not name.endswith(".weight_packed"):
            continue
        module = name.removesuffix(".weight_packed")
        state = {key.removeprefix(module + "."): value for key, value in tensors.items() if key.startswith(module + ".weight")}
        state["weight_scale"] = state["weight_scale"].float()
        weight = compressor.decompress(state, scheme_for(module, config))["weight"]
        decoded[module + ".weight"] = weight.float()
    return decoded


def compare(title, whit, folder, expected):
    with tempfile.TemporaryDirectory() as out:
        target = pathlib.Path(out) / "f32"
        subprocess.run([whit, "convert", str(folder), str(target), "--to", "f32", "--quiet"], check=True,
                       stdout=subprocess.DEVNULL)
        found = tensors_of(target)
    different = [name for name, weight in expected.items()
                 if name not in found or found[name].dtype != torch.float32
                 or not torch.equal(found[name].view(torch.int32), weight.contiguous().view(torch.int32))]
    print(f"{title}: {len(expected) - len(different)} of {len(expected)} modules equal bit for bit")
    for name in different[:5]:
        print(f"  {name} differs")
    return bool(expected) and not different


def linears(layers):
    sizes = {"self_attn.q_proj": (HIDDEN, HIDDEN), "self_attn.k_proj": (HIDDEN // HEADS * KV_HEADS, HIDDEN),
             "self_attn.v_proj": (HIDDEN // HEADS * KV_HEADS, HIDDEN), "self_attn.o_proj": (HIDDEN, HIDDEN),
             "mlp.gate_proj": (INTERMEDIATE, HIDDEN), "mlp.up_proj": (INTERMEDIATE, HIDDEN),
             "mlp.down_proj": (HIDDEN, INTERMEDIATE)}
    return [(f"model.layers.{i}.{name}", size) for i in range(layers) for name, size in sizes.items()]


def write_packed_llama(folder):
    """A checkpoint of the package's own making; returns what it decodes to."""
    torch.manual_seed(1)
    cases = [(bits, strategy, symmetric) for bits in range(2, 9) for strategy in ("tensor", "channel", "group")
             for symmetric in (True, False)]
    layers = len(cases) // 7
    tensors = {"model.embed_tokens.weight": torch.randn(VOCABULARY, HIDDEN).bfloat16(),
               "model.norm.weight": torch.ones(HIDDEN).bfloat16(), "lm_head.weight": torch.randn(VOCABULARY, HIDDEN).bfloat16()}
    for i in range(layers):
        for norm in ("input_layernorm", "post_attention_layernorm"):
            tensors[f"model.layers.{i}.{norm}.weight"] = torch.ones(HIDDEN).bfloat16()
    expected, schemes = {}, {}
    for (module, size), (bits, strategy, symmetric) in zip(linears(layers), cases, strict=True):
        scheme = packing.scheme_of(bits, strategy, symmetric, GROUP if strategy == "group" else None)
        packed = packing.pack(torch.randn(*size) * 0.1 + 0.02, scheme, torch.bfloat16)
        tensors |= {f"{module}.{name}": tensor.contiguous() for name, tensor in packed.items()}
        expected[module + ".weight"] = packing.decode(packed, scheme)
        schemes[module] = scheme
    config = {"architectures": ["LlamaForCausalLM"], "model_type": "llama", "torch_dtype": "bfloat16", "vocab_size": VOCABULARY,
              "hidden_size": HIDDEN, "intermediate_size": INTERMEDIATE, "num_hidden_layers": layers, "hidden_act": "silu",
              "num_attention_heads": HEADS, "num_key_value_heads": KV_HEADS, "rms_norm_eps": 1e-6, "rope_theta": 10000.0,
              "max_position_embeddings": 128, "tie_word_embeddings": False, "bos_token_id": 0, "eos_token_id": 1,
              "quantization_config": packing.config_of(schemes)}
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    (folder / "config.json").write_text(json.dumps(config))
    return expected


def main(whit, *folders):
    good = True
    for folder in map(pathlib.Path, folders):
        good &= compare(folder.name, whit, folder, decoded_by_package(folder))
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        good &= compare("packed by the package", whit, folder, write_packed_llama(folder))
    return 0 if good else 1


if __name__ == "__main__":
    if len(sys.argv) < 2:
        sys.exit(__doc__)
    sys.exit(main(*sys.argv[1:]))
