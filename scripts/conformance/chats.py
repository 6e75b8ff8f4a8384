#!/usr/bin/env python3
"""Rows that are chats, as ids: by `whit rows --model` and by transformers' apply_chat_template.

    chats.py WHIT FOLDER [--shared DIR]

DIR (../shared unless given) holds tokenizers/NAME and tokenizers/chat_templates/*.jinja; what is not there is
passed over, and said. Each tokenizer gets a checkpoint of its vocabulary in FOLDER, as whit draws samples for a
model. Exits 1 where ids differ.
"""
import argparse
import datetime
import json
import pathlib
import random
import shutil
import subprocess
import sys

import numpy as np
import pandas
import transformers
from safetensors.numpy import save_file

ROOT = pathlib.Path(__file__).resolve().parents[2]
sys.path.insert(0, str(ROOT / "scripts/goldens"))
from template_reference import Reference  # noqa: E402

# Tokenizer, template (None: its own), token strings where the tokenizer has no config.
CASES = [
    (ROOT / "demo/moe-15m", None, {}),
    ("qwen3", None, {}), ("llama3", None, {}), ("deepseek_v3", None, {}),
    ("qwen3", "Qwen3-Coder", {}), ("qwen3", "Qwen-QwQ-32B", {}),
    ("qwen2", "Qwen-Qwen2.5-7B-Instruct", {}), ("llama3", "meta-llama-Llama-3.1-8B-Instruct", {}),
    ("llama3", "meta-llama-Llama-3.2-3B-Instruct", {}), ("deepseek_v3", "deepseek-ai-DeepSeek-V3.1", {}),
    ("deepseek_v3", "moonshotai-Kimi-K2", {}),
    ("gpt2", "openai-gpt-oss-120b", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"}),
    ("falcon", "google-gemma-2-2b-it", {"bos_token": ">>INTRODUCTION<<", "eos_token": "<|endoftext|>"}),
    ("starcoder2", "GLM-4.6", {"bos_token": "<|endoftext|>", "eos_token": "<|endoftext|>"})]
WORDS = ["the", "sea", " ", "\n", "12", "\u00e9", "\u4e2d\u6587", "\U0001F600", "<b>", "&amp;", "don't", "<|im_end|>", "</think>", "{{x}}"]


def chats(count):
    draw = random.Random(1)

    def text():
        return "x" + " ".join(draw.choices(WORDS, k=draw.randrange(1, 20))) + "y"

    for _ in range(count):
        turns = [{"role": role, "content": text()} for _ in range(draw.randrange(1, 4)) for role in ("user", "assistant")]
        yield ([{"role": "system", "content": text()}] if draw.random() < 0.4 else []) + turns


def write_sets(folder):
    """Files of rows, and the chats that they say."""
    folder.mkdir(parents=True, exist_ok=True)
    plain = list(chats(60))
    names = {"user": "human", "assistant": "gpt", "system": "system"}
    told = [[{"from": names[m["role"]], "value": m["content"]} for m in chat] for chat in plain]
    prompts = [chat for chat in plain if chat[0]["role"] == "system"]
    pandas.DataFrame({"messages": plain}).to_json(folder / "messages.jsonl", orient="records", lines=True)
    pandas.DataFrame({"conversations": told}).to_parquet(folder / "conversations.parquet")
    pandas.DataFrame({"system_prompt": [c[0]["content"] for c in prompts], "question": [c[1]["content"] for c in prompts],
                      "response": ""}).to_pickle(folder / "prompts.pkl")
    pairs = [chat[-2:] for chat in plain]
    pandas.DataFrame({"instruction": [c[0]["content"] for c in pairs], "input": "", "output": [c[1]["content"] for c in pairs]}).to_csv(
        folder / "instructions.csv", index=False)
    return {"messages.jsonl": plain, "conversations.parquet": plain, "prompts.pkl": [c[:2] for c in prompts], "instructions.csv": pairs}


def tiny_model(folder, source, tokens):
    """A Llama checkpoint with the tokenizer's vocabulary, and its files."""
    shutil.rmtree(folder, ignore_errors=True)
    folder.mkdir(parents=True)
    for name in ("tokenizer.json", "tokenizer_config.json", "chat_template.jinja"):
        if (source / name).exists():
            shutil.copyfile(source / name, folder / name)
    if tokens:
        (folder / "tokenizer_config.json").write_text(json.dumps(tokens))
    tokenizer = transformers.PreTrainedTokenizerFast.from_pretrained(folder)
    size, wide = len(tokenizer), 8
    (folder / "config.json").write_text(json.dumps({
        "model_type": "llama", "architectures": ["LlamaForCausalLM"], "vocab_size": size, "hidden_size": wide, "intermediate_size": wide,
        "num_hidden_layers": 1, "num_attention_heads": 1, "num_key_value_heads": 1, "hidden_act": "silu", "rms_norm_eps": 1e-5,
        "max_position_embeddings": 64, "tie_word_embeddings": True, "dtype": "float16"}))
    shapes = {"embed_tokens.weight": (size, wide), "norm.weight": (wide,)} | {
        f"layers.0.{name}.weight": (wide,) for name in ("input_layernorm", "post_attention_layernorm")} | {
        f"layers.0.{name}_proj.weight": (wide, wide) for name in
        ("self_attn.q", "self_attn.k", "self_attn.v", "self_attn.o", "mlp.gate", "mlp.up", "mlp.down")}
    save_file({f"model.{name}": np.zeros(shape, np.float16) for name, shape in shapes.items()}, folder / "model.safetensors")
    return tokenizer


def drawn(whit, file, model, template, count):
    """Ids of all rows, sorted: whit shuffles them."""
    command = [whit, "rows", file, "--model", model, "--num-calibration-samples", str(count), "--max-sequence-length", "100000",
               "--min-sequence-length", "1", "--json"]
    done = subprocess.run([*command, *(["--chat-template", template] if template else [])], capture_output=True, text=True)
    return sorted(json.loads(done.stdout)["sequences"]) if done.returncode == 0 else done.stderr


def expected(tokenizer, template, rows):
    """Ids, or the words of the template where it refuses a chat."""
    import jinja2
    try:
        # Rendered, then tokenized as apply_chat_template does: without adding special tokens.
        texts = [tokenizer.apply_chat_template(chat, chat_template=template, tokenize=False) for chat in rows]
    except jinja2.exceptions.TemplateError as error:
        return str(error)
    return sorted(tokenizer(text, add_special_tokens=False)["input_ids"] for text in texts)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("folder", type=pathlib.Path)
    parser.add_argument("--shared", type=pathlib.Path, default=ROOT.parent / "shared")
    args = parser.parse_args()
    # The day that whit tells the templates of calibration chats.
    Reference(datetime.datetime(2024, 7, 26))
    sets = write_sets(args.folder / "sets")
    wrong = left_out = 0
    probe = subprocess.run([args.whit, "rows", args.folder / "sets/conversations.parquet", "--limit", "1"], capture_output=True, text=True)
    has_parquet = probe.returncode != 4
    if not has_parquet:
        print(f"LEFT OUT Parquet: {probe.stderr.splitlines()[0]}")
    for name, template, tokens in CASES:
        source = args.shared / "tokenizers" / name if isinstance(name, str) else name
        file = template and args.shared / "tokenizers/chat_templates" / f"{template}.jinja"
        title = f"{source.name}, {template or 'its own template'}"
        if not source.exists() or (file and not file.exists()):
            left_out += 1
            print(f"LEFT OUT {title}: not in {args.shared}")
            continue
        model = args.folder / f"{source.name}-model"
        tokenizer = tiny_model(model, source, tokens)
        source_text = file.read_text(encoding="utf-8") if file else None
        found = []
        for data, rows in sets.items():
            if data.endswith(".parquet") and not has_parquet:
                continue
            ids, reference = drawn(args.whit, args.folder / "sets" / data, model, file, len(rows)), expected(tokenizer, source_text, rows)
            same = ids == reference or (isinstance(reference, str) and isinstance(ids, str) and reference in ids)
            wrong += not same
            found.append(f"{data} {'refused by both' if same and isinstance(ids, str) else 'same' if same else 'DIFFERS'}")
            if not same:
                at = next((k for k, (a, b) in enumerate(zip(ids, reference)) if a != b), 0)
                print(f"  {title}, {data}: {str(ids[at] if isinstance(ids, list) else ids)[:400]}\n"
                      f"  wanted {str(reference[at] if isinstance(reference, list) else reference)[:400]}")
        print(f"{title}: {', '.join(found)}")
    print(f"{wrong} sets differ, {left_out} tokenizers left out")
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
