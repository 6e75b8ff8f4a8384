"""Tiny random checkpoints with awkward dimensions, and what transformers computes from them.

    python scripts/goldens/make_tiny_models.py tests/golden/model [CASE...]

Made with torch 2.15.0, transformers 5.24.0, safetensors 0.8.0 on a CPU (pip install torch==2.15.0
transformers==5.24.0 safetensors numpy). For each case: a folder with config.json and model.safetensors as
a user would have it, and beside it CASE.golden.safetensors with `ids` [T] and `logits` [T,V] of transformers in fp32 with eager
attention and eager experts, on the weights as they read after storage (FP8 is dequantized here:
transformers takes the block size from the grid). `mtp_logits` [D,T,V] come from the equations of
the DeepSeek-V3 report (arXiv:2412.19437, section 2.2) around transformers' own decoder layer.
`python ... --mtp DEMO_MODEL OUT` writes the MTP logits of the demo model instead.
"""
import json
import pathlib
import sys
import tempfile

import torch
from safetensors import safe_open
from safetensors.torch import load_file, save_file
from transformers import AutoConfig, AutoModelForCausalLM
from layer_norm_models import LAYER_NORM_CASES
from transformers.models.deepseek_v3.modeling_deepseek_v3 import DeepseekV3RMSNorm

ROOT = pathlib.Path(__file__).resolve().parents[2]
T = 40
DEEPSEEK = dict(
    model_type="deepseek_v3", architectures=["DeepseekV3ForCausalLM"], vocab_size=72, hidden_size=84, intermediate_size=100,
    moe_intermediate_size=20, num_hidden_layers=2, num_attention_heads=3, num_key_value_heads=3, n_shared_experts=1,
    n_routed_experts=8, routed_scaling_factor=2.5, kv_lora_rank=28, q_lora_rank=36, qk_rope_head_dim=8, v_head_dim=20,
    qk_nope_head_dim=12, topk_method="noaux_tc", scoring_func="sigmoid", n_group=4, topk_group=2, num_experts_per_tok=3,
    moe_layer_freq=1, first_k_dense_replace=1, norm_topk_prob=True, hidden_act="silu", max_position_embeddings=64,
    rms_norm_eps=1e-5, tie_word_embeddings=False, rope_theta=1000.0, rope_scaling=None, attention_bias=False,
    num_nextn_predict_layers=0, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1)
LLAMA = dict(
    model_type="llama", architectures=["LlamaForCausalLM"], vocab_size=72, hidden_size=84, intermediate_size=100,
    num_hidden_layers=2, num_attention_heads=6, num_key_value_heads=2, head_dim=10, hidden_act="silu",
    max_position_embeddings=64, rms_norm_eps=1e-5, tie_word_embeddings=False, rope_theta=1000.0, rope_scaling=None,
    attention_bias=False, mlp_bias=False, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1)
def relative(model_type, architecture, **changes):
    """Llama's tiny config as another model type of its family would have it."""
    base = {k: v for k, v in LLAMA.items() if k not in ("head_dim", "mlp_bias", "attention_bias")}
    return base | dict(model_type=model_type, architectures=[architecture]) | changes


YARN = dict(type="yarn", factor=4, original_max_position_embeddings=16, beta_fast=32, beta_slow=1)
DEEPSEEK_V2 = {k: v for k, v in DEEPSEEK.items() if k != "num_nextn_predict_layers"} | dict(
    model_type="deepseek_v2", architectures=["DeepseekV2ForCausalLM"], scoring_func="softmax", norm_topk_prob=False,
    routed_scaling_factor=1.0, mlp_bias=False)
GLM = relative(
    "glm4_moe", "Glm4MoeForCausalLM", head_dim=20, moe_intermediate_size=20, n_routed_experts=8, num_experts_per_tok=3,
    n_shared_experts=1, routed_scaling_factor=1.5, n_group=1, topk_group=1, norm_topk_prob=True, first_k_dense_replace=1,
    attention_bias=False, use_qk_norm=False, num_nextn_predict_layers=0)
FP8 = dict(quantization_config=dict(activation_scheme="dynamic", fmt="e4m3", quant_method="fp8", weight_block_size=[128, 128]))

