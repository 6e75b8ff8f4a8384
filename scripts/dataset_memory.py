#!/usr/bin/env python3
"""Peak memory of drawing samples, against the size of the dataset.

    dataset_memory.py WHIT MODEL [--small-mb 60] [--large-mb 1500] [--folder FOLDER]

Writes the same kind of rows in each format, small and large, and prints the peak resident set and
the time of `whit rows DATASET --model MODEL` on each; Parquet needs pyarrow. Exit 1 where the large
file costs 64 MiB more than the small one.
"""
import argparse
import gzip
import json
import os
import pathlib
import random
import sys
import time

WORDS = "not a whit of the sea was lost that day and no one spoke about it again until spring".split()


def texts(megabytes, seed=1):
    """About so many megabytes of rows of 200 to 6000 bytes."""
    draw = random.Random(seed)
    pool = [" ".join(draw.choices(WORDS, k=1200)) for _ in range(200)]
    left = megabytes * 1_000_000
    while left > 0:
        text = draw.choice(pool)[:draw.randrange(200, 6000)]
        left -= len(text)
        yield text


def write_jsonl(path, megabytes):
    with open(path, "w") as file:
        for text in texts(megabytes):
            file.write(json.dumps({"text": text}) + "\n")


def write_gzip(path, megabytes):
    with gzip.open(path, "wt", compresslevel=1) as file:
        for text in texts(megabytes):
            file.write(json.dumps({"text": text}) + "\n")


def write_array(path, megabytes):
    with open(path, "w") as file:
        for i, text in enumerate(texts(megabytes)):
            file.write(("[" if i == 0 else ",\n") + json.dumps({"text": text}))
        file.write("]\n")


def write_csv(path, megabytes):
    import csv
    with open(path, "w", newline="") as file:
        rows = csv.writer(file)
        rows.writerow(["text"])
        rows.writerows([text] for text in texts(megabytes))


def write_parquet(path, megabytes, row_group_rows):
    import pyarrow
    import pyarrow.parquet
    writer, batch = None, []

    def flush():
        nonlocal writer, batch
        table = pyarrow.table({"text": batch})
        writer = writer or pyarrow.parquet.ParquetWriter(path, table.schema, compression="snappy",
                                                         use_dictionary=False)
        writer.write_table(table, row_group_size=row_group_rows)
        batch = []

    for text in texts(megabytes):
        batch.append(text)
        if len(batch) == row_group_rows:
            flush()
    if batch:
        flush()
    writer.close()


FORMATS = {
    "jsonl": write_jsonl,
    "json": write_array,
    "csv": write_csv,
    "jsonl.gz": write_gzip,
    "parquet": lambda path, megabytes: write_parquet(path, megabytes, 1000),
    # As pandas writes it: up to 2^20 rows in a group.
    "one-group.parquet": lambda path, megabytes: write_parquet(path, megabytes, 1 << 20),
}


def measure(whit, dataset, model):
    """(peak resident bytes, seconds) of drawing 128 sequences of 512."""
    start = time.monotonic()
    pid = os.fork()
    if pid == 0:
        null = os.open(os.devnull, os.O_WRONLY)
        os.dup2(null, 1)
        os.dup2(null, 2)
        os.execv(whit, [whit, "rows", str(dataset), "--model", model, "--num-calibration-samples",
                        "128", "--max-sequence-length", "512"])
    _, status, usage = os.wait4(pid, 0)
    if status != 0:
        sys.exit(f"whit failed on {dataset}")
    return usage.ru_maxrss * 1024, time.monotonic() - start


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("whit")
    parser.add_argument("model")
    parser.add_argument("--small-mb", type=int, default=60)
    parser.add_argument("--large-mb", type=int, default=1500)
    parser.add_argument("--folder", default="build/dataset-memory")
    parser.add_argument("--formats", nargs="+", default=list(FORMATS))
    args = parser.parse_args()
    folder = pathlib.Path(args.folder)
    folder.mkdir(parents=True, exist_ok=True)
    worst = 0
    print(f"{'format':20}{'file MB':>10}{'peak MiB':>10}{'seconds':>10}")
    for name in args.formats:
        peaks = []
        for size in (args.small_mb, args.large_mb):
            path = folder / f"{size}.{name}"
            FORMATS[name](path, size)
            peak, seconds = measure(os.path.abspath(args.whit), path, args.model)
            peaks.append(peak)
            print(f"{name:20}{path.stat().st_size / 1e6:10.0f}{peak / 2**20:10.1f}{seconds:10.1f}",
                  flush=True)
            path.unlink()
        worst = max(worst, peaks[1] - peaks[0])
    print(f"the large file costs at most {worst / 2**20:.1f} MiB more")
    return 1 if worst > 64 << 20 else 0


if __name__ == "__main__":
    sys.exit(main())
