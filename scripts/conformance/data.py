#!/usr/bin/env python3
"""Datasets as pandas, pyarrow and pickle write them, and the rows that whit reads of them.

    data.py WHIT FOLDER [PYTHON...]

Each PYTHON is an interpreter with another version of pandas, which writes pickles too. Prints a line
for each file; exit 1 where rows differ.
"""
import csv
import gzip
import json
import pathlib
import random
import subprocess
import sys

import pandas
import pyarrow
import pyarrow.parquet

PICKLE = """
import pickle, sys, pandas
rows = pickle.load(open(sys.argv[1], "rb"))
frame = pandas.DataFrame(rows)
for protocol in range(2, 6):
    pickle.dump(frame, open(f"{sys.argv[2]}-p{protocol}.pkl", "wb"), protocol=protocol)
frame.sample(frac=1, random_state=1).to_pickle(f"{sys.argv[2]}-shuffled.pkl")
frame[frame.index % 2 == 0].to_pickle(f"{sys.argv[2]}-half.pkl")
frame.astype({"question": "string"}).to_pickle(f"{sys.argv[2]}-string.pkl")
frame.set_index("id").to_pickle(f"{sys.argv[2]}-index.pkl")
pandas.concat([frame, frame]).to_pickle(f"{sys.argv[2]}-twice.pkl")
frame.assign(when=pandas.Timestamp("2020"), kind=frame["id"].astype("category"),
             count=pandas.array(range(len(frame)), dtype="Int64")).to_pickle(f"{sys.argv[2]}-more.pkl")
print(pandas.__version__)
"""
ALPHABET = 'ab c,"\n\r\t\\{}[]:\u00e9\u4e2d\U0001F600\u0301\u2028'


def texts(count, seed):
    draw = random.Random(seed)
    return ["x" + "".join(draw.choices(ALPHABET, k=draw.randrange(40))) for _ in range(count)]


def read(whit, path, *flags):
    run = subprocess.run([whit, "rows", str(path), *flags], capture_output=True)
    if run.returncode != 0:
        return run.stderr.decode()
    return [json.loads(line) for line in run.stdout.splitlines()]


class Report:
    def __init__(self, whit):
        self.whit, self.failures = whit, 0

    def compare(self, path, field, expected, *flags):
        found = read(self.whit, path, *flags)
        values = [row.get(field) for row in found] if isinstance(found, list) else found
        same = values == expected
        self.failures += not same
        print(f"{'same' if same else 'DIFFERS':8}{path.name:32}{len(expected):6} rows")
        if not same:
            print(f"        {str(values)[:300]}\n        {str(expected)[:300]}")


def chat(row):
    messages = [{"role": "system", "content": row["system_prompt"]}] if row["system_prompt"] else []
    return messages + [{"role": "user", "content": row["question"]}]


def texts_in_every_format(report, folder):
    rows = texts(500, 1)
    frame = pandas.DataFrame({"text": rows, "n": range(len(rows))})
    frame.to_json(folder / "lines.jsonl", orient="records", lines=True)
    frame.to_json(folder / "records.json", orient="records", indent=1)
    frame.to_json(folder / "columns.json")
    (folder / "lists.json").write_text(json.dumps(frame.to_dict("list"), ensure_ascii=False))
    for name in ("lines.jsonl.gz", "lines.jsonl.zst"):
        frame.to_json(folder / name, orient="records", lines=True)
    half = [json.dumps({"text": text}) + "\n" for text in rows]
    (folder / "members.jsonl.gz").write_bytes(
        gzip.compress("".join(half[:200]).encode()) + gzip.compress("".join(half[200:]).encode()))
    frame.to_csv(folder / "pandas.csv", index=False, lineterminator="\r\n")
    frame.to_csv(folder / "quoted.csv", index=False, quoting=csv.QUOTE_ALL)
    frame.to_csv(folder / "tabs.tsv", index=False, sep="\t")
    table = pyarrow.Table.from_pandas(frame)
    for compression in ("none", "snappy", "gzip", "zstd", "lz4", "brotli"):
        pyarrow.parquet.write_table(table, folder / f"{compression}.parquet", row_group_size=64,
                                    compression=compression)
    pyarrow.parquet.write_table(table, folder / "small-pages.parquet", data_page_size=256,
                                use_dictionary=False, version="1.0")
    pyarrow.parquet.write_table(table, folder / "v2.parquet", data_page_version="2.0",
                                column_encoding={"text": "DELTA_BYTE_ARRAY", "n": "DELTA_BINARY_PACKED"},
                                use_dictionary=False)
    large = table.set_column(0, "text", table["text"].cast(pyarrow.large_string()))
    pyarrow.parquet.write_table(large, folder / "large-string.parquet")
    for name in ("lines.jsonl", "records.json", "columns.json", "lists.json", "lines.jsonl.gz",
                 "lines.jsonl.zst", "members.jsonl.gz", "pandas.csv", "quoted.csv", "tabs.tsv",
                 "none.parquet", "snappy.parquet", "gzip.parquet", "zstd.parquet", "lz4.parquet",
                 "brotli.parquet", "small-pages.parquet", "v2.parquet", "large-string.parquet"):
        report.compare(folder / name, "text", rows)


