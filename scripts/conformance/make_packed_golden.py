#!/usr/bin/env python3
"""Writes tests/golden/packed/: modules packed by compressed-tensors 0.20 (torch 2.15) and what the package
decodes them to in fp32. Read by tests/formats/packed_golden_test.cpp; rerun only to change the cases.

    pip install -r scripts/conformance/requirements.txt
    python scripts/conformance/make_packed_golden.py [FOLDER]
"""
import json
import pathlib
import sys

import torch
from safetensors.torch import save_file

import packing

FOLDER = pathlib.Path(__file__).resolve().parents[2] / "tests/golden/packed"
ROWS, COLS, GROUP = 9, 24, 8  # neither fills its last word


def main():
    torch.manual_seed(0)
    tensors, expected, schemes = {}, {}, {}
    dtypes = {"group": torch.bfloat16, "channel": torch.float16, "tensor": torch.float32}
    for bits in (3, 4, 8):
        for symmetric in (True, False):
            for strategy, dtype in dtypes.items():
                module = f"m.b{bits}_{'sym' if symmetric else 'asym'}_{strategy}"
                scheme = packing.scheme_of(bits, strategy, symmetric, GROUP if strategy == "group" else None)
                packed = packing.pack(torch.randn(ROWS, COLS) + 0.3, scheme, dtype)
                schemes[module] = scheme
                expected[module] = packing.decode(packed, scheme).contiguous()
                tensors |= {f"{module}.{name}": tensor.contiguous() for name, tensor in packed.items()}
    folder = pathlib.Path(sys.argv[1]) if len(sys.argv) > 1 else FOLDER
    folder.mkdir(parents=True, exist_ok=True)
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(expected, folder / "decoded.bin", metadata={"format": "pt"})
    config = {"model_type": "golden", "quantization_config": packing.config_of(schemes)}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


if __name__ == "__main__":
    main()