CASES = {
    # blocks of 128x128, ragged in rows (152, 60, 156) and columns (148, 152), like DeepSeek-V3's 576 rows
    "deepseek_fp8_yarn": DEEPSEEK | FP8 | dict(
        hidden_size=148, intermediate_size=152, v_head_dim=44, qk_nope_head_dim=44, num_hidden_layers=3, moe_intermediate_size=16,
        rope_scaling=YARN | dict(mscale=0.7, mscale_all_dim=1.0)),
    "deepseek_no_q_lora_one_group": DEEPSEEK | dict(
        q_lora_rank=None, n_group=1, topk_group=1, first_k_dense_replace=2, num_hidden_layers=3, n_shared_experts=0,
        norm_topk_prob=False, num_attention_heads=5, num_key_value_heads=5, v5=True),
    "deepseek_no_dense_linear_bias": DEEPSEEK | dict(
        first_k_dense_replace=0, attention_bias=True, rope_interleave=False, tie_word_embeddings=True, torch_dtype="float16",
        rope_scaling=dict(type="linear", factor=3.0)),
    "deepseek_two_mtp": DEEPSEEK | dict(
        num_nextn_predict_layers=2, n_routed_experts=4, n_group=2, topk_group=1, num_experts_per_tok=1, n_shared_experts=2,
        rope_scaling=YARN | dict(mscale=1.0, mscale_all_dim=1.0), v_head_dim=36),
    "llama_gqa_biases": LLAMA | dict(attention_bias=True, mlp_bias=True, torch_dtype="float32"),
    "llama_linear_tied": LLAMA | dict(tie_word_embeddings=True, num_key_value_heads=6, rope_scaling=dict(type="linear", factor=2.5)),
    "llama_dynamic_long": LLAMA | dict(max_position_embeddings=24, rope_scaling=dict(type="dynamic", factor=2.0)),
    "llama_llama3_v5": LLAMA | dict(v5=True, tie_word_embeddings=True, rope_scaling=dict(
        rope_type="llama3", factor=4.0, low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=32)),
    "llama_yarn_default": LLAMA | dict(hidden_size=63, num_attention_heads=3, num_key_value_heads=1, head_dim=18, rope_scaling=YARN),
    "llama_yarn_attention_factor": LLAMA | dict(v5=True, rope_scaling=dict(
        rope_type="yarn", factor=4.0, original_max_position_embeddings=16, beta_fast=20, beta_slow=2, truncate=False, attention_factor=0.9)),
    "llama_yarn_no_original": LLAMA | dict(rope_scaling=dict(rope_type="yarn", factor=8.0, mscale=0.8, mscale_all_dim=0.6)),
    "llama_null_head_dim_fp8": LLAMA | FP8 | dict(
        head_dim=None, hidden_size=132, num_attention_heads=11, num_key_value_heads=11, intermediate_size=140, num_hidden_layers=1),
    "llama_fp8_per_tensor": LLAMA | dict(num_hidden_layers=1, scale="tensor"),
    "llama_longrope_v5": LLAMA | dict(v5=True, max_position_embeddings=96, hidden_act="gelu", rope_scaling=dict(
        rope_type="longrope", original_max_position_embeddings=24, short_factor=[1.0, 1.1, 1.3, 1.7, 2.0],
        long_factor=[1.0, 1.5, 2.5, 4.0, 7.0])),
    "mistral_window": relative("mistral", "MistralForCausalLM", head_dim=22, sliding_window=9, num_hidden_layers=3),
    "mistral_nemo_v5": relative(
        "mistral", "MistralForCausalLM", v5=True, hidden_size=60, num_attention_heads=4, num_key_value_heads=1, head_dim=18,
        sliding_window=None, rope_theta=1e5, hidden_act="gelu_pytorch_tanh", torch_dtype="float16"),
    "qwen2_tied": relative(
        "qwen2", "Qwen2ForCausalLM", tie_word_embeddings=True, use_sliding_window=False, sliding_window=8, max_window_layers=1),
    "qwen2_window_v5": relative(
        "qwen2", "Qwen2ForCausalLM", v5=True, use_sliding_window=True, sliding_window=7, max_window_layers=1, num_hidden_layers=3,
        rope_scaling=YARN),
    "qwen3_head_dim_tied": relative("qwen3", "Qwen3ForCausalLM", head_dim=20, tie_word_embeddings=True, attention_bias=False),
    "qwen3_window_bias_v5": relative(
        "qwen3", "Qwen3ForCausalLM", v5=True, head_dim=12, attention_bias=True, use_sliding_window=True, sliding_window=6,
        layer_types=["sliding_attention", "full_attention", "sliding_attention"], num_hidden_layers=3, num_key_value_heads=6),
    "mixtral_plain": relative(
        "mixtral", "MixtralForCausalLM", intermediate_size=28, num_local_experts=5, num_experts_per_tok=2, sliding_window=None),
    "mixtral_window_v5": relative(
        "mixtral", "MixtralForCausalLM", v5=True, intermediate_size=20, num_local_experts=7, num_experts_per_tok=3,
        sliding_window=8, head_dim=18),
    "qwen3_moe_dense_first": relative(
        "qwen3_moe", "Qwen3MoeForCausalLM", head_dim=18, num_experts=8, num_experts_per_tok=3, moe_intermediate_size=20,
        norm_topk_prob=True, decoder_sparse_step=1, mlp_only_layers=[0], attention_bias=False),
    "qwen3_moe_sparse_step_v5": relative(
        "qwen3_moe", "Qwen3MoeForCausalLM", v5=True, num_experts=6, num_experts_per_tok=2, moe_intermediate_size=36,
        norm_topk_prob=False, decoder_sparse_step=2, attention_bias=True, use_sliding_window=True, sliding_window=9),
    "qwen2_moe_shared": relative(
        "qwen2_moe", "Qwen2MoeForCausalLM", num_experts=6, num_experts_per_tok=2, moe_intermediate_size=20,
        shared_expert_intermediate_size=44, norm_topk_prob=False, decoder_sparse_step=1, mlp_only_layers=[]),
    "qwen2_moe_window_v5": relative(
        "qwen2_moe", "Qwen2MoeForCausalLM", v5=True, num_experts=5, num_experts_per_tok=3, moe_intermediate_size=20,
        shared_expert_intermediate_size=28, norm_topk_prob=True, mlp_only_layers=[1], num_hidden_layers=3, qkv_bias=False,
        use_sliding_window=True, sliding_window=8, max_window_layers=2),
    "phi3_window": relative("phi3", "Phi3ForCausalLM", sliding_window=9, pad_token_id=2, tie_word_embeddings=True),
    "phi3_longrope_short": relative(
        "phi3", "Phi3ForCausalLM", pad_token_id=2, max_position_embeddings=256, original_max_position_embeddings=64,
        rope_scaling=dict(type="longrope", short_factor=[1.0, 1.05, 1.1, 1.2, 1.4, 1.6, 2.0],
                          long_factor=[1.0, 1.5, 2.0, 3.0, 4.0, 6.0, 9.0])),
    "phi3_longrope_long_partial_v5": relative(
        "phi3", "Phi3ForCausalLM", v5=True, pad_token_id=2, hidden_size=96, partial_rotary_factor=0.75,
        max_position_embeddings=256, original_max_position_embeddings=24, rope_scaling=dict(
            type="longrope", short_factor=[1.0, 1.05, 1.1, 1.2, 1.4, 1.6], long_factor=[1.0, 1.5, 2.0, 3.0, 4.0, 6.0])),
    "gemma2_caps": relative(
        "gemma2", "Gemma2ForCausalLM", head_dim=22, hidden_activation="gelu_pytorch_tanh", hidden_act="gelu_pytorch_tanh",
        query_pre_attn_scalar=24, sliding_window=8, attn_logit_softcapping=2.0, final_logit_softcapping=12.0,
        tie_word_embeddings=True, num_hidden_layers=3, pad_token_id=0),
    "gemma2_no_caps_v5": relative(
        "gemma2", "Gemma2ForCausalLM", v5=True, head_dim=12, hidden_activation="gelu", query_pre_attn_scalar=7, sliding_window=6,
        layer_types=["full_attention", "sliding_attention"], attn_logit_softcapping=None, final_logit_softcapping=None,
        attention_bias=True, tie_word_embeddings=False, pad_token_id=0),
    "gemma3_text_pattern": relative(
        "gemma3_text", "Gemma3ForCausalLM", head_dim=22, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=24,
        sliding_window=8, sliding_window_pattern=3, rope_theta=20000.0, rope_local_base_freq=500.0,
        rope_scaling=dict(rope_type="linear", factor=8.0), tie_word_embeddings=True, num_hidden_layers=4, pad_token_id=0),
    "gemma3_text_nested_v5": relative(
        "gemma3_text", "Gemma3ForCausalLM", v5=True, head_dim=12, hidden_activation="gelu_pytorch_tanh", query_pre_attn_scalar=9,
        sliding_window=6, layer_types=["full_attention", "sliding_attention", "full_attention"], rope_theta=3000.0,
        rope_local_base_freq=100.0, final_logit_softcapping=15.0, tie_word_embeddings=True, num_hidden_layers=3, pad_token_id=0),
    "deepseek_v2_lite": DEEPSEEK_V2 | dict(
        q_lora_rank=None, topk_method="greedy", n_group=1, topk_group=1, n_shared_experts=2,
        rope_scaling=YARN | dict(mscale=0.707, mscale_all_dim=0.707)),
    "deepseek_v2_grouped_v5": DEEPSEEK_V2 | dict(
        v5=True, topk_method="group_limited_greedy", n_group=4, topk_group=2, routed_scaling_factor=4.0, attention_bias=True,
        mlp_bias=True, v_head_dim=36, rope_scaling=YARN | dict(mscale=0.7, mscale_all_dim=1.0)),
    "glm4_moe_norms_mtp": GLM | dict(attention_bias=True, use_qk_norm=True, num_nextn_predict_layers=1, partial_rotary_factor=0.5),
    "glm4_moe_groups_v5": GLM | dict(
        v5=True, n_group=4, topk_group=2, first_k_dense_replace=0, norm_topk_prob=False, partial_rotary_factor=0.7, num_hidden_layers=1),
    "olmo2_post_norms": relative("olmo2", "Olmo2ForCausalLM", attention_bias=False),
    "olmo2_bias_v5": relative(
        "olmo2", "Olmo2ForCausalLM", v5=True, attention_bias=True, num_key_value_heads=6, tie_word_embeddings=True,
        rope_scaling=dict(rope_type="linear", factor=2.0)),
    "granite_multipliers": relative(
        "granite", "GraniteForCausalLM", attention_bias=False, mlp_bias=False, embedding_multiplier=6.0, logits_scaling=3.0,
        residual_multiplier=0.4, attention_multiplier=0.11, tie_word_embeddings=True),
    "granite_biases_v5": relative(
        "granite", "GraniteForCausalLM", v5=True, attention_bias=True, mlp_bias=True, embedding_multiplier=12, logits_scaling=0.5,
        residual_multiplier=1.3, attention_multiplier=0.4),
}


