#!/usr/bin/env python3
"""Small datasets as pandas and pyarrow write them, for tests/data.

    make_dataset_files.py pickle FOLDER NAME     NAME-p{2..5}.pkl, by the pandas that runs this
    make_dataset_files.py parquet FOLDER         rows.parquet, chats.parquet

The files in tests/golden/data were made with pandas 1.0.5 (Python 3.8), 1.3.5 (3.9), 1.5.3, 2.2.3 and
3.1.1 (3.11) and pyarrow 26.0.1. All pickles hold the table below; tests/data/golden_test.cpp has the
same rows.
"""
import pathlib
import sys


def table():
    import pandas
    frame = pandas.DataFrame({
        "id": [f"r{i}" for i in range(4)],
        "system_prompt": ["You are é.", "", "s2", None],
        "question": ["Why?", "q1", "q2 \U0001F600", "q3"],
        "n": [1, 2, 3, 4],
        "x": [0.5, 1.5, float("nan"), -2.0],
        "tokens": [[1, 2], [3], [], [4, 5, 6]],
        "when": pandas.date_range("2020", periods=4),
    })
    frame["kept"] = [True, False, True, True]
    return frame.iloc[[2, 0, 1, 3]].set_index("id")


def write_pickles(folder, name):
    import pickle
    for protocol in range(2, 6):
        (folder / f"{name}-p{protocol}.pkl").write_bytes(pickle.dumps(table(), protocol=protocol))


def write_parquet(folder):
    import pyarrow
    import pyarrow.parquet
    rows = pyarrow.table({
        "text": pyarrow.array([f"row {i} é" if i % 5 else None for i in range(50)]),
        "input_ids": pyarrow.array([[i, i + 1] for i in range(50)], pyarrow.list_(pyarrow.int32())),
        "label": pyarrow.array(["even", "odd"] * 25).dictionary_encode(),
        "when": pyarrow.array(list(range(50)), pyarrow.timestamp("us")),
    })
    pyarrow.parquet.write_table(rows, folder / "rows.parquet", row_group_size=20, compression="zstd")
    chats = pyarrow.table({"messages": [
        [{"role": "system", "content": "s"}, {"role": "user", "content": f"q{i}"}] for i in range(3)]})
    pyarrow.parquet.write_table(chats, folder / "chats.parquet", compression="snappy")


if __name__ == "__main__":
    kind, folder = sys.argv[1], pathlib.Path(sys.argv[2])
    if kind == "pickle":
        write_pickles(folder, sys.argv[3])
    else:
        write_parquet(folder)
