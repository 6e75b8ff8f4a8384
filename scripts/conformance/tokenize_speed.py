"""Tokenizers of whit and of the Rust package tokenizers, one thread each, on the same text in the same run.

    tokenize_speed.py WHIT TEXT TOKENIZER... [--repeats 3]

TEXT is plain text, or JSONL of rows with `text`, which are joined by empty lines. TOKENIZER is a folder with, or a file of, a
tokenizer.json, or a SentencePiece .model of the BPE kind; the Rust package gets its pieces and merges as in Llama 2's
tokenizer.json (needs sentencepiece). Prints a table in Markdown: millions of bytes a second of CPU time, whit's / the Rust package's. `cold`: the first encoding of
the text whole; `warm`: the best of the later ones; `paragraphs`: each by itself; `letter`: 2^20 times the letter a.
"""
import argparse
import json
import os
import pathlib
import subprocess
import tempfile
import time

os.environ |= {"TOKENIZERS_PARALLELISM": "false", "RAYON_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}

import tokenizers  # noqa: E402  (reads the environment above)

COLUMNS = ["cold", "warm", "paragraphs", "decode", "letter"]


def seconds(repeats, work):
    times = []
    for _ in range(repeats):
        begin = time.process_time()
        work()
        times.append(time.process_time() - begin)
    return min(times)


def of_sentence_piece(file):
    """The pieces of a BPE model as the Rust package's, with merges by the pieces' order, bytes and the leading space."""
    import sentencepiece
    model = sentencepiece.SentencePieceProcessor(model_file=str(file))
    pieces = {model.id_to_piece(i): i for i in range(model.get_piece_size())}
    merges = [(pieces[piece], pieces[piece[:at]], pieces[piece[at:]], piece[:at], piece[at:])
              for piece in pieces for at in range(1, len(piece)) if piece[:at] in pieces and piece[at:] in pieces]
    bpe = tokenizers.models.BPE(pieces, [merge[3:] for merge in sorted(merges)], unk_token="<unk>", fuse_unk=True,
                                byte_fallback=True)
    tokenizer = tokenizers.Tokenizer(bpe)
    normalizers, decoders = tokenizers.normalizers, tokenizers.decoders
    tokenizer.normalizer = normalizers.Sequence([normalizers.Prepend("\u2581"), normalizers.Replace(" ", "\u2581")])
    tokenizer.decoder = decoders.Sequence([decoders.Replace("\u2581", " "), decoders.ByteFallback(), decoders.Fuse(),
                                           decoders.Strip(" ", 1, 0)])
    return tokenizer


def rust(file, text, repeats):
    tokenizer = of_sentence_piece(file) if ".model" in file.name else tokenizers.Tokenizer.from_file(str(file))
    size, letters = len(text.encode()) / 1e6, "a" * (1 << 20)
    # Paragraphs keep the empty line after them, as whit's benchmark has them.
    paragraphs = [p + "\n\n" for p in text.split("\n\n")]
    paragraphs[-1] = paragraphs[-1][:-2]

    def encode(part):
        return tokenizer.encode(part, add_special_tokens=False)

    found = [size / seconds(1, lambda: encode(text)), size / seconds(repeats, lambda: encode(text)),
             size / seconds(repeats, lambda: [encode(p) for p in paragraphs if p])]
    ids = encode(text).ids
    decoded = len(tokenizer.decode(ids, skip_special_tokens=False).encode()) / 1e6
    found.append(decoded / seconds(repeats, lambda: tokenizer.decode(ids, skip_special_tokens=False)))
    return [*found, len(letters) / 1e6 / seconds(1, lambda: encode(letters))], len(ids)


def whit(program, file, plain, repeats):
    with tempfile.TemporaryDirectory() as folder:  # a folder may hold several
        name = "tokenizer.model" if ".model" in file.name else file.name
        (pathlib.Path(folder) / name).symlink_to(file.resolve())
        done = subprocess.run([program, "bench", "tokenize", "--model", folder, "--text", plain, "--repeats", str(repeats),
                               "--json"], stdout=subprocess.PIPE, check=True)
    rows = json.loads(done.stdout)["rows"]
    return [row["work"] / row["seconds"] for row in rows], int(rows[0]["note"].split()[0])


def read_text(file, limit):
    data = file.read_text(encoding="utf-8")
    if file.suffix == ".jsonl":
        data = "\n\n".join(json.loads(line)["text"] for line in data.splitlines())
    return data[:limit]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit")
    parser.add_argument("text", type=pathlib.Path)
    parser.add_argument("tokenizers", nargs="+", type=pathlib.Path)
    parser.add_argument("--repeats", type=int, default=3)
    parser.add_argument("--characters", type=int, default=4_000_000, help="of the text, at most")
    args = parser.parse_args()
    text = read_text(args.text, args.characters)
    slower = 0
    print(f"{args.text.name}, {len(text.encode()) / 1e6:.1f} MB; tokenizers {tokenizers.__version__}\n")
    print(f"| tokenizer | tokens | {' | '.join(COLUMNS)} |\n|---|---|{'---|' * len(COLUMNS)}")
    with tempfile.NamedTemporaryFile("w", suffix=".txt", encoding="utf-8", newline="") as plain:
        plain.write(text)
        plain.flush()
        for path in args.tokenizers:
            file = path / "tokenizer.json" if path.is_dir() else path
            ours, tokens = whit(args.whit, file, plain.name, args.repeats)
            theirs, their_tokens = rust(file, text, args.repeats)
            slower += sum(a < b for a, b in zip(ours, theirs))
            count = str(tokens) if tokens == their_tokens else f"{tokens}, the other {their_tokens}"
            name = file.parent.name if file.suffix == ".json" else f"{file.parent.name} {file.name}"
            print(f"| {name} | {count} | {' | '.join(f'{a:.1f} / {b:.1f}' for a, b in zip(ours, theirs))} |", flush=True)
    print(f"\n{slower} cells where whit is slower")


if __name__ == "__main__":
    main()
