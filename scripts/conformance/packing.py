"""Weights packed and decoded by the compressed-tensors package; shared by the scripts beside it."""
import torch
from compressed_tensors.compressors.pack_quantized import PackedQuantizationCompressor
from compressed_tensors.quantization import QuantizationArgs, QuantizationScheme
from compressed_tensors.quantization.utils import calculate_qparams


def scheme_of(bits, strategy, symmetric, group_size=None):
    args = QuantizationArgs(num_bits=bits, type="int", symmetric=symmetric, strategy=strategy, group_size=group_size)
    return QuantizationScheme(targets=["Linear"], weights=args)


def pack(weight, scheme, dtype):
    """The tensors of a module whose fp32 `weight` [N, K] is rounded on min-max scales kept in `dtype`."""
    args = scheme.weights
    if args.strategy == "group":
        blocks = weight.unflatten(1, (-1, args.group_size))
        low, high = blocks.amin(-1), blocks.amax(-1)
    elif args.strategy == "channel":
        low, high = weight.amin(1, keepdim=True), weight.amax(1, keepdim=True)
    else:
        low, high = weight.amin().reshape(1), weight.amax().reshape(1)
    scale, zero = calculate_qparams(low, high, args)
    state = {"weight": weight, "weight_scale": scale.to(dtype).float()}
    if not args.symmetric:
        state["weight_zero_point"] = zero.to(torch.int8)
    packed = PackedQuantizationCompressor.compress(state, scheme)
    packed["weight_scale"] = packed["weight_scale"].to(dtype)
    return packed


def decode(packed, scheme):
    """(q - zero) * scale as the package does it, in fp32 so that products are rounded once."""
    packed = dict(packed, weight_scale=packed["weight_scale"].float())
    return PackedQuantizationCompressor.decompress(packed, scheme)["weight"].float()


def config_of(schemes):
    """quantization_config with one group for each module of {module: scheme}."""
    groups = {}
    for i, (module, scheme) in enumerate(sorted(schemes.items())):
        groups[f"group_{i}"] = {"targets": [module], "weights": scheme.weights.model_dump(mode="json"),
                                "input_activations": None, "output_activations": None}
    return {"quant_method": "compressed-tensors", "format": "pack-quantized", "quantization_status": "compressed",
            "config_groups": groups, "ignore": ["lm_head"], "kv_cache_scheme": None}
