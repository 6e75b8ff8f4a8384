"""Cases of make_tiny_models.py: the decoders with LayerNorm and an MLP that is not gated.

Besides what config.json holds, a case may say `v5` (keys as transformers 5 writes them), `attention` (the implementation
that is right: eager Falcon adds ALiBi twice), `without` (a prefix that hub files leave away), `renamed` (old names of keys, None for those
that old files lack, and the old model_type) and `buffers` (tensors of old files that nobody reads).
"""
import torch

COMMON = dict(vocab_size=72, torch_dtype="bfloat16", bos_token_id=0, eos_token_id=1)
GPT2 = COMMON | dict(
    model_type="gpt2", architectures=["GPT2LMHeadModel"], n_embd=60, n_head=5, n_layer=3, n_positions=44, n_ctx=44, n_inner=100,
    activation_function="gelu_new", layer_norm_epsilon=1e-5)
NEOX = COMMON | dict(
    model_type="gpt_neox", architectures=["GPTNeoXForCausalLM"], hidden_size=84, num_hidden_layers=2, num_attention_heads=6,
    intermediate_size=100, hidden_act="gelu", rotary_pct=0.3, rotary_emb_base=1000, max_position_embeddings=64,
    layer_norm_eps=1e-5, use_parallel_residual=True, tie_word_embeddings=False)
PHI = COMMON | dict(
    model_type="phi", architectures=["PhiForCausalLM"], hidden_size=84, num_hidden_layers=2, num_attention_heads=7,
    num_key_value_heads=None, intermediate_size=100, hidden_act="gelu_new", partial_rotary_factor=0.4, rope_theta=1000.0,
    max_position_embeddings=64, layer_norm_eps=1e-5, tie_word_embeddings=False, qk_layernorm=False)
STARCODER2 = COMMON | dict(
    model_type="starcoder2", architectures=["Starcoder2ForCausalLM"], hidden_size=84, num_hidden_layers=2, num_attention_heads=6,
    num_key_value_heads=2, intermediate_size=100, hidden_act="gelu_pytorch_tanh", norm_epsilon=1e-5, rope_theta=1000.0,
    max_position_embeddings=64, sliding_window=9, use_bias=True)
FALCON = COMMON | dict(
    model_type="falcon", architectures=["FalconForCausalLM"], hidden_size=84, num_hidden_layers=2, num_attention_heads=7,
    ffn_hidden_size=100, layer_norm_epsilon=1e-5, rope_theta=1000.0, alibi=False, bias=False, multi_query=True,
    parallel_attn=True, new_decoder_architecture=False)
BLOOM = COMMON | dict(
    model_type="bloom", architectures=["BloomForCausalLM"], n_embed=60, n_layer=2, num_attention_heads=6,
    layer_norm_epsilon=1e-5, apply_residual_connection_post_layernorm=False)
OPT = COMMON | dict(
    model_type="opt", architectures=["OPTForCausalLM"], hidden_size=84, num_hidden_layers=2, num_attention_heads=6, ffn_dim=100,
    max_position_embeddings=44, word_embed_proj_dim=84, do_layer_norm_before=True, activation_function="relu", pad_token_id=1)
GPTJ = COMMON | dict(
    model_type="gptj", architectures=["GPTJForCausalLM"], n_embd=84, n_head=6, n_layer=2, n_positions=64, rotary_dim=6, n_inner=100,
    activation_function="gelu_new", layer_norm_epsilon=1e-5, tie_word_embeddings=False)


def causal_masks(module, layers, positions):
    """What old files hold beside the attention of each layer."""
    mask = torch.ones(positions, positions).tril().to(torch.uint8).reshape(1, 1, positions, positions)
    return {f"{module.format(i)}.bias": mask.clone() for i in range(layers)} | {
        f"{module.format(i)}.masked_bias": torch.tensor(-1e9) for i in range(layers)}


