"""Expected ids of tests/golden/text, by the tokenizers and sentencepiece packages.

    python scripts/goldens/make_tokenizer_golden.py [--specs N] [--seed N] [OUT]

Made with tokenizers 0.23.3 and sentencepiece 0.2.3 (goldens' own `made_with` says). Without OUT the files are
written to tests/golden/text:
    moe-15m.json     strings of every nasty kind through demo/moe-15m/tokenizer.json
    components.json  small random tokenizer.json documents, each with texts and what they become
    tiny.model, tiny.json   a SentencePiece BPE model with byte fallback, trained on the README's words, and ids
"""
import argparse
import contextlib
import json
import pathlib
import random

import sentencepiece
import tokenizers

ROOT = pathlib.Path(__file__).resolve().parents[2]

NASTY = [
    "", " ", "  ", "\n", "\r\n", "\t\t", " \n \n  x", "a", "Hello, world!", "don't can't I'll we've THEY'RE it's",
    "naïve café — “quotes” … ‘x’", "日本語のテスト、漢字とカナ。", "中文字符123混合abc", "한국어 문장입니다.", "русский текст, ёлка",
    "العربية مرحبا", "עברית שלום", "हिन्दी में पाठ", "ภาษาไทย", "Ελληνικά", "e\u0301 combining a\u0308\u0323", "ﬁ ligature ǅ ß İ",
    "😀😃 🤦🏽‍♂️ 👨‍👩‍👧‍👦 🇩🇪🇯🇵", "🫨🫠🪿 new emoji", "0123456789", "1 22 333 4444 55555 3.14159 1,000,000", "٣٤٥ ४५६ ⅷ ½ ² ①",
    "    four spaces", "trailing   ", "tab\tseparated\tvalues", "a\u00a0b\u2003c\u3000d\u180ee\u200bf", "line\r\nline\rline\n\n\nend",
    "def f(x):\n    return x ** 2  # comment\n", "for(int i=0;i<n;++i){a[i]+=b[i];}", "https://example.org/a?b=c&d=%20#frag",
    "<html>&amp;</html>", "\\n \\u0041 C:\\path", "!!!???...---___***", "$100 €200 £300 ¥400 ±5 ∑∫√", "x\x00y\x01z\x7f",
    "\ufeffbom", "\ufffd replacement", "a" * 70, "ab" * 100, " " * 65, "!" * 50, "1" * 40, "é" * 40, "字" * 40, "\n" * 20,
    "The<｜User｜>question<｜Assistant｜>answer<｜end▁of▁sentence｜>", "<｜begin▁of▁sentence｜>", "<｜User｜><｜User｜>",
    " <｜Assistant｜> spaced ", "<｜User", "<|User|> ascii bars", "｜User｜>", "CamelCaseWordsAndsnake_case_words",
    "ALLCAPS lower MiXeD", "(a)[b]{c}<d>", "e.g. i.e. Mr. Smith's U.S.A.", "𝒜𝓁𝓅𝒽𝒶 𝔸 🅰", "\U0001e4d0\U00011f50\U0001ccf0 of Unicode 15 and 16",
]


def tokenizer_cases(tokenizer, texts):
    cases = []
    for text in texts:
        ids = tokenizer.encode(text, add_special_tokens=False).ids
        cases.append({"text": text, "ids": ids, "special": tokenizer.encode(text).ids,
                      "decoded": tokenizer.decode(ids, skip_special_tokens=False),
                      "skipped": tokenizer.decode(ids, skip_special_tokens=True)})
    return cases


ALPHABET = list("abAB12.-, \n'") + ["é", "字", "😀", "Ġ", "\u00a0"]
PATTERNS = [r"\s+", r"\p{L}+", r"\p{N}{1,2}", r"[ab]", r"ab|b", r"\p{P}", r"\s*[\r\n]+", r" ?\p{L}+", r"[^\s\p{L}\p{N}]+",
            r"\s+(?!\S)|\s+", r"(?i:'a|a)", r"\w+", r"\d", r"(?<=a)b", r"^a", r"a$", r".", r"[^a]", r"a*", r"\S"]
BEHAVIORS = ["Removed", "Isolated", "MergedWithPrevious", "MergedWithNext", "Contiguous"]


def random_step(rng):
    kind = rng.choice(["split", "split", "split", "literal", "digits", "bytes"])
    if kind == "digits":
        return {"type": "Digits", "individual_digits": rng.random() < 0.5}
    if kind == "bytes":
        return {"type": "ByteLevel", "add_prefix_space": rng.random() < 0.5, "trim_offsets": True,
                "use_regex": rng.random() < 0.5}
    pattern = {"Regex": rng.choice(PATTERNS)} if kind == "split" else {"String": rng.choice(["a", " ", "ab", ".", "'a", "\n"])}
    return {"type": "Split", "pattern": pattern, "behavior": rng.choice(BEHAVIORS), "invert": rng.random() < 0.3}


