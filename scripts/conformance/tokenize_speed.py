"""The peer of `whit bench tokenize`: the Rust tokenizers package on one thread, on the same text.

    python scripts/conformance/tokenize_speed.py TOKENIZER.json TEXT_FILE [REPEATS]
"""
import os
import sys
import time

os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["RAYON_NUM_THREADS"] = "1"

import tokenizers  # noqa: E402  (reads the environment above)


def least(repeats, work):
    times = []
    for _ in range(repeats):
        begin = time.perf_counter()
        work()
        times.append(time.perf_counter() - begin)
    return min(times)


def main():
    tokenizer = tokenizers.Tokenizer.from_file(sys.argv[1])
    text = open(sys.argv[2], encoding="utf-8", newline="").read()
    repeats = int(sys.argv[3]) if len(sys.argv) > 3 else 3
    size = len(text.encode()) / 1e6
    paragraphs = text.split("\n\n")

    def report(name, megabytes, seconds):
        print(f"{name:28} {megabytes:8.2f} MB {seconds:8.3f} s {megabytes / seconds:8.2f} MB/s")

    report("encode, cold", size, least(1, lambda: tokenizer.encode(text, add_special_tokens=False)))
    report("encode, warm", size, least(repeats, lambda: tokenizer.encode(text, add_special_tokens=False)))
    report(f"encode, {len(paragraphs)} paragraphs", size,
           least(repeats, lambda: [tokenizer.encode(p, add_special_tokens=False) for p in paragraphs]))
    ids = tokenizer.encode(text, add_special_tokens=False).ids
    report("decode", size, least(repeats, lambda: tokenizer.decode(ids, skip_special_tokens=False)))
    letters = "a" * (1 << 20)
    report("encode, one letter", len(letters) / 1e6, least(1, lambda: tokenizer.encode(letters, add_special_tokens=False)))


if __name__ == "__main__":
    main()