def nested_columns(report, folder):
    chats = [[{"role": "user", "content": text}, {"role": "assistant", "content": text[::-1]}]
             for text in texts(100, 2)]
    ids = [[i, i * 7 % 5, i] for i in range(100)]
    frame = pandas.DataFrame({"messages": chats})
    frame.to_parquet(folder / "chats.parquet", row_group_size=30)
    frame.to_json(folder / "chats.jsonl", orient="records", lines=True)
    pandas.DataFrame({"messages": [json.dumps(chat) for chat in chats]}).to_csv(
        folder / "chats.csv", index=False)
    for name in ("chats.parquet", "chats.jsonl", "chats.csv"):
        report.compare(folder / name, "messages", chats)
    pandas.DataFrame({"input_ids": ids}).to_parquet(folder / "ids.parquet")
    report.compare(folder / "ids.parquet", "input_ids", ids)
    pandas.DataFrame({"input_ids": ids}).to_pickle(folder / "ids.pkl")
    report.compare(folder / "ids.pkl", "input_ids", ids)
    (folder / "split").mkdir(exist_ok=True)
    for i in range(3):
        frame[i * 30:(i + 1) * 30].to_parquet(folder / "split" / f"train-0000{i}-of-00003.parquet")
    frame.to_parquet(folder / "split" / "test-00000-of-00001.parquet")
    report.compare(folder / "split", "messages", chats[:90])


def pickles(report, folder, pythons):
    import pickle
    prompts, questions = texts(200, 3), texts(200, 4)
    rows = [{"id": f"r{i}", "system_prompt": "" if i % 7 == 0 else prompts[i],
             "question": questions[i], "tok_input": [i, i + 1], "tok_input_length": 2.0}
            for i in range(200)]
    (folder / "rows.pickle").write_bytes(pickle.dumps(rows, protocol=2))
    report.compare(folder / "rows.pickle", "messages", [chat(row) for row in rows])
    for python in pythons:
        name = subprocess.run([python, "-c", "import pandas; print(pandas.__version__)"],
                              capture_output=True, text=True, check=True).stdout.strip()
        stem = folder / f"pandas-{name}"
        subprocess.run([python, "-c", PICKLE, folder / "rows.pickle", stem], check=True,
                       stdout=subprocess.DEVNULL)
        for path in sorted(folder.glob(f"pandas-{name}-*.pkl")):
            kind = path.stem.rsplit("-", 1)[1]
            if kind == "shuffled":
                order = read_order(python, path)
                expected = [chat(rows[i]) for i in order]
            else:
                expected = [chat(row) for row in rows]
            expected = expected[::2] if kind == "half" else expected * 2 if kind == "twice" else expected
            report.compare(path, "messages", expected)


def read_order(python, path):
    run = subprocess.run([python, "-c", "import sys, json, pandas\n"
                          "print(json.dumps(list(map(int, pandas.read_pickle(sys.argv[1]).index))))", path],
                         capture_output=True, text=True, check=True)
    return json.loads(run.stdout)


def main():
    whit, folder, pythons = sys.argv[1], pathlib.Path(sys.argv[2]), sys.argv[3:]
    folder.mkdir(parents=True, exist_ok=True)
    report = Report(whit)
    texts_in_every_format(report, folder)
    nested_columns(report, folder)
    pickles(report, folder, [sys.executable, *pythons])
    print(f"{report.failures} files differ")
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
