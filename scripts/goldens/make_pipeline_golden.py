"""Random tokenizer.json documents of every component that is not byte-level, each with texts and what the tokenizers
package makes of them: tests/golden/text/pipelines.json.

    python scripts/goldens/make_pipeline_golden.py [--specs N] [--seed N] [--texts N] [OUT.json]

Made with tokenizers 0.23.3 and sentencepiece 0.2.3 (which trains a model for its map of characters alone).
"""
import argparse
import base64
import io
import json
import pathlib
import random
import tempfile

import sentencepiece
import tokenizers
from make_tokenizer_golden import ROOT, tokenizer_cases

ALPHABET = list("abcAB12.,-'!") + [" ", " ", " ", "\n", "\t", "▁", "é", "e\u0301", "Å", "字", "か", "ﬁ", "Ａ", "①", "½", "😀", "👨‍👩‍👧",
                                   "\u00a0", "\u0301", "\u0323", "ǅ", "İ", "ß", "한", "\u1112\u1161\u11ab", "\u0915\u094d\u0937", "\u200d",
                                   "``", "''", "\r\n", "\u0334", "\u1df6", "\U00011938", "\ufb1d", "\u2126", "\u212b", "\u3000", "\u0898"]
LITERALS = [" ", "a", "ab", "``", "''", "é", "▁", "\n"]
PATTERNS = [" {2,}", r"\s+", "[ab]", "a*", r"\d", r"^a", r"\n", r" +$", r"(?i:B)", r"[^\s\p{L}]"]
RULES = {"ﬁ": "fi", "Ａ": "A", "\t": " ", "é": "e", "e\u0301": "e", "½": "1/2", "\u200d": "", "A": "a", "a\u0323": "ạ", "①": "1",
         "\u00a0": " ", "カ\u3099": "ガ", "\u0915\u094d": "k", "\r\n": "\n", "字": "じじ"}


def field_of(message, wanted):
    """The length-delimited values of one field of a protobuf message."""
    stream = io.BytesIO(message)

    def varint():
        value, shift = 0, 0
        while True:
            byte = stream.read(1)[0]
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value

    while stream.tell() < len(message):
        tag = varint()
        if tag & 7 == 0:
            varint()
        elif tag & 7 == 2:
            value = stream.read(varint())
            if tag >> 3 == wanted:
                yield value
        else:
            stream.read(4 if tag & 7 == 5 else 8)


def charsmap():
    with tempfile.TemporaryDirectory() as folder:
        folder = pathlib.Path(folder)
        (folder / "rules.tsv").write_text("".join(
            " ".join(f"{ord(c):X}" for c in key) + "\t" + " ".join(f"{ord(c):X}" for c in value) + "\n"
            for key, value in RULES.items()))
        (folder / "corpus.txt").write_text("a b ab ba\n" * 50)
        sentencepiece.SentencePieceTrainer.train(
            input=str(folder / "corpus.txt"), model_prefix=str(folder / "m"), vocab_size=12, model_type="unigram",
            normalization_rule_tsv=str(folder / "rules.tsv"), hard_vocab_limit=False, minloglevel=2)
        model = (folder / "m.model").read_bytes()
    spec = next(field_of(model, 3))
    return base64.b64encode(next(field_of(spec, 2))).decode()


def pattern_of(rng):
    return {"String": rng.choice(LITERALS)} if rng.random() < 0.6 else {"Regex": rng.choice(PATTERNS)}


def normalizer(rng, map_, depth=0):
    kind = rng.choice(["NFC", "NFD", "NFKC", "NFKD", "Lowercase", "Nmt", "StripAccents", "Prepend", "Replace", "Replace",
                       "Strip", "Precompiled", "ByteLevel", "Sequence", "Sequence"])
    if kind == "Sequence":
        return {"type": kind, "normalizers": [normalizer(rng, map_, depth + 1) for _ in range(rng.randint(0, 4 - depth))]} \
            if depth < 3 else {"type": "NFC"}
    if kind == "Prepend":
        return {"type": kind, "prepend": rng.choice(["▁", "x", "é ", ""])}
    if kind == "Replace":
        return {"type": kind, "pattern": pattern_of(rng), "content": rng.choice(["▁", " ", "", "xy", "é"])}
    if kind == "Strip":
        return {"type": kind, "strip_left": rng.random() < 0.7, "strip_right": rng.random() < 0.7}
    if kind == "Precompiled":
        return {"type": kind, "precompiled_charsmap": map_}
    if kind == "ByteLevel" and rng.random() < 0.7:
        kind = "NFKC"
    return {"type": kind}


BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def metaspace(rng):
    fields = {"type": "Metaspace", "replacement": rng.choice(["▁", "▁", "▁", "_", "a"])}
    if rng.random() < 0.5:
        return {**fields, "add_prefix_space": True}
    return {**fields, "prepend_scheme": rng.choice(["always", "first", "first", "never"]), "split": rng.random() < 0.7}


def pre_tokenizer(rng, depth=0):
    kind = rng.choice(["Metaspace", "Metaspace", "Metaspace", "Punctuation", "Whitespace", "WhitespaceSplit", "Digits", "Split",
                       "BertPreTokenizer", "CharDelimiterSplit", "FixedLength", "ByteLevel", "Sequence", "Sequence", "Sequence"])
    if kind == "Sequence":
        return {"type": kind, "pretokenizers": [pre_tokenizer(rng, depth + 1) for _ in range(rng.randint(1, 3))]} \
            if depth < 2 else metaspace(rng)
    if kind == "Metaspace":
        return metaspace(rng)
    if kind == "Punctuation":
        return {"type": kind, "behavior": rng.choice(BEHAVIORS)} if rng.random() < 0.8 else {"type": kind}
    if kind == "Digits":
        return {"type": kind, "individual_digits": rng.random() < 0.5}
    if kind == "Split":
        return {"type": kind, "pattern": pattern_of(rng), "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < 0.3}
    if kind == "CharDelimiterSplit":
        return {"type": kind, "delimiter": rng.choice([" ", "a", "▁"])}
    if kind == "FixedLength":
        return {"type": kind, "length": rng.randint(1, 4)}
    if kind == "ByteLevel":
        return {"type": kind, "add_prefix_space": rng.random() < 0.3, "trim_offsets": True, "use_regex": rng.random() < 0.5}
    return {"type": kind}


def decoder(rng, depth=0):
    kind = rng.choice(["Metaspace", "Metaspace", "ByteFallback", "Fuse", "Strip", "Replace", "ByteLevel", "BPEDecoder", "Llama",
                       "Llama", "Sequence", "Sequence", None])
    if kind == "Llama":
        steps = [{"type": "Replace", "pattern": {"String": "▁"}, "content": " "}, {"type": "ByteFallback"}, {"type": "Fuse"}]
        if rng.random() < 0.7:
            steps.append({"type": "Strip", "content": " ", "start": 1, "stop": 0})
        return {"type": "Sequence", "decoders": steps}
    if kind == "Sequence":
        if depth > 1:
            return {"type": "Fuse"}
        steps = [decoder(rng, depth + 1) or {"type": "Fuse"} for _ in range(rng.randint(1, 4))]
        return {"type": kind, "decoders": steps}
    if kind == "Metaspace":
        return metaspace(rng)
    if kind == "Strip":
        return {"type": kind, "content": rng.choice([" ", "a", "▁"]), "start": rng.randint(0, 2), "stop": 0}
    if kind == "Replace":
        return {"type": kind, "pattern": pattern_of(rng), "content": rng.choice(["▁", " ", "", "xy"])}
    if kind == "BPEDecoder":
        return {"type": kind, "suffix": rng.choice(["</w>", "b"])}
    return None if kind is None else {"type": kind}


def words(rng, count):
    characters = sorted({c for text in ALPHABET for c in text if c not in "\u0898\U00011938"} | set("▁_xyefi/klabel1åạじガ"))
    made = set()
    while len(made) < count:
        made.add("".join(rng.choice(characters[:40] if rng.random() < 0.5 else ["a", "b", "▁", "é", " ", "1"])
                         for _ in range(rng.randint(2, 4))))
    return characters, sorted(made)


def unigram(rng):
    characters, made = words(rng, rng.randint(5, 60))
    if rng.random() < 0.5:
        characters = [c for c in characters if rng.random() < 0.8]
    tokens = ["<unk>", "<s>"] + ([f"<0x{b:02X}>" for b in range(256)] if rng.random() < 0.5 else []) + characters + made
    vocab = [[t, 0.0 if t.startswith("<") else round(-rng.random() * 8, rng.choice([1, 4]))] for t in tokens]
    return {"type": "Unigram", "unk_id": 0, "vocab": vocab, "byte_fallback": rng.random() < 0.6}


def bpe(rng):
    characters, _ = words(rng, 3)
    if rng.random() < 0.5:
        characters = [c for c in characters if rng.random() < 0.8]
    prefix, suffix = ("", "") if rng.random() < 0.7 else (rng.choice(["", "##", "é"]), rng.choice(["", "</w>"]))
    tokens = ["<unk>", "<s>"] + ([f"<0x{b:02X}>" for b in range(256)] if rng.random() < 0.5 else []) + characters
    tokens += [prefix + c for c in characters] * bool(prefix) + [c + suffix for c in characters] * bool(suffix)
    tokens += [prefix + c + suffix for c in characters] * bool(prefix and suffix)
    vocab, merges = {}, []
    for token in tokens:
        vocab.setdefault(token, len(vocab))
    known = [t for t in tokens if not t.startswith("<")] + (["<unk>", "<0x0A>"] if rng.random() < 0.1 and "<0x0A>" in vocab else [])
    for _ in range(rng.randint(1, 150)):
        left = rng.choice(known[-40:] if rng.random() < 0.5 else known)
        right = rng.choice([t for t in known if not prefix or t.startswith(prefix)])
        joined = left + right.encode()[len(prefix):].decode(errors="ignore") if prefix else left + right
        if len(joined) > 12 or (prefix and len(prefix.encode()) != len(prefix)) or [left, right] in merges:
            continue
        merges.append([left, right])
        vocab.setdefault(joined, len(vocab))
        known.append(joined)
    return {"type": "BPE", "dropout": None, "unk_token": rng.choice(["<unk>", "<unk>", None]),
            "continuing_subword_prefix": prefix or None, "end_of_word_suffix": suffix or None, "fuse_unk": rng.random() < 0.5,
            "byte_fallback": rng.random() < 0.6, "ignore_merges": rng.random() < 0.2, "vocab": vocab, "merges": merges}


def spec(rng, map_):
    model = unigram(rng) if rng.random() < 0.5 else bpe(rng)
    vocab = {t: i for i, (t, _) in enumerate(model["vocab"])} if model["type"] == "Unigram" else model["vocab"]
    size = max(vocab.values()) + 1
    added = []
    for token in rng.sample(["<s>", "<x>", "ab", "[É]", " z", "ｘ", "\n\n"], rng.randint(0, 5)):
        known = token in vocab
        added.append({"id": vocab[token] if known else size, "content": token, "single_word": rng.random() < 0.3,
                      "lstrip": rng.random() < 0.3, "rstrip": rng.random() < 0.3, "normalized": rng.random() < 0.4,
                      "special": rng.random() < 0.5})
        size += not known
    post = None
    if rng.random() < 0.3:
        post = {"type": rng.choice(["BertProcessing", "RobertaProcessing"]), "sep": ["<s>", 1], "cls": ["<unk>", 0]}
        if post["type"] == "RobertaProcessing":
            post |= {"trim_offsets": True, "add_prefix_space": False}
    return {"version": "1.0", "truncation": None, "padding": None, "added_tokens": added,
            "normalizer": normalizer(rng, map_) if rng.random() < 0.8 else None,
            "pre_tokenizer": pre_tokenizer(rng) if rng.random() < 0.8 else None, "post_processor": post,
            "decoder": decoder(rng), "model": model}


def text(rng):
    pieces = ALPHABET + ["<s>", "<x>", " <x> ", "ab", "[É]", "[é]", " z", "  ", "ｘ"]
    return "".join(rng.choice(pieces) for _ in range(rng.choice([1, 3, 8, 20, 60])))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", default=ROOT / "tests/golden/text/pipelines.json", type=pathlib.Path)
    parser.add_argument("--specs", type=int, default=48)
    parser.add_argument("--texts", type=int, default=6)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    rng, map_ = random.Random(args.seed), charsmap()
    made = []
    while len(made) < args.specs:
        one = spec(rng, map_)
        try:
            tokenizer = tokenizers.Tokenizer.from_str(json.dumps(one))
            if any(tokenizer.token_to_id(a["content"]) != a["id"] for a in one["added_tokens"]):
                continue
            made.append({"tokenizer": one, "cases": tokenizer_cases(tokenizer, [text(rng) for _ in range(args.texts)])})
        except BaseException as error:  # a panic of the reference is a PanicException
            if isinstance(error, KeyboardInterrupt):
                raise
    version = f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}"
    args.out.write_text(json.dumps({"made_with": version, "tokenizers": made}, separators=(",", ":")) + "\n")


if __name__ == "__main__":
    main()
