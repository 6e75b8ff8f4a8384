#!/usr/bin/env python3
"""Cuts demo/text/calibration.jsonl and demo/text/evaluation.txt out of a collection of books.

    make_demo_text.py BOOKS.jsonl [demo/text]

BOOKS.jsonl holds one {"source": "Author/Title", "text": chapter} a line. All books below are in the
public domain in the United States and in countries where copyright ends 70 years after the author's
death. The demo model was trained on none of them, and no book is in both files.
"""
import json
import pathlib
import sys

# About 128 sequences of 512 tokens: several registers, so that many experts see tokens.
CALIBRATION = ["Joseph Conrad/Heart of Darkness", "Louisa May Alcott/An Old-Fashioned Girl",
               "Adam Smith/The Wealth of Nations", "Thomas Hardy/The Return of the Native",
               "Walt Whitman/Leaves of Grass", "Immanuel Kant/Critique of Pure Reason",
               "G.K. Chesterton/The Innocence of Father Brown", "Harriet Beecher Stowe/Uncle Tom's Cabin"]
EVALUATION = ["Jules Verne/An Antarctic Mystery", "Virginia Woolf/Jacob's Room",
              "Henry David Thoreau/Civil Disobedience", "L. Frank Baum/Dorothy and the Wizard in Oz"]
CALIBRATION_BYTES_A_BOOK = 48_000
CALIBRATION_ROW_BYTES = 2_400
EVALUATION_BYTES_A_BOOK = 30_000


def first_chapters(rows, source, size):
    """The text of `source` from its first chapter here on, cut at a paragraph at about `size` bytes."""
    text = "\n\n".join(row["text"].strip() for row in rows if row["source"] == source)
    end = text.find("\n\n", size)
    return text[:end] if end > 0 else text


def rows_of(text, size):
    """Runs of whole paragraphs of at least `size` characters."""
    run = ""
    for paragraph in text.split("\n\n"):
        run = f"{run}\n\n{paragraph}" if run else paragraph
        if len(run) >= size:
            yield run
            run = ""


def main():
    books = pathlib.Path(sys.argv[1])
    out = pathlib.Path(sys.argv[2] if len(sys.argv) > 2 else "demo/text")
    rows = [json.loads(line) for line in books.open(encoding="utf-8")]
    out.mkdir(parents=True, exist_ok=True)
    with (out / "calibration.jsonl").open("w", encoding="utf-8") as file:
        for source in CALIBRATION:
            for text in rows_of(first_chapters(rows, source, CALIBRATION_BYTES_A_BOOK), CALIBRATION_ROW_BYTES):
                file.write(json.dumps({"source": source, "text": text}, ensure_ascii=False) + "\n")
    evaluation = [first_chapters(rows, source, EVALUATION_BYTES_A_BOOK) for source in EVALUATION]
    (out / "evaluation.txt").write_text("\n\n".join(evaluation) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
