"""Random tiny checkpoints of every architecture, computed by whit and by transformers.

    python random_architectures.py WHIT [--cases 5] [--seed 1] [--only MODEL_TYPE]

For each model type that `whit inspect --architectures` lists and this script knows: configs whose every field that
changes the math is drawn at random, weights as scripts/goldens/make_tiny_models.py makes them, in the config keys of
transformers 4 or 5. Logits of whit must equal those of transformers in fp32 to 1e-4 of the largest. Exits 1 where one
does not; the checkpoint is then kept and named.
"""
import argparse
import json
import pathlib
import random
import shutil
import subprocess
import sys
import tempfile

import numpy as np

sys.path.insert(0, str(pathlib.Path(__file__).parent.parent / "goldens"))
import make_tiny_models as tiny  # noqa: E402
from layer_norm_architectures import LAYER_NORM_FAMILIES  # noqa: E402

from safetensors.numpy import load_file  # noqa: E402


def dense(draw, head_dim=True):
    heads = draw.choice([2, 3, 4, 6])
    kv = draw.choice([n for n in range(1, heads + 1) if heads % n == 0])
    config = dict(
        vocab_size=draw.randrange(40, 90), hidden_size=heads * 2 * draw.randrange(5, 12), intermediate_size=draw.randrange(20, 70),
        num_hidden_layers=draw.randrange(1, 4), num_attention_heads=heads, num_key_value_heads=kv,
        hidden_act=draw.choice(["silu", "silu", "gelu", "gelu_pytorch_tanh", "relu"]), max_position_embeddings=64,
        rms_norm_eps=draw.choice([1e-6, 1e-5, 1e-3]), tie_word_embeddings=draw.random() < 0.5,
        rope_theta=draw.choice([100.0, 1000.0, 1e4, 1e6]), rope_scaling=None, torch_dtype=draw.choice(["float32", "bfloat16"]),
        bos_token_id=0, eos_token_id=1, pad_token_id=2)
    if head_dim:
        config["head_dim"] = 2 * draw.randrange(3, 12)
    return config


def columns(config):
    return config.get("head_dim") or config["hidden_size"] // config["num_attention_heads"]


