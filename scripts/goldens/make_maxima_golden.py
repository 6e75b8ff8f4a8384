"""Largest magnitudes of every tensor that INC measures, as transformers computes them.

    python scripts/goldens/make_maxima_golden.py tests/golden/model tests/golden/maxima

Made with torch 2.15.0, transformers 5.24.0, safetensors 0.8.0 on a CPU. For each case: CASE.json with `nodes`, by the names of
vLLM-Gaudi's modules: inputs, outputs, weight, in fp32; of mixtures also the tokens of every expert. The ids are the first 25 and the
other 15 of CASE.golden.safetensors, as two sequences. Products before their bias, rotated queries and keys, routed sums and absorbed
queries are taken from hooks, or computed here from what hooks saw.
"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors.torch import load_file

import make_tiny_models
from make_tiny_models import dequantized, load_reference, mtp_logits, write_reference_folder

CASES = ["llama_gqa_biases", "deepseek_fp8_yarn", "deepseek_no_q_lora_one_group", "mixtral_plain", "qwen2_moe_shared", "gemma2_caps",
         "deepseek_two_mtp"]
CUT = 25


class Maxima(dict):
    def fold(self, key, x):
        if x.numel():
            self[key] = max(self.get(key, 0.0), x.abs().max().item())


def watch_linears(model, seen, prefix=""):
    for name, module in model.named_modules():
        if type(module) is not torch.nn.Linear:
            continue

        def hook(m, args, _out, name=prefix + name):
            seen.fold((name, "in"), args[0])
            seen.fold((name, "out"), torch.nn.functional.linear(args[0], m.weight))
            seen.fold((name, "weight"), m.weight)
        module.register_forward_hook(hook)


def see_scores(seen, layer, query, key, mask, softcap):
    """Of the keys that each query sees."""
    scores = query @ key.repeat_interleave(query.shape[1] // key.shape[1], 1).mT
    visible = torch.ones_like(scores).tril().bool() if mask is None else (mask if mask.dtype == torch.bool else mask == 0).expand_as(scores)
    seen.fold((layer, "scores"), scores[visible])
    logits = scores if softcap is None else softcap * torch.tanh(scores / softcap)
    seen.fold((layer, "logits"), logits[visible])
    seen.fold((layer, "probabilities"), torch.softmax(logits.masked_fill(~visible, float("-inf")), -1))


def watch_attention(model, seen, latent):
    source = sys.modules[type(model).__module__]
    plain = source.eager_attention_forward

    def attend(module, query, key, value, mask, scaling=None, **rest):
        layer = module.layer_idx
        seen.fold((layer, "q"), query)
        seen.fold((layer, "scaled q"), query * scaling)
        seen.fold((layer, "k"), key)
        seen.fold((layer, "v"), value)
        see_scores(seen, layer, query * scaling, key, mask, rest.get("softcap"))
        if latent:
            nope = module.config.qk_nope_head_dim
            heads = module.kv_b_proj.weight.unflatten(0, (query.shape[1], nope + module.config.v_head_dim))
            seen.fold((layer, "absorbed"), torch.einsum("bhtn,hnr->bhtr", query[..., :nope], heads[:, :nope]) * scaling)
            seen.fold((layer, "absorbed"), query[..., nope:] * scaling)
            seen.fold((layer, "key cache"), key[..., nope:])
        return plain(module, query, key, value, mask, scaling=scaling, **rest)
    source.eager_attention_forward = attend
    if latent:
        watch_latents(enumerate(model.model.layers), seen)


def watch_latents(layers, seen):
    for i, layer in layers:
        def hook(_m, _i, out, i=i):
            seen.fold((i, "key cache"), out)
            seen.fold((i, "latent"), out)
        layer.self_attn.kv_a_layernorm.register_forward_hook(hook)


def watch_predictions(seen, tokens, values):
    """The layers that make_tiny_models.mtp_logits makes: [enorm; hnorm], eh_proj, layer, norm, head, of each in turn."""
    plain, norm = make_tiny_models.fused_layer, make_tiny_models.rms
    normed = []

    def rms(x, weight, eps):
        normed.append(norm(x, weight, eps))
        return normed[-1]

    def layer_of(layer_class, config, tensors, prefix):
        layer = plain(layer_class, config, tensors, prefix)
        index = int(prefix.split(".")[2])
        layer.self_attn.layer_idx = index
        watch_linears(layer, seen, prefix + "mtp_block.")
        watch_latents([(index, layer)], seen)
        kept = tokens.get(index)
        watch_experts([(index, layer)], seen, tokens, values)
        tokens[index] = kept or tokens[index]
        for x in normed[-2:]:
            seen.fold((prefix + "eh_proj", "in"), x)
        layer.register_forward_pre_hook(lambda _m, args: seen.fold((prefix + "eh_proj", "out"), args[0]))
        seen.fold((prefix + "eh_proj", "weight"), tensors[prefix + "eh_proj.weight"])
        return layer
    make_tiny_models.fused_layer, make_tiny_models.rms = layer_of, rms


def watch_experts(layers, seen, tokens, values):
    for i, layer in layers:
        block = getattr(layer, "mlp", None) or layer.block_sparse_moe
        if not hasattr(block, "experts"):
            continue

        def hook(_m, args, out, i=i):
            x, chosen = args[0].reshape(-1, args[0].shape[-1]), args[1]
            seen.fold((i, "hidden"), x)
            seen.fold((i, "routed"), out)
            for e in range(len(tokens[i])):
                mine = x[(chosen == e).any(-1)]
                tokens[i][e] += len(mine)
                gate, up, _ = expert_weights(values, i, e)
                seen.fold((i, "mid", e), torch.nn.functional.silu(mine @ gate.T) * (mine @ up.T))
        count = sum(1 for n in values if n.startswith(f"model.layers.{i}.") and (".down_proj." in n or ".w2." in n) and ".experts." in n)
        tokens[i] = [0] * count
        block.experts.register_forward_hook(hook)


def expert_weights(values, layer, expert):
    for block, names in (("mlp", ("gate_proj", "up_proj", "down_proj")), ("block_sparse_moe", ("w1", "w3", "w2"))):
        found = [values.get(f"model.layers.{layer}.{block}.experts.{expert}.{n}.weight") for n in names]
        if found[0] is not None:
            return found
    raise KeyError(layer)


def linear_node(seen, parts, row_parallel=False):
    out = max(seen[p, "out"] for p in parts)
    return {"inputs": [seen[parts[0], "in"]], "outputs": [out, out] if row_parallel else [out],
            "weight": max(seen[p, "weight"] for p in parts)}


def attention_nodes(seen, layer, prefix, impl, latent):
    q, k, v = ((layer, "absorbed"), (layer, "key cache"), (layer, "latent")) if latent else ((layer, "scaled q"), (layer, "k"), (layer, "v"))
    result = seen[prefix + "o_proj", "in"]
    nodes = {impl + "matmul_qk": {"inputs": [seen[q], seen[k]], "outputs": [seen[layer, "scores"]]},
             impl + "softmax": {"inputs": [seen[layer, "logits"]], "outputs": [seen[layer, "probabilities"]]},
             impl + "matmul_av": {"inputs": [seen[layer, "probabilities"], seen[v]]},
             impl + "batch2block_matmul": {"inputs": [1.0, seen[q]], "outputs": [seen[q]]},
             impl + "fused_scaled_dot_product_attention": {
                 "inputs": [seen[layer, "q"], seen[layer, "k"], seen[layer, "v"]], "outputs": [result, 1.0]}}
    caches = (("latent_cache_k", "key cache"), ("latent_cache_v", "latent")) if latent else (("k_cache", "k"), ("v_cache", "v"))
    return nodes | {impl + name: {"inputs": [seen[layer, key]]} for name, key in caches}


def mlp_nodes(seen, prefix):
    return {prefix + "gate_up_proj": linear_node(seen, [prefix + "gate_proj", prefix + "up_proj"]),
            prefix + "down_proj": linear_node(seen, [prefix + "down_proj"], True)}


def router_weight(values, layer):
    return next(n for n in values if n.startswith(f"model.layers.{layer}.") and n.endswith((".mlp.gate.weight", ".block_sparse_moe.gate.weight")))


def mixture_nodes(seen, layer, router, values, tokens, block):
    prefix = router.removesuffix("gate.weight").replace(f"layers.{layer}.", f"layers.{layer}.{block}")
    moe = prefix + "experts.moe_op"
    nodes = {prefix + "gate": {"inputs": [seen[layer, "hidden"]], "weight": values[router].abs().max().item()},
             moe: {"inputs": [seen[layer, "hidden"]], "tokens": tokens[layer],
                   "outputs": [seen[layer, "routed"]] + [seen.get((layer, "mid", e), 0.0) for e in range(len(tokens[layer]))]}}
    for e in range(len(tokens[layer])):
        gate, up, down = expert_weights(values, layer, e)
        nodes[f"{moe}.w13_list.{e}"] = {"inputs": [0.0], "weight": max(gate.abs().max().item(), up.abs().max().item())}
        nodes[f"{moe}.w2_list.{e}"] = {"inputs": [0.0], "weight": down.abs().max().item()}
    for shared in ("shared_experts.", "shared_expert."):
        if (prefix + shared + "gate_proj", "out") in seen:  # a width of 0 makes nothing
            nodes |= mlp_nodes(seen, prefix + shared)
    if (prefix + "shared_expert_gate", "in") in seen:
        nodes[prefix + "shared_expert_gate"] = linear_node(seen, [prefix + "shared_expert_gate"])
    return nodes


def nodes_of(seen, layer, values, tokens, latent, block=""):
    prefix = f"model.layers.{layer}.{block}self_attn."
    impl = prefix + ("mla_attn.mla_attn.impl." if latent else "attn.impl.")
    nodes = attention_nodes(seen, layer, prefix, impl, latent)
    groups = {"qkv_proj": ["q_proj", "k_proj", "v_proj"], "fused_qkv_a_proj": ["q_a_proj", "kv_a_proj_with_mqa"]}
    alone = [n for n in ("q_proj", "q_b_proj", "kv_b_proj", "kv_a_proj_with_mqa", "o_proj") if (prefix + n, "in") in seen]
    for fused, parts in groups.items():
        if all((prefix + p, "in") in seen for p in parts):
            nodes[prefix + fused] = linear_node(seen, [prefix + p for p in parts])
            alone = [n for n in alone if n not in parts]
    for name in alone:
        nodes[prefix + name] = linear_node(seen, [prefix + name], name == "o_proj")
    if layer in tokens:
        return nodes | mixture_nodes(seen, layer, router_weight(values, layer), values, tokens, block)
    return nodes | mlp_nodes(seen, f"model.layers.{layer}.{block}mlp.")


@torch.no_grad()
def make_case(models, name, out):
    values = dequantized(models / name)
    config = json.loads((models / name / "config.json").read_text())
    ids = load_file(models / f"{name}.golden.safetensors")["ids"].long()
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        layers, mtp = config["num_hidden_layers"], config.get("num_nextn_predict_layers", 0)
        write_reference_folder(scratch, config, {n: w for n, w in values.items()
                                                 if not any(n.startswith(f"model.layers.{layers + d}.") for d in range(mtp))})
        model = load_reference(scratch)
    seen, tokens, latent = Maxima(), {}, "kv_lora_rank" in config
    watch_linears(model, seen)
    watch_attention(model, seen, latent)
    watch_experts(enumerate(model.model.layers), seen, tokens, values)
    fused, rms = make_tiny_models.fused_layer, make_tiny_models.rms
    watch_predictions(seen, tokens, values)
    for part in (ids[:CUT], ids[CUT:]):
        mtp_logits(model, values, part) if mtp else model(part[None])
    make_tiny_models.fused_layer, make_tiny_models.rms = fused, rms
    nodes = {"lm_head": linear_node(seen, ["lm_head"])}
    for layer in range(layers):
        nodes |= nodes_of(seen, layer, values, tokens, latent)
    for layer in range(layers, layers + mtp):
        nodes[f"model.layers.{layer}.eh_proj"] = linear_node(seen, [f"model.layers.{layer}.eh_proj"])
        nodes |= nodes_of(seen, layer, values, tokens, latent, "mtp_block.")
    out.mkdir(parents=True, exist_ok=True)
    (out / f"{name}.json").write_text(json.dumps({"ids": [ids[:CUT].tolist(), ids[CUT:].tolist()], "nodes": nodes}, indent=1) + "\n")
    print(f"{name}: {len(nodes)} nodes, tokens {tokens}")


if __name__ == "__main__":
    torch.set_num_threads(1)
    for case_name in CASES:
        make_case(pathlib.Path(sys.argv[1]), case_name, pathlib.Path(sys.argv[2]))
