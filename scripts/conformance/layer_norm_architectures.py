"""Families of random_architectures.py: the decoders with LayerNorm and an MLP that is not gated."""
from make_tiny_models import YARN

ACTIVATIONS = ["gelu", "gelu_new", "gelu_pytorch_tanh", "gelu_fast", "relu"]


def common(draw):
    return dict(vocab_size=draw.randrange(40, 90), torch_dtype=draw.choice(["float32", "bfloat16"]), bos_token_id=0, eos_token_id=1,
                pad_token_id=2, tie_word_embeddings=draw.random() < 0.5)


def heads_of(draw):
    """Heads, and the width of each; both at times no power of two."""
    return draw.choice([1, 2, 3, 4, 6, 12]), 2 * draw.randrange(2, 9)


def scaling(draw):
    kind = draw.choice(["none", "none", "linear", "dynamic", "yarn"])
    if kind == "yarn":
        return dict(rope_scaling=dict(YARN))
    return {} if kind == "none" else dict(rope_scaling=dict(rope_type=kind, factor=draw.choice([1.5, 4.0])))


def gpt2(draw):
    heads, width = heads_of(draw)
    return common(draw) | dict(
        n_embd=heads * width, n_head=heads, n_layer=draw.randrange(1, 4), n_positions=draw.choice([40, 64]),
        n_inner=draw.choice([None, draw.randrange(20, 90)]), activation_function=draw.choice(ACTIVATIONS),
        layer_norm_epsilon=draw.choice([1e-5, 1e-2]), scale_attn_weights=draw.random() < 0.7,
        scale_attn_by_inverse_layer_idx=draw.random() < 0.5, reorder_and_upcast_attn=draw.random() < 0.5,
        without=draw.choice(["", "transformer."]))


def gpt_neox(draw):
    heads, width = heads_of(draw)
    share = draw.choice([0.25, 0.5, 1.0])
    while int(width * share) < 2:
        share *= 2
    config = common(draw) | dict(
        hidden_size=heads * width, num_attention_heads=heads, num_hidden_layers=draw.randrange(1, 4),
        intermediate_size=draw.randrange(20, 90), hidden_act=draw.choice(ACTIVATIONS), rotary_pct=share,
        rotary_emb_base=draw.choice([100, 10000]), max_position_embeddings=64, layer_norm_eps=draw.choice([1e-5, 1e-2]),
        use_parallel_residual=draw.random() < 0.5, attention_bias=draw.random() < 0.7, without=draw.choice(["", "gpt_neox."]))
    return config if int(width * share) % 2 or int(width * share) < 4 else config | scaling(draw)


def phi(draw):
    heads = draw.choice([2, 4, 6])
    width = draw.choice([8, 12, 20])
    return common(draw) | dict(
        hidden_size=heads * width, num_attention_heads=heads, num_key_value_heads=draw.choice([None, 1, 2]),
        num_hidden_layers=draw.randrange(1, 4), intermediate_size=draw.randrange(20, 90), hidden_act=draw.choice(ACTIVATIONS),
        partial_rotary_factor=draw.choice([0.5, 1.0]), rope_theta=draw.choice([100.0, 1e4]), max_position_embeddings=64,
        layer_norm_eps=draw.choice([1e-5, 1e-2]), qk_layernorm=draw.random() < 0.5) | scaling(draw)


def starcoder2(draw):
    heads = draw.choice([2, 4, 6])
    return common(draw) | dict(
        hidden_size=heads * 2 * draw.randrange(3, 9), num_attention_heads=heads, num_key_value_heads=draw.choice([1, 2, heads]),
        num_hidden_layers=draw.randrange(1, 4), intermediate_size=draw.randrange(20, 90), hidden_act=draw.choice(ACTIVATIONS),
        norm_epsilon=draw.choice([1e-5, 1e-2]), rope_theta=draw.choice([100.0, 1e6]), max_position_embeddings=64,
        sliding_window=draw.choice([None, 5, 12]), use_bias=draw.random() < 0.5) | scaling(draw)


def falcon(draw):
    heads, width = heads_of(draw)
    alibi = draw.random() < 0.4
    config = common(draw) | dict(
        hidden_size=heads * width, num_attention_heads=heads, num_hidden_layers=draw.randrange(1, 4), alibi=alibi,
        ffn_hidden_size=draw.choice([None, draw.randrange(20, 90)]), activation=draw.choice(ACTIVATIONS), bias=draw.random() < 0.5,
        layer_norm_epsilon=draw.choice([1e-5, 1e-2]), multi_query=draw.random() < 0.5, parallel_attn=draw.random() < 0.6,
        new_decoder_architecture=draw.random() < 0.4, attention="sdpa", without=draw.choice(["", "transformer."]))
    if config["new_decoder_architecture"]:
        config |= dict(parallel_attn=True, num_kv_heads=draw.choice([n for n in range(1, heads + 1) if heads % n == 0]))
        config |= draw.choice([{}, dict(num_ln_in_parallel_attn=1), dict(num_ln_in_parallel_attn=2)])
    return config if alibi else config | dict(rope_theta=draw.choice([100.0, 1e4])) | scaling(draw)


def bloom(draw):
    heads, width = heads_of(draw)
    return common(draw) | dict(
        hidden_size=heads * width, n_head=heads, n_layer=draw.randrange(1, 4), layer_norm_epsilon=draw.choice([1e-5, 1e-2]),
        apply_residual_connection_post_layernorm=draw.random() < 0.5, without=draw.choice(["", "transformer."]))


def opt(draw):
    heads, width = heads_of(draw)
    return common(draw) | dict(
        hidden_size=heads * width, num_attention_heads=heads, num_hidden_layers=draw.randrange(1, 4), ffn_dim=draw.randrange(20, 90),
        max_position_embeddings=draw.choice([40, 64]), word_embed_proj_dim=draw.choice([None, draw.randrange(10, 60)]),
        do_layer_norm_before=draw.random() < 0.6, _remove_final_layer_norm=draw.random() < 0.3, enable_bias=draw.random() < 0.6,
        layer_norm_elementwise_affine=draw.random() < 0.6, activation_function=draw.choice(ACTIVATIONS),
        without=draw.choice(["", "model."]))


def gptj(draw):
    heads, width = heads_of(draw)
    return common(draw) | dict(
        n_embd=heads * width, n_head=heads, n_layer=draw.randrange(1, 4), n_positions=64, rotary_dim=2 * draw.randrange(1, width // 2 + 1),
        n_inner=draw.choice([None, draw.randrange(20, 90)]), activation_function=draw.choice(ACTIVATIONS),
        layer_norm_epsilon=draw.choice([1e-5, 1e-2]), without=draw.choice(["", "transformer."]))


LAYER_NORM_FAMILIES = dict(bloom=bloom, falcon=falcon, gpt2=gpt2, gpt_neox=gpt_neox, gptj=gptj, opt=opt, phi=phi, starcoder2=starcoder2)