def scaling(draw, config):
    kind = draw.choice(["none", "linear", "dynamic", "llama3", "yarn", "longrope"])
    factor = draw.choice([1.5, 2.0, 8.0])
    original = draw.choice([16, 24, 32])
    if kind == "none" or columns(config) < 4:
        return
    config["rope_scaling"] = dict(rope_type=kind, factor=factor)
    if kind == "dynamic":
        config["max_position_embeddings"] = draw.choice([24, 64])
    if kind == "llama3":
        config["rope_scaling"] |= dict(low_freq_factor=1.0, high_freq_factor=4.0, original_max_position_embeddings=original)
    if kind == "yarn":
        config["rope_scaling"] |= dict(original_max_position_embeddings=original, beta_fast=draw.choice([32, 8]), beta_slow=1)
        config["rope_scaling"] |= draw.choice([{}, dict(attention_factor=0.8), dict(mscale=0.7, mscale_all_dim=1.2), dict(truncate=False)])
    if kind == "longrope":
        config["rope_scaling"] |= long_factors(draw, columns(config) // 2) | dict(original_max_position_embeddings=draw.choice([16, 60]))


def long_factors(draw, pairs):
    return dict(short_factor=[round(1 + draw.random(), 3) for _ in range(pairs)],
                long_factor=[round(1 + 5 * draw.random(), 3) for _ in range(pairs)])


def windows(draw, config):
    """Qwen2's and Qwen3's."""
    config["use_sliding_window"] = draw.random() < 0.7
    config["sliding_window"] = draw.randrange(3, 20)
    config["max_window_layers"] = draw.randrange(0, 3)
    if config["use_sliding_window"] and draw.random() < 0.5:
        config["layer_types"] = [draw.choice(["sliding_attention", "full_attention"]) for _ in range(config["num_hidden_layers"])]


def experts(draw, config):
    count = draw.randrange(3, 9)
    config |= dict(num_experts=count, num_experts_per_tok=draw.randrange(1, count), moe_intermediate_size=draw.randrange(8, 30),
                   norm_topk_prob=draw.random() < 0.5, decoder_sparse_step=draw.choice([1, 1, 2]),
                   mlp_only_layers=draw.choice([[], [0], [1]]))


def groups(draw, config, least_in_group=2):
    count, in_group = draw.randrange(1, 4), draw.randrange(least_in_group, 5)
    kept = draw.randrange(1, count + 1)
    config |= dict(n_routed_experts=count * in_group, n_group=count, topk_group=kept, moe_intermediate_size=draw.randrange(8, 30),
                   num_experts_per_tok=draw.randrange(1, kept * in_group + 1), n_shared_experts=draw.choice([1, 2]),
                   routed_scaling_factor=draw.choice([1.0, 2.5]), first_k_dense_replace=draw.randrange(0, 2))


def latent(draw, config):
    heads = config["num_attention_heads"]
    config.pop("head_dim", None)
    # Even, as transformers' complex view of the rotary columns wants them.
    config |= dict(num_key_value_heads=heads, kv_lora_rank=2 * draw.randrange(4, 15), q_lora_rank=draw.choice([None, 2 * draw.randrange(4, 15)]),
                   qk_rope_head_dim=2 * draw.randrange(2, 7), qk_nope_head_dim=2 * draw.randrange(2, 10), v_head_dim=draw.randrange(4, 30),
                   attention_bias=draw.random() < 0.5, moe_layer_freq=1)
    if draw.random() < 0.6:
        config["rope_scaling"] = tiny.YARN | draw.choice([{}, dict(mscale=0.7, mscale_all_dim=1.0), dict(mscale=1.0, mscale_all_dim=1.0)])


def llama(draw):
    config = dense(draw) | dict(attention_bias=draw.random() < 0.5, mlp_bias=draw.random() < 0.5)
    scaling(draw, config)
    return config


def mistral(draw):
    config = dense(draw) | dict(sliding_window=draw.choice([None, 5, 12]))
    scaling(draw, config)
    return config


def mixtral(draw):
    config = mistral(draw)
    experts(draw, config)
    config["num_local_experts"] = config.pop("num_experts")
    return config


def qwen2(draw):
    config = dense(draw, head_dim=False)
    windows(draw, config)
    scaling(draw, config)
    return config


def qwen3(draw):
    config = dense(draw) | dict(attention_bias=draw.random() < 0.5)
    windows(draw, config)
    scaling(draw, config)
    return config


def qwen2_moe(draw):
    config = qwen2(draw) | dict(qkv_bias=draw.random() < 0.5, shared_expert_intermediate_size=draw.randrange(8, 30))
    experts(draw, config)
    return config


def qwen3_moe(draw):
    config = qwen3(draw)
    config.pop("layer_types", None)
    experts(draw, config)
    return config


def phi3(draw):
    config = dense(draw, head_dim=False) | dict(sliding_window=draw.choice([None, 7]))
    config["hidden_size"] = config["num_attention_heads"] * draw.choice([8, 16, 24])
    config["partial_rotary_factor"] = draw.choice([1.0, 0.75, 0.5])
    config["original_max_position_embeddings"] = draw.choice([16, 48])
    if draw.random() < 0.6:
        pairs = int(columns(config) * config["partial_rotary_factor"]) // 2
        config["rope_scaling"] = dict(type="longrope") | long_factors(draw, pairs)
        config["max_position_embeddings"] = draw.choice([64, 256])
    return config


def gemma2(draw):
    config = dense(draw) | dict(
        hidden_activation=draw.choice(["gelu_pytorch_tanh", "gelu", "silu"]), query_pre_attn_scalar=draw.randrange(4, 40),
        sliding_window=draw.randrange(3, 20), attn_logit_softcapping=draw.choice([None, 1.5, 50.0]),
        final_logit_softcapping=draw.choice([None, 10.0]), attention_bias=draw.random() < 0.3)
    if draw.random() < 0.5:
        config["layer_types"] = [draw.choice(["sliding_attention", "full_attention"]) for _ in range(config["num_hidden_layers"])]
    return config


def gemma3_text(draw):
    config = gemma2(draw) | dict(attn_logit_softcapping=None, rope_local_base_freq=draw.choice([50.0, 1e4]),
                                 sliding_window_pattern=draw.choice([2, 3]))
    if draw.random() < 0.5:
        config["rope_scaling"] = dict(rope_type="linear", factor=4.0)
    return config


def deepseek_v2(draw):
    config = dense(draw)
    groups(draw, config)
    latent(draw, config)
    return config | dict(topk_method=draw.choice(["greedy", "group_limited_greedy"]), norm_topk_prob=False, mlp_bias=draw.random() < 0.5)


def deepseek_v3(draw):
    config = dense(draw)
    groups(draw, config)
    latent(draw, config)
    return config | dict(norm_topk_prob=draw.random() < 0.7, rope_interleave=draw.random() < 0.8, num_nextn_predict_layers=0)


def glm4_moe(draw):
    config = dense(draw) | dict(attention_bias=draw.random() < 0.5, use_qk_norm=draw.random() < 0.5, num_nextn_predict_layers=0)
    config["head_dim"] = draw.choice([8, 16, 20])
    groups(draw, config)
    return config | dict(partial_rotary_factor=draw.choice([0.5, 1.0]), norm_topk_prob=draw.random() < 0.7)


def olmo2(draw):
    config = dense(draw, head_dim=False) | dict(attention_bias=draw.random() < 0.5)
    scaling(draw, config)
    return config


def granite(draw):
    config = dense(draw, head_dim=False) | dict(
        attention_bias=draw.random() < 0.5, mlp_bias=draw.random() < 0.5, embedding_multiplier=draw.choice([1.0, 12.0]),
        logits_scaling=draw.choice([1.0, 4.0]), residual_multiplier=draw.choice([1.0, 0.22]), attention_multiplier=draw.choice([0.1, 0.4]))
    scaling(draw, config)
    return config


FAMILIES = dict(
    deepseek_v2=deepseek_v2, deepseek_v3=deepseek_v3, gemma2=gemma2, gemma3_text=gemma3_text, glm4_moe=glm4_moe, granite=granite,
    llama=llama, mistral=mistral, mixtral=mixtral, olmo2=olmo2, phi3=phi3, qwen2=qwen2, qwen2_moe=qwen2_moe, qwen3=qwen3,
    qwen3_moe=qwen3_moe) | LAYER_NORM_FAMILIES


def gap(whit, name, config, folder):
    tiny.make_case(name, config, folder)
    golden = load_file(folder / f"{name}.golden.safetensors")
    (folder / "ids.json").write_text(json.dumps(golden["ids"].tolist()))
    done = subprocess.run([whit, "logits", folder / name, "--ids", folder / "ids.json", "--out", folder / "l.npy", "--quiet"],
                          capture_output=True, text=True)
    if done.returncode != 0:
        return done.stderr.strip()
    ours, theirs = np.load(folder / "l.npy"), golden["logits"]
    return float(np.abs(ours - theirs).max() / np.abs(theirs).max()) if ours.shape == theirs.shape else f"shape {ours.shape}"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit", type=pathlib.Path)
    parser.add_argument("--cases", type=int, default=5)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--only")
    args = parser.parse_args()
    listed = json.loads(subprocess.run([args.whit, "inspect", "--architectures", "--json"], check=True, capture_output=True).stdout)
    failures = 0
    for model_type in (row["model_type"] for row in listed["architectures"]):
        if model_type not in FAMILIES or args.only not in (None, model_type):
            continue
        worst = 0.0
        for case in range(args.cases):
            draw = random.Random(f"{args.seed} {model_type} {case}")
            config = FAMILIES[model_type](draw) | dict(model_type=model_type, v5=draw.random() < 0.5)
            folder = pathlib.Path(tempfile.mkdtemp())
            found = gap(args.whit, f"{model_type}_{case}", config, folder)
            if isinstance(found, float) and found < 1e-4:
                worst = max(worst, found)
                shutil.rmtree(folder)
            else:
                failures += 1
                print(f"{model_type} case {case}: {found}; kept in {folder}", flush=True)
        print(f"{model_type}: {args.cases} configs, logits differ by at most {worst:.1e} of the largest", flush=True)
    return 1 if failures else 0


if __name__ == "__main__":
    sys.exit(main())