LAYER_NORM_CASES = {
    # as the hub has it: no prefix, masks beside the weights
    "gpt2_hub_names": GPT2 | dict(without="transformer.", buffers=causal_masks("h.{}.attn", 3, 44), torch_dtype="float32"),
    "gpt2_scaled_by_layer_v5": GPT2 | dict(
        v5=True, scale_attn_by_inverse_layer_idx=True, n_inner=None, n_embd=36, n_head=3, activation_function="gelu",
        tie_word_embeddings=False),
    "gpt2_unscaled_relu": GPT2 | dict(
        scale_attn_weights=False, reorder_and_upcast_attn=True, activation_function="relu", layer_norm_epsilon=1e-3, n_layer=2,
        torch_dtype="float16"),
    "gpt_neox_parallel": NEOX | dict(buffers=causal_masks("gpt_neox.layers.{}.attention", 2, 64)),
    "gpt_neox_sequential_v5": NEOX | dict(
        v5=True, use_parallel_residual=False, attention_bias=False, hidden_act="gelu_fast", rotary_pct=1.0, tie_word_embeddings=True,
        rope_scaling=dict(rope_type="linear", factor=2.0)),
    # 3 of 14 columns: a fourth turns with them
    "gpt_neox_odd_columns": NEOX | dict(rotary_pct=0.25, layer_norm_eps=1e-3, without="gpt_neox."),
    "phi_partial": PHI,
    "phi_normed_heads_v5": PHI | dict(
        v5=True, num_attention_heads=6, num_key_value_heads=2, qk_layernorm=True, partial_rotary_factor=0.5, hidden_size=72,
        tie_word_embeddings=True, rope_scaling=dict(rope_type="dynamic", factor=2.0)),
    "starcoder2_window": STARCODER2,
    "starcoder2_no_bias_v5": STARCODER2 | dict(
        v5=True, use_bias=False, sliding_window=None, tie_word_embeddings=False, num_key_value_heads=6, hidden_act="gelu",
        rope_scaling=dict(rope_type="yarn", factor=4.0, original_max_position_embeddings=16)),
    "falcon_old_names": FALCON | dict(attention="sdpa", renamed=dict(
        model_type="RefinedWebModel", num_attention_heads="n_head", num_hidden_layers="n_layer")),
    # Falcon-40B's first files: no field says which decoder it is
    "falcon_groups_old_names": FALCON | dict(
        attention="sdpa", new_decoder_architecture=True, num_attention_heads=6, num_kv_heads=3, renamed=dict(
            model_type="RefinedWeb", num_attention_heads="n_head", num_hidden_layers="n_layer", num_kv_heads="n_head_kv",
            new_decoder_architecture=None, multi_query=None)),
    "falcon_groups_two_norms_v5": FALCON | dict(
        v5=True, new_decoder_architecture=True, num_attention_heads=6, num_kv_heads=2, bias=True, tie_word_embeddings=False),
    "falcon_groups_one_norm": FALCON | dict(
        new_decoder_architecture=True, num_attention_heads=6, num_kv_heads=3, num_ln_in_parallel_attn=1, without="transformer."),
    "falcon_alibi_sequential": FALCON | dict(
        attention="sdpa", alibi=True, multi_query=False, parallel_attn=False, bias=True, hidden_size=96, num_attention_heads=12),
    "falcon_alibi_parallel_v5": FALCON | dict(
        attention="sdpa", v5=True, alibi=True, hidden_size=72, num_attention_heads=4, ffn_hidden_size=None),
    "bloom_hub_names": BLOOM | dict(without="transformer."),
    "bloom_normed_stream_v5": BLOOM | dict(
        v5=True, apply_residual_connection_post_layernorm=True, num_attention_heads=4, tie_word_embeddings=False, layer_norm_epsilon=1e-3),
    "opt_norm_first": OPT,
    "opt_norm_last_projected_v5": OPT | dict(
        v5=True, do_layer_norm_before=False, word_embed_proj_dim=44, without="model.", activation_function="gelu"),
    "opt_plain_norms": OPT | dict(
        layer_norm_elementwise_affine=False, enable_bias=False, _remove_final_layer_norm=True, word_embed_proj_dim=100,
        tie_word_embeddings=False),
    "gptj_partial": GPTJ | dict(buffers=causal_masks("transformer.h.{}.attn", 2, 64)),
    "gptj_tied_v5": GPTJ | dict(v5=True, tie_word_embeddings=True, n_embd=36, n_head=3, rotary_dim=12, n_inner=None),
}