CASES |= LAYER_NORM_CASES


def quantize_blocks(w, block):
    """Codes and scales of ceil(rows/block) x ceil(cols/block) blocks, and what they decode to in fp32."""
    rows, cols = w.shape
    scales = torch.zeros(-(-rows // block), -(-cols // block))
    codes = torch.zeros(rows, cols, dtype=torch.float8_e4m3fn)
    back = torch.zeros(rows, cols)
    for i in range(scales.shape[0]):
        for j in range(scales.shape[1]):
            part = (slice(i * block, (i + 1) * block), slice(j * block, (j + 1) * block))
            scales[i, j] = w[part].abs().max() / 448.0
            codes[part] = (w[part] / scales[i, j]).to(torch.float8_e4m3fn)
            back[part] = codes[part].float() * scales[i, j]
    return codes, scales, back


def store(name, w, config, scale):
    """What a checkpoint holds for one tensor, and its value in fp32."""
    is_linear = name.endswith("_proj.weight") and "eh_proj" not in name or name.endswith("with_mqa.weight")
    if is_linear and "quantization_config" in config:
        codes, scales, back = quantize_blocks(w, 128)
        return {name: codes, name + "_scale_inv": scales}, back
    if is_linear and scale == "tensor":
        codes, scales, back = quantize_blocks(w, 1 << 20)
        return {name: codes, name + "_scale": scales.reshape(())}, back
    dtype = torch.float32 if name.endswith("e_score_correction_bias") else getattr(torch, config["torch_dtype"])
    kept = w.to(dtype).contiguous()
    return {name: kept}, kept.float()


def random_value(name, shape, generator, model_type):
    noise = torch.randn(shape, generator=generator)
    if name.endswith("e_score_correction_bias"):
        return noise * 0.3 - 0.3
    if name.endswith(".bias"):
        return 0.3 * noise
    if "norm" in name or ".ln_" in name:
        return (0.0 if model_type.startswith("gemma") else 1.0) + 0.2 * noise
    if any(part in name for part in ("embed", "lm_head", "shared_head", ".wte.", ".wpe.")):
        return 0.3 * noise
    return noise * 1.2 / shape[-1] ** 0.5 if len(shape) == 2 else noise


def mtp_tensor_shapes(config, index, layer_shapes):
    h = config["hidden_size"]
    prefix = f"model.layers.{index}."
    shapes = {prefix + n: s for n, s in layer_shapes.items()}
    return shapes | {prefix + "enorm.weight": (h,), prefix + "hnorm.weight": (h,), prefix + "eh_proj.weight": (h, 2 * h),
                     prefix + "shared_head.norm.weight": (h,)}


def load_reference(folder, attention="eager"):
    model = AutoModelForCausalLM.from_pretrained(
        folder, dtype=torch.float32, attn_implementation=attention, experts_implementation="eager")
    return model.eval()


def fused_layer(layer_class, config, tensors, prefix):
    """transformers' decoder layer with the tensors of one prefix."""
    layer = layer_class(config, config.num_hidden_layers).eval().float()
    own = {n[len(prefix):]: w for n, w in tensors.items() if n.startswith(prefix)}
    state = {n: own[n] for n in layer.state_dict() if n in own}
    experts = [tuple(own[f"mlp.experts.{e}.{p}_proj.weight"] for p in ("gate", "up", "down")) for e in range(config.n_routed_experts)]
    state["mlp.experts.gate_up_proj"] = torch.stack([torch.cat([g, u]) for g, u, _ in experts])
    state["mlp.experts.down_proj"] = torch.stack([d for _, _, d in experts])
    if config.n_shared_experts == 0:
        state |= {n: w for n, w in layer.state_dict().items() if "shared_experts" in n}
    layer.load_state_dict(state)
    return layer


def rms(x, weight, eps):
    norm = DeepseekV3RMSNorm(weight.shape[0], eps)
    norm.weight.data = weight
    return norm(x)


@torch.no_grad()
def mtp_logits(model, tensors, ids):
    """[D,T,V]: h_k = layer_k(eh_proj([enorm(embed(t_{i+k})); hnorm(h_{k-1})])), then its norm and head."""
    config = model.config
    config._attn_implementation = "eager"
    config._experts_implementation = "eager"
    taken = []
    hook = model.model.layers[-1].register_forward_hook(
        lambda _m, _i, out: taken.append(out[0] if isinstance(out, tuple) else out))
    model(ids[None])
    hook.remove()
    h = taken[0]
    count = len(ids)
    positions = torch.arange(count)[None]
    rotary = model.model.rotary_emb(h, positions)
    mask = torch.full((count, count), float("-inf")).triu(1)[None, None]
    result = []
    for depth in range(1, config.num_nextn_predict_layers + 1):
        prefix = f"model.layers.{config.num_hidden_layers + depth - 1}."
        own = lambda name: tensors.get(prefix + name)
        following = ids[torch.clamp(torch.arange(count) + depth, max=count - 1)]
        table = own("embed_tokens.weight")
        embedded = (model.model.embed_tokens.weight if table is None else table)[following][None]
        joined = torch.cat([rms(embedded, own("enorm.weight"), config.rms_norm_eps), rms(h, own("hnorm.weight"), config.rms_norm_eps)], -1)
        out = fused_layer(type(model.model.layers[-1]), config, tensors, prefix)(joined @ own("eh_proj.weight").T, attention_mask=mask, position_embeddings=rotary,
                                                   position_ids=positions)
        h = out[0] if isinstance(out, tuple) else out
        head = own("shared_head.head.weight")
        head = model.lm_head.weight if head is None else head
        result.append((rms(h, own("shared_head.norm.weight"), config.rms_norm_eps) @ head.T)[0])
    return torch.stack(result)


def write_reference_folder(folder, config, tensors):
    plain = {k: v for k, v in config.items() if k != "quantization_config"}
    (folder / "config.json").write_text(json.dumps(plain))
    save_file({n: w.contiguous() for n, w in tensors.items()}, folder / "model.safetensors", metadata={"format": "pt"})


@torch.no_grad()
def make_case(name, case, out):
    case = dict(case)
    v5, scale = case.pop("v5", False), case.pop("scale", None)
    attention, base, buffers = case.pop("attention", "eager"), case.pop("without", ""), case.pop("buffers", {})
    renamed = case.pop("renamed", {})
    generator = torch.Generator().manual_seed(sum(map(ord, name)))
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        (scratch / "config.json").write_text(json.dumps({k: v for k, v in case.items() if k != "quantization_config"}))
        config = AutoConfig.from_pretrained(scratch)
        AutoModelForCausalLM.from_config(config).save_pretrained(scratch)
        written = json.loads((scratch / "config.json").read_text())
        shapes = {n: tuple(w.shape) for n, w in load_file(scratch / "model.safetensors").items() if w.numel() > 0}
        empty = {n: w for n, w in load_file(scratch / "model.safetensors").items() if w.numel() == 0}
        if config.tie_word_embeddings:
            shapes.pop("lm_head.weight", None)
        layers = config.num_hidden_layers
        last = f"model.layers.{layers - 1}."
        layer_shapes = {n[len(last):]: s for n, s in shapes.items() if n.startswith(last)}
        mtp = case.get("num_nextn_predict_layers", 0)
        for depth in range(mtp):
            shapes |= mtp_tensor_shapes(case, layers + depth, layer_shapes)
        stored, values = {}, {}
        for tensor in sorted(shapes):
            entries, values[tensor] = store(tensor, random_value(tensor, shapes[tensor], generator, case["model_type"]), case, scale)
            stored |= entries
        write_reference_folder(scratch, case, {n: w for n, w in (values | empty).items()
                                               if not any(n.startswith(f"model.layers.{layers + d}.") for d in range(mtp))})
        model = load_reference(scratch, attention)
        ids = torch.randint(0, case["vocab_size"], (T,), generator=generator)
        golden = {"ids": ids.to(torch.int32), "logits": model(ids[None]).logits[0].float().contiguous()}
        if mtp:
            golden["mtp_logits"] = mtp_logits(model, values, ids).contiguous()
    stored = {n.removeprefix(base): w for n, w in stored.items()} | buffers
    folder = out / name
    folder.mkdir(parents=True, exist_ok=True)
    kept = {k: v for k, v in case.items() if k == "quantization_config"}
    if renamed:
        model_type = renamed.pop("model_type")
        case = {renamed.get(k, k): v for k, v in case.items() if renamed.get(k, k)} | dict(model_type=model_type)
    (folder / "config.json").write_text(json.dumps(written | kept if v5 else case, indent=1) + "\n")
    save_file(stored, folder / "model.safetensors", metadata={"format": "pt"})
    save_file(golden, out / f"{name}.golden.safetensors", metadata={"torch": torch.__version__, "transformers": __import__("transformers").__version__})
    print(f"{name}: {len(stored)} tensors, largest logit {golden['logits'].abs().max():.3f}")


def dequantized(folder):
    tensors = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, "pt") as file:
            tensors |= {n: file.get_tensor(n) for n in file.keys()}
    values = {}
    for name, w in tensors.items():
        if name.endswith("_scale_inv"):
            continue
        scale = tensors.get(name + "_scale_inv")
        w = w.float()
        if scale is not None:
            w = w * scale.repeat_interleave(128, 0).repeat_interleave(128, 1)[: w.shape[0], : w.shape[1]]
        values[name] = w
    return values


@torch.no_grad()
def make_demo_mtp(demo, out):
    values = dequantized(demo)
    config = json.loads((demo / "config.json").read_text())
    extra = f"model.layers.{config['num_hidden_layers']}."
    with tempfile.TemporaryDirectory() as scratch:
        scratch = pathlib.Path(scratch)
        write_reference_folder(scratch, config, {n: w for n, w in values.items() if not n.startswith(extra)})
        model = load_reference(scratch)
        ids = torch.tensor(json.loads((ROOT / "tests/golden/moe-15m/reference.json").read_text())["fp8deq"]["prompt_ids"])
        rows = torch.tensor([5, len(ids) - 2])
        logits = mtp_logits(model, values, ids)[0][rows]
    save_file({"rows": rows.to(torch.int32), "logits": logits.contiguous()}, out / "moe-15m-mtp.safetensors")


if __name__ == "__main__":
    torch.set_num_threads(1)
    if sys.argv[1] == "--mtp":
        make_demo_mtp(pathlib.Path(sys.argv[2]), pathlib.Path(sys.argv[3]))
    else:
        for case_name, one in CASES.items():
            if len(sys.argv) == 2 or case_name in sys.argv[2:]:
                make_case(case_name, one, pathlib.Path(sys.argv[1]))
