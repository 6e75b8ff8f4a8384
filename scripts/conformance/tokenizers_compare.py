"""Ids and texts of whit beside those of the libraries that own the formats, for every tokenizer found in the given
folders and files, over texts of every nasty kind and the texts of --text.

    python scripts/conformance/tokenizers_compare.py WHIT PATH... [--text FILE.jsonl]... [--rows N] [--random N] [--ranks FILE]

tokenizer.json: the Rust tokenizers package, decode included. SentencePiece *.model: sentencepiece. *.tiktoken and
tiktoken's *.model: tiktoken with the family's regular expression as its owner wrote it. tekken*.json: tiktoken with the
file's own. --ranks: a byte-level tokenizer.json whose vocabulary is written as a list of ranks, and read as Kimi's and as
GLM-4's. A file that whit refuses as unsupported is listed as such; a difference makes the exit status 1.
"""
import argparse
import base64
import json
import pathlib
import random
import subprocess
import sys
import tempfile
import unicodedata

import sentencepiece
import tiktoken
import tokenizers

sys.path.insert(0, str(pathlib.Path(__file__).resolve().parents[1] / "goldens"))
from make_tokenizer_golden import NASTY  # noqa: E402

CL100K = (r"'(?i:[sdmt]|ll|ve|re)|[^\r\n\p{L}\p{N}]?+\p{L}++|\p{N}{1,3}+| ?[^\s\p{L}\p{N}]++[\r\n]*+|\s++$|\s*[\r\n]|\s+(?!\S)|\s")
LLAMA3 = (r"(?i:'s|'t|'re|'ve|'m|'ll|'d)|[^\r\n\p{L}\p{N}]?\p{L}+|\p{N}{1,3}| ?[^\s\p{L}\p{N}]+[\r\n]*|\s*[\r\n]+|\s+(?!\S)|\s+")
QWEN = LLAMA3.replace("{1,3}", "")
GPT2 = r"'(?:[sdmt]|ll|ve|re)| ?\p{L}++| ?\p{N}++| ?[^\s\p{L}\p{N}]++|\s++$|\s+(?!\S)|\s"
O200K = "|".join([
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]*[\p{Ll}\p{Lm}\p{Lo}\p{M}]+(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"[^\r\n\p{L}\p{N}]?[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}]+[\p{Ll}\p{Lm}\p{Lo}\p{M}]*(?i:'s|'t|'re|'ve|'m|'ll|'d)?",
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n/]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
HAN = r"[\p{Lu}\p{Lt}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"[\p{Ll}\p{Lm}\p{Lo}\p{M}&&[^\p{Han}]]", r"(?i:'s|'t|'re|'ve|'m|'ll|'d)?"
KIMI = "|".join([
    r"[\p{Han}]+", r"[^\r\n\p{L}\p{N}]?" + HAN[0] + "*" + HAN[1] + "+" + HAN[2], r"[^\r\n\p{L}\p{N}]?" + HAN[0] + "+" + HAN[1] + "*" + HAN[2],
    r"\p{N}{1,3}", r" ?[^\s\p{L}\p{N}]+[\r\n]*", r"\s*[\r\n]+", r"\s+(?!\S)", r"\s+"])
GLM4 = ["<|endoftext|>", "[MASK]", "[gMASK]", "[sMASK]", "<sop>", "<eop>", "<|system|>", "<|user|>", "<|assistant|>", "<|observation|>",
        "<|begin_of_image|>", "<|end_of_image|>", "<|begin_of_video|>", "<|end_of_video|>"]
# Ranks -> regular expression, whether NFC comes first, special tokens.
FAMILIES = {
    128000: (LLAMA3, False, {"<|begin_of_text|>": 128000, "<|end_of_text|>": 128001, "<|eot_id|>": 128009}),
    151643: (QWEN, True, {"<|endoftext|>": 151643, "<|im_start|>": 151644, "<|im_end|>": 151645}),
    100256: (CL100K, False, {"<|endoftext|>": 100257, "<|endofprompt|>": 100276}),
    199998: (O200K, False, {"<|endoftext|>": 199999, "<|endofprompt|>": 200018}),
    50256: (GPT2, False, {"<|endoftext|>": 50256}),
}
PIECES = ["a", "B", "é", "e\u0301", "\u0323", "\u0334", "字", "かな", "한글", "\u1112\u1161\u11ab", "русский", "العربية", "हिन्दी", "ไทย", "😀",
          "👩‍👩‍👧", "🏽", "\u200d", "\ufe0f", " ", "  ", "\n", "\r\n", "\t", "\u00a0", "\u3000", "\x00", "\x1f", "\u0085", "1", "234", "٣", "½", "ﬁ",
          "Å", "ß", "İ", "don't", "'S", "...", "——", "(x)", "</s>", "<s>", "<|endoftext|>", " <|im_end|> ", "▁", "Ġ", "<0x0A>", "[INST]",
          "the", " and", "\ufeff", "\ufffd", "\U0001f1e9\U0001f1ea", "\u0915\u094d\u0937", "ǅ", "𝒜", "\U000e0041"]


def any_character(rng):
    """A piece, or a character of any block, those of a kind often together."""
    kind = rng.random()
    if kind < 0.3:
        return rng.choice(PIECES)
    if kind < 0.5:
        return chr(rng.choice([rng.randrange(0x20, 0x250), rng.randrange(0x300, 0x3000), rng.randrange(0x1F000, 0x1FB00)]))
    code = rng.randrange(0x110000 if kind > 0.95 else 0x33000)
    return "".join(chr(code + k) for k in range(rng.choice([1, 1, 2, 4])) if code + k < 0x110000 and not 0xD800 <= code + k < 0xE000)


def texts_of(args):
    rng = random.Random(args.seed)
    texts = list(NASTY)
    texts += ["".join(rng.choice(PIECES) for _ in range(rng.choice([2, 5, 12, 40, 150]))) for _ in range(args.random)]
    texts += ["".join(any_character(rng) for _ in range(rng.choice([1, 3, 10, 60]))) for _ in range(args.random)]
    texts += [unit * 3000 for unit in ["a", " ", "\n", "字", "\u0301", "😀", "ab ", "1", "!", "</s>"]]
    for path in args.text:
        for number, line in zip(range(args.rows), open(path, encoding="utf-8")):
            texts.append(json.loads(line)["text"])
    return texts


def whit(args, file, rows, *flags):
    with tempfile.NamedTemporaryFile("w", suffix=".jsonl") as stream:
        for row in rows:
            stream.write(json.dumps(row) + "\n")
        stream.flush()
        done = subprocess.run([args.whit, "tokenize", str(file), "--jsonl", stream.name, *flags], capture_output=True, text=True)
    if done.returncode == 4:
        return None, done.stderr.strip() or done.stdout.strip()
    if done.returncode:
        sys.exit(f"{file}: {done.stderr}{done.stdout}")
    return [json.loads(line) for line in done.stdout.split("\n") if line], None


def tiktoken_of(name, ranks, pattern, specials, nfc):
    encoding = tiktoken.Encoding(name, pat_str=pattern, mergeable_ranks=ranks, special_tokens=specials)

    def encode(text):
        return encoding.encode(unicodedata.normalize("NFC", text) if nfc else text, allowed_special="all")

    return encode, encoding.decode


def by_class(file, ranks):
    """As the classes TikTokenTokenizer and ChatGLM4Tokenizer, which come with the models, do it."""
    config = file.parent / "tokenizer_config.json"
    if not config.exists():
        return None
    config = json.loads(config.read_text())
    listed = {int(i): token["content"] for i, token in config.get("added_tokens_decoder", {}).items()}
    if config.get("tokenizer_class") == "ChatGLM4Tokenizer":
        return LLAMA3, False, {name: ranks + i for i, name in enumerate(GLM4)}
    if config.get("tokenizer_class") != "TikTokenTokenizer":
        return None
    return KIMI, False, {listed.get(i, f"<|reserved_token_{i}|>"): i for i in range(ranks, ranks + 256)}


def write_families(vocabulary, folder):
    """Lists of ranks of a byte-level tokenizer.json's vocabulary, for the families that only the config's class tells."""
    model = json.loads(vocabulary.read_text())["model"]["vocab"]
    spelled = [*range(33, 127), *range(161, 173), *range(174, 256)]
    byte_of = {chr(b): b for b in spelled} | {chr(256 + k): b for k, b in enumerate(b for b in range(256) if b not in spelled)}
    ranks = sorted((i, bytes(byte_of[c] for c in token)) for token, i in model.items())
    lines = "".join(f"{base64.b64encode(token).decode()} {i}\n" for i, token in ranks)
    kimi = {len(ranks) + i: name for i, name in ((0, "[BOS]"), (1, "[EOS]"), (2, "<|im_end|>"), (5, "[INST]"))}
    glm4 = {len(ranks) + i: name for i, name in enumerate(GLM4)}
    for name, names, file in (("TikTokenTokenizer", kimi, "tiktoken.model"), ("ChatGLM4Tokenizer", glm4, "tokenizer.model")):
        (folder / name).mkdir()
        (folder / name / file).write_text(lines)
        added = {str(i): {"content": content, "special": True} for i, content in names.items()}
        (folder / name / "tokenizer_config.json").write_text(json.dumps({"tokenizer_class": name, "added_tokens_decoder": added}))


def reference(file):
    """(text -> ids, ids -> text or None)."""
    head = file.open("rb").read(64)
    if file.suffix == ".json":
        if file.name.startswith("tekken"):
            data = json.loads(file.read_text())
            first = data["config"]["default_num_special_tokens"]
            count = data["config"]["default_vocab_size"] - first
            if "vocab" in data:
                ranks = {base64.b64decode(e["token_bytes"]): e["rank"] for e in data["vocab"][:count]}
            else:
                ranks = {base64.b64decode(t): i for i, t in enumerate(data["bpe_ranks"].split()[2:2 + count])}
            encoding = tiktoken.Encoding(file.name, pat_str=data["config"]["pattern"], mergeable_ranks=ranks, special_tokens={})
            specials = ["<s>", "</s>", "[INST]"]
            return (lambda text: None if any(s in text for s in specials) else
                    [i + first for i in encoding.encode(text, disallowed_special=())]), None
        tokenizer = tokenizers.Tokenizer.from_file(str(file))
        return (lambda text: tokenizer.encode(text, add_special_tokens=False).ids,
                lambda ids: tokenizer.decode(ids, skip_special_tokens=False))
    if file.suffix == ".tiktoken" or (b" 0\n" in head and b"\x0a\x0e" not in head[:2]):
        ranks = {base64.b64decode(t): int(r) for t, r in (line.split() for line in file.read_bytes().splitlines())}
        pattern, nfc, specials = by_class(file, len(ranks)) or FAMILIES[len(ranks)]
        return tiktoken_of(file.name, ranks, pattern, specials, nfc)
    processor = sentencepiece.SentencePieceProcessor(model_file=str(file))
    marks = [processor.id_to_piece(i) for i in range(processor.get_piece_size()) if processor.is_control(i) or processor.is_unknown(i)]
    return lambda text: None if any(m in text for m in marks) or "\x00" in text else processor.encode(text), None


def compare(args, file, texts):
    rows, refused = whit(args, file, [{"id": i, "text": t} for i, t in enumerate(texts)])
    if rows is None:
        print(f"{file}: unsupported: {refused}")
        return 0
    encode, decode = reference(file)
    wrong, compared, tokens = 0, 0, 0
    for text, row in zip(texts, rows):
        expected = encode(text)
        if expected is None:
            continue
        compared += 1
        tokens += len(expected)
        if row["ids"] != expected:
            wrong += 1
            if wrong <= args.show:
                at = next((i for i, (a, b) in enumerate(zip(row["ids"], expected)) if a != b), min(len(row["ids"]), len(expected)))
                print(f"{file}: {text[:80]!r}: at {at}: {row['ids'][at:at + 6]}, expected {expected[at:at + 6]}")
    wrong_texts = 0
    if decode:
        cases = [r["ids"] for r in rows]
        rng = random.Random(1)
        every = sorted({i for ids in cases for i in ids})
        cases += [[rng.choice(every) for _ in range(rng.randint(1, 12))] for _ in range(args.random)]
        back, _ = whit(args, file, [{"id": i, "ids": ids} for i, ids in enumerate(cases)], "--decode", "--special")
        for ids, row in zip(cases, back):
            if row["text"] != decode(ids):
                wrong_texts += 1
                if wrong_texts <= args.show:
                    print(f"{file}: {ids[:12]}: {row['text'][:80]!r}, expected {decode(ids)[:80]!r}")
    print(f"{file}: {compared} texts, {tokens} tokens, {wrong} differ; "
          + (f"{len(cases)} decoded, {wrong_texts} differ" if decode else "decoding not compared"))
    return wrong + wrong_texts


def files_of(paths):
    for path in paths:
        if path.is_file():
            yield path
            continue
        for file in sorted(path.rglob("*")):
            if file.name == "tokenizer.json" or file.suffix in (".tiktoken", ".model") or file.name.startswith("tekken") or \
                    ".model.v" in file.name:
                yield file


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("whit")
    parser.add_argument("paths", nargs="+", type=pathlib.Path)
    parser.add_argument("--text", action="append", default=[])
    parser.add_argument("--rows", type=int, default=100)
    parser.add_argument("--random", type=int, default=400)
    parser.add_argument("--ranks", type=pathlib.Path)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--show", type=int, default=5)
    args = parser.parse_args()
    texts = texts_of(args)
    with tempfile.TemporaryDirectory() as folder:
        if args.ranks:
            write_families(args.ranks, pathlib.Path(folder))
            args.paths.append(pathlib.Path(folder))
        sys.exit(1 if sum([compare(args, file, texts) for file in files_of(args.paths)]) else 0)


if __name__ == "__main__":
    main()
