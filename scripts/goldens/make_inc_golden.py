#!/usr/bin/env python3
"""tests/golden/inc/: files as Intel Neural Compressor's code writes them, with this NumPy.

    make_inc_golden.py FOLDER SUFFIX      numpy1 or numpy2, for the names of the files
"""
import json
import pathlib
import pickle
import sys
import zipfile

import numpy


def f4(value):
    return numpy.array([[value]], dtype=numpy.float32)


MEASURED = {
    "NumSamples": 3, "GlobalRank": None, "LocalRank": 0, "Mode": "DynamicRange",
    "Nodes": {
        "model.layers.0.self_attn.qkv_proj": {"inputs": [f4(0.302734375)], "params": {"weight": f4(0.283203125)}},
        "model.layers.0.self_attn.attn.impl.matmul_qk": {"inputs": [f4(1.796875), f4(12.625)]},
        "model.layers.0.self_attn.attn.impl.k_cache": {"inputs": [f4(12.625)]},
        "model.layers.0.self_attn.attn.impl.fused_scaled_dot_product_attention": {
            "inputs": [f4(21.25), f4(12.625), f4(0.03759765625)], "outputs": [f4(0.03369140625), f4(1.0)]},
        "model.layers.0.mlp.experts.moe_op": {
            "inputs": [f4(8.9375)], "outputs": [f4(0.8359375), f4(1.984375), f4(3.265625)]},
        "model.layers.0.mlp.experts.moe_op.w13_list.0": {"inputs": [f4(0)], "params": {"weight": f4(0.1630859375)}},
        "model.layers.0.mlp.experts.moe_op.w13_list.1": {"inputs": [f4(0)], "params": {"weight": f4(0.1)}},
    }}
SCALES = {
    "GlobalRank": None, "LocalRank": 0, "Mode": "Scale",
    "Nodes": {
        "a": {"inputs": [numpy.float32(0.00390625).reshape(())], "outputs": (numpy.array(7.62939453125e-06, "f4"),),
              "params": {"weight": numpy.array(0.001953125, "f4")}},
        "b": {"inputs": [numpy.array(0.5, "f4")], "outputs": (numpy.array([0.25, 0.125], "f4"),),
              "params": {"weight": {0: numpy.array([0.5, 0.25], "f4"), 1: numpy.ones(3, "f4")}}},
        "c": {"inputs": [numpy.array(0.5, "f4")], "outputs": (numpy.array([0.03125], "f4"),),
              "params": {"weight": numpy.array([0.0625], "f4")}},
    }}


def lists(value):
    if isinstance(value, dict):
        return {key: lists(entry) for key, entry in value.items()}
    if isinstance(value, (list, tuple)):
        return [lists(entry) for entry in value]
    return value.tolist() if isinstance(value, (numpy.ndarray, numpy.generic)) else value


def wide(value):
    """As the scripts that unify and expand write measurements: read from JSON, so float64."""
    if isinstance(value, dict):
        return {key: wide(entry) for key, entry in value.items()}
    if isinstance(value, list):
        return [wide(entry) for entry in value]
    return numpy.array(value.tolist()) if isinstance(value, numpy.ndarray) else value


class Malicious:
    def __reduce__(self):
        import os
        return os.system, ("true",)


def main():
    folder, suffix = pathlib.Path(sys.argv[1]), sys.argv[2]
    for name, tree in (("measured", MEASURED), ("measured-f8", wide(MEASURED)), ("scales", SCALES)):
        numpy.savez(folder / f"{name}-{suffix}.npz", tree)
        (folder / f"{name}.json").write_text(json.dumps(lists(tree), indent=4))
    numpy.savez_compressed(folder / f"deflated-{suffix}.npz", MEASURED)
    numpy.savez(folder / f"malicious-{suffix}.npz", numpy.array(Malicious(), dtype=object))


if __name__ == "__main__":
    main()
