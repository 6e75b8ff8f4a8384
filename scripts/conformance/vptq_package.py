"""The vptq package on a CPU: its linears filled with random codes, packed by its own code, and dequantized by it."""
import math
import sys
import types

import torch

# pack.py asks for a package that packing does not use.
stub = types.ModuleType("sentence_transformers")
stub.SentenceTransformer = types.ModuleType("sentence_transformers.SentenceTransformer")
stub.SentenceTransformer.SentenceTransformer = type("SentenceTransformer", (), {})
sys.modules.setdefault("sentence_transformers", stub)
sys.modules.setdefault("sentence_transformers.SentenceTransformer", stub.SentenceTransformer)

from vptq.layers import VQuantLinear  # noqa: E402
from vptq.ops import dequant  # noqa: E402
from vptq.utils.pack import absorb_perm, pack_model  # noqa: E402


class Config(dict):
    """As much of a Transformers config as packing asks for."""

    def to_dict(self):
        return dict(self)

    def __getattr__(self, name):
        if name in self:
            return self[name]
        raise AttributeError(name)

    __setattr__ = dict.__setitem__


def linear_of(entry, dtype):
    return VQuantLinear(**entry, dtype=dtype, enable_proxy_error=False)


def dequantized(module, entry, tensors):
    """What the package makes of one stored linear, in fp32."""
    layer = linear_of(entry, torch.float32)
    state = {name: value for name, value in layer.state_dict().items()}
    for name in state:
        stored = tensors[f"{module}.{name}"]
        assert stored.shape == state[name].shape, (module, name, stored.shape, state[name].shape)
        state[name] = stored.float() if stored.is_floating_point() else stored
    layer.load_state_dict(state)
    residual, outlier = layer.enable_residual, layer.enable_outlier
    return dequant(
        indices=layer.indices, centroids=layer.centroids.weight.view(layer.num_codebooks, layer.num_centroids, -1),
        outlier_indices=layer.outlier_indices, outlier_centroids=layer.outlier_centroids.weight if outlier else None,
        res_indices=None, res_centroids=layer.res_centroids.weight if residual else None,
        perm=getattr(layer, "perm", None), weight_scale=layer.weight_scale, weight_bias=layer.weight_bias,
        is_indice_packed=True, enable_outlier=outlier, enable_residual=residual, enable_perm=layer.enable_perm,
        enable_norm=layer.enable_norm, num_centroids=layer.num_centroids,
        num_outlier_centroids=layer.num_outlier_centroids, num_res_centroids=layer.num_res_centroids,
        padding=layer.padding, outlier_padding=layer.outlier_padding, num_codebooks=layer.num_codebooks,
        group_size=layer.group_size, outlier_size=layer.outlier_size, vector_len=layer.vector_len,
        outlier_vector_len=layer.outlier_vector_len).detach()


def parameter(value):
    return torch.nn.Parameter(value, requires_grad=False)


def random_linear(rows, cols, width, generator):
    """A linear with codes of its own, not packed yet."""
    lengths, centroids, residual, outliers, groups, normed = width
    size = (cols - outliers) // groups
    entry = {"in_features": cols, "out_features": rows, "vector_lens": list(lengths), "num_centroids": list(centroids),
             "num_res_centroids": [-1, residual], "group_num": groups, "group_size": size, "outlier_size": outliers,
             "enable_norm": normed, "enable_perm": True, "bias": False, "indices_as_float": False}
    # Its constructor cannot make what is not packed; the codes are put in afterwards.
    layer = linear_of({**entry, "is_indice_packed": True}, torch.bfloat16)
    chunks = math.ceil(rows / lengths[1])

    def codes(entries, shape):
        return parameter(torch.randint(entries, shape, generator=generator).to(torch.uint16).view(torch.int16))

    def book(entries, length, books):
        return parameter(torch.randn(books, entries * length, generator=generator).bfloat16())

    layer.indices = codes(centroids[1], (groups, chunks, size))
    layer.centroids.weight = book(centroids[1], lengths[1], groups)
    if residual > 0:
        layer.res_indices = codes(residual, (groups, chunks, size))
        layer.res_centroids.weight = book(residual, lengths[1], groups)
    if outliers > 0:
        layer.outlier_indices = codes(centroids[0], (1, math.ceil(rows / lengths[0]), outliers))
        layer.outlier_centroids.weight = book(centroids[0], lengths[0], 1)
    if normed:
        layer.weight_scale = parameter(torch.rand(cols, generator=generator).bfloat16())
        layer.weight_bias = parameter(torch.randn(cols, generator=generator).bfloat16())
    layer.perm = parameter(torch.randperm(cols, generator=generator))
    layer.init_args = entry
    return layer


def random_layers(shapes, widths):
    """Linears by name; shapes: rows and columns by name."""
    generator = torch.Generator().manual_seed(1)
    fitting = {}
    for i, (name, (rows, cols)) in enumerate(shapes.items()):
        those = [w for w in widths if (cols - w[3]) % w[4] == 0]
        fitting[name] = random_linear(rows, cols, those[i % len(those)], generator)
    return fitting


def pack_checkpoint(layers, absorbed):
    """Tensors by name and quantization_config, made by the package's packing and, if asked for, its absorption."""
    model = torch.nn.Module()
    for name, layer in layers.items():
        at = model
        for part in name.split(".")[:-1]:
            if not hasattr(at, part):
                at.add_module(part, torch.nn.Module())
            at = getattr(at, part)
        at.add_module(name.split(".")[-1], layer)
    model.config = Config()
    model = pack_model(model, torch.uint16, torch.uint16, torch.int16)
    if absorbed:
        for layer in layers.values():
            layer.is_indice_packed = True
        model = absorb_perm(model)
    tensors = {name: value.contiguous() for name, value in model.state_dict().items()}
    return tensors, dict(model.config["quantization_config"])