def random_spec(rng):
    steps = [random_step(rng) for _ in range(rng.randint(1, 3))]
    if rng.random() < 0.5:
        steps.append({"type": "ByteLevel", "add_prefix_space": rng.random() < 0.3, "trim_offsets": True,
                      "use_regex": rng.random() < 0.5})
    to_chars = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False)
    letters = set(ALPHABET)
    for letter in ALPHABET:
        letters.update(c for piece, _ in to_chars.pre_tokenize_str(letter) for c in piece)
    letters = sorted(letters)
    fallback = rng.random() < 0.3
    if rng.random() < 0.5:
        letters = [c for c in letters if rng.random() < 0.85]
    vocab = {}
    unknown = rng.random() < 0.5
    for token in (["<unk>"] if unknown else []) + ([f"<0x{b:02X}>" for b in range(256)] if fallback else []) + letters:
        vocab.setdefault(token, len(vocab))
    merges, known = [], list(letters)
    for _ in range(rng.randint(1, 60)):
        left, right = rng.choice(known[-25:]), rng.choice(known)
        if len(left + right) > 6 or [left, right] in merges:
            continue
        merges.append([left, right])
        if left + right not in vocab:
            vocab[left + right] = len(vocab)
            known.append(left + right)
    if rng.random() < 0.5:
        merges = [" ".join(m) if not any(" " in t for t in m) else None for m in merges]
        merges = [m for m in merges if m]
        reachable = set(letters)
        for m in merges:
            reachable.add(m.replace(" ", ""))
    added, content = [], ["<s>", "<x>", "ab", "[a]", " z"]
    for token in content[:rng.randint(0, len(content))]:
        added.append({"id": vocab.get(token, len(vocab) + sum(a["content"] not in vocab for a in added)), "content": token,
                      "single_word": rng.random() < 0.3, "lstrip": rng.random() < 0.3, "rstrip": rng.random() < 0.3,
                      "normalized": rng.random() < 0.4, "special": rng.random() < 0.5})
    post = None
    if added and rng.random() < 0.5:
        name, number = added[0]["content"], added[0]["id"]
        post = {"type": "TemplateProcessing", "single": [{"SpecialToken": {"id": name, "type_id": 0}}, {"Sequence": {"id": "A", "type_id": 0}}],
                "pair": [{"Sequence": {"id": "A", "type_id": 0}}, {"Sequence": {"id": "B", "type_id": 0}}],
                "special_tokens": {name: {"id": name, "ids": [number], "tokens": [name]}}}
        if rng.random() < 0.5:
            post = {"type": "Sequence", "processors": [{"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": False, "use_regex": True}, post]}
    return {
        "version": "1.0", "truncation": None, "padding": None, "added_tokens": added, "normalizer": None,
        "pre_tokenizer": rng.choice([steps[0], {"type": "Sequence", "pretokenizers": steps}, {"type": "Sequence", "pretokenizers": steps}]),
        "post_processor": post, "decoder": rng.choice([None, {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}]),
        "model": {"type": "BPE", "dropout": None, "unk_token": "<unk>" if unknown else None, "continuing_subword_prefix": None,
                  "end_of_word_suffix": None, "fuse_unk": rng.random() < 0.5, "byte_fallback": fallback,
                  "ignore_merges": rng.random() < 0.3, "vocab": vocab, "merges": merges}}


def random_text(rng):
    pieces = ALPHABET + ["<s>", "<x>", "ab", "[a]", " z", "  ", "ab", "ba"]
    return "".join(rng.choice(pieces) for _ in range(rng.choice([1, 3, 8, 20, 60])))


def components(count, seed):
    rng = random.Random(seed)
    cases = []
    while len(cases) < count:
        spec = random_spec(rng)
        tokenizer = tokenizers.Tokenizer.from_str(json.dumps(spec))
        if any(tokenizer.token_to_id(a["content"]) != a["id"] for a in spec["added_tokens"]):
            continue
        cases.append({"tokenizer": spec, "cases": tokenizer_cases(tokenizer, [random_text(rng) for _ in range(8)])})
    return cases


def sentence_piece(out):
    corpus = out / "corpus.txt"
    words = "a whit is the smallest part and not a whit is lost when the weights of a model become small numbers".split()
    rng = random.Random(0)
    corpus.write_text("\n".join(" ".join(rng.choice(words) for _ in range(12)) for _ in range(300)))
    # The model holds these two names: relative ones are the same wherever it is made.
    with contextlib.chdir(out):
        train_tiny()
    corpus.unlink()
    (out / "tiny.vocab").unlink()
    processor = sentencepiece.SentencePieceProcessor(model_file=str(out / "tiny.model"))
    texts = [t for t in NASTY if len(t) < 60 and "\x00" not in t] + ["a whit is lost", "the [USER] model", "weights  of   a model", "▁whit"]
    return [{"text": t, "ids": processor.encode(t)} for t in texts]


def train_tiny():
    sentencepiece.SentencePieceTrainer.train(
        input="corpus.txt", model_prefix="tiny", vocab_size=360, model_type="bpe", byte_fallback=True,
        normalization_rule_name="identity", character_coverage=1.0, num_threads=1, remove_extra_whitespaces=False, user_defined_symbols=["[USER]"],
        hard_vocab_limit=False, minloglevel=2)


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("out", nargs="?", default=ROOT / "tests/golden/text", type=pathlib.Path)
    parser.add_argument("--specs", type=int, default=40)
    parser.add_argument("--seed", type=int, default=1)
    args = parser.parse_args()
    args.out.mkdir(parents=True, exist_ok=True)
    made = f"tokenizers {tokenizers.__version__}, sentencepiece {sentencepiece.__version__}"

    def write(name, value):
        (args.out / name).write_text(json.dumps({"made_with": made, **value}, separators=(",", ":")) + "\n")

    demo = tokenizers.Tokenizer.from_file(str(ROOT / "demo/moe-15m/tokenizer.json"))
    write("moe-15m.json", {"cases": tokenizer_cases(demo, NASTY)})
    write("components.json", {"tokenizers": components(args.specs, args.seed)})
    write("tiny.json", {"cases": sentence_piece(args.out)})


if __name__ == "__main__":
    main()
