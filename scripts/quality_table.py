#!/usr/bin/env python3
"""The table of docs/quality.md: whit's rows and those of the field's own packages, on one machine.

    quality_table.py WHIT --shared DIR --cache DIR [--python PACKAGE=INTERPRETER ...]
                     [--models moe-15m,...] [--rows rtn,fast,...] [--packages ...] [--bits 4,3] [--redo NAME ...] [--package-device cuda] [--no-run]

Every row gets the same calibration ids (written once, as input_ids, and read by whit and by the packages), and one
program judges all: `whit eval --reference` on what a row wrote. whit's rows come from `whit bench quality`; a package
runs in an interpreter of its own (--python) through scripts/conformance/quality_packages.py. What was measured lies in
CACHE/MODEL/rows/NAME-BITSbit.json; only what is missing, or named with --redo, is run. --no-run makes the table from
the cache alone. The table goes to stdout, as Markdown.

--shared holds models/, text/ and eval/ (MODELS below says which); a model whose files are absent is said to be left out.
"""
import argparse
import datetime
import json
import os
import pathlib
import platform
import random
import re
import shutil
import subprocess
import sys

ROOT = pathlib.Path(__file__).resolve().parent.parent
SAMPLES, LENGTH, WINDOW, TOKENS = 128, 512, 512, 32768
PACKAGES = ["llm-compressor", "gptqmodel", "auto-round"]
ROWS = ["rtn", "fast", "default", "best"]

# tokenizer: a file beside the model where the folder holds none that whit reads by itself; texts are then given as ids.
# calibration: (file, first row, last row); texts: name -> a plain file, or (JSONL file, first row, last row).
BOOKS = ("text/classic_books.jsonl", 0, 480)
PUBLIC = {"WikiText-2": "eval/wikitext2/test.hf_joined.txt", "C4": ("text/c4_en_sample_1000.jsonl", 0, None)}
OTHER_CHAPTERS = {"other chapters": ("text/classic_books.jsonl", 480, None)}
MODELS = {
    "moe-15m": {"group": 128, "calibration": BOOKS, "texts": PUBLIC | OTHER_CHAPTERS},
    "moe-61m": {"group": 128, "calibration": BOOKS, "texts": PUBLIC | OTHER_CHAPTERS},
    "babyllama-tok105": {
        "group": 32, "tokenizer": "tok105.model", "calibration": ("text/tinystories_train_head.jsonl", 0, 1500),
        "texts": {"TinyStories": ("text/tinystories_train_head.jsonl", 1500, 1900),
                  "more TinyStories": ("text/tinystories_train_head.jsonl", 1900, None)}},
    "SmolLM2-135M-Instruct": {"folder": "smollm2", "group": 64, "tokens": 16384, "samples": 32, "calibration": BOOKS, "texts": PUBLIC},
}


def say(text):
    print(f"quality_table: {text}", file=sys.stderr, flush=True)


class Bench:
    def __init__(self, args):
        self.whit, self.shared, self.cache = str(args.whit.resolve()), args.shared, args.cache
        self.pythons = dict(entry.split("=", 1) for entry in args.python)
        self.args = args

    def run(self, *command, code=0, **more):
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True, **more)
        if done.returncode != code:
            raise RuntimeError(f"{' '.join(map(str, command))}: exit {done.returncode}")
        return done.stdout

    # ---- what every row shares -------------------------------------------------------------------------------------
    def model(self, name):
        """The model's folder: a shared one, or one built into the cache's parent by hand (--model NAME=FOLDER)."""
        given = dict(entry.split("=", 1) for entry in self.args.model)
        folder = pathlib.Path(given.get(name, self.shared / "models" / MODELS[name].get("folder", name)))
        return folder if (folder / "config.json").exists() else None

    def folder(self, name):
        folder = self.cache / name
        (folder / "rows").mkdir(parents=True, exist_ok=True)
        return folder

    def samples(self, name):
        return MODELS[name].get("samples", SAMPLES)

    def tokens(self, name):
        return MODELS[name].get("tokens", TOKENS)

    def tokenize(self, name, texts):
        """Ids of each text, without special tokens."""
        tokenizer = self.model(name) / MODELS[name].get("tokenizer", "")
        lines = "".join(json.dumps({"id": i, "text": text}) + "\n" for i, text in enumerate(texts))
        out = self.run(self.whit, "tokenize", tokenizer, "--jsonl", "-", "--quiet", input=lines)
        return [json.loads(line)["ids"] for line in out.splitlines()]

    def rows_of(self, place):
        file, first, last = place
        with open(self.shared / file) as lines:
            return [json.loads(line)["text"] for line in lines][first:last]

    def calibration(self, name):
        """Each row of at least LENGTH - 1 tokens, in an order drawn by chance, gives BOS and one slice of it; rows that
        are long enough give further slices until there are SAMPLES."""
        path = self.folder(name) / "calibration.ids.jsonl"
        if path.exists():
            return path
        bos = json.loads((self.model(name) / "config.json").read_text())["bos_token_id"]
        chance = random.Random(0)
        rows = self.rows_of(MODELS[name]["calibration"])
        chance.shuffle(rows)
        sequences, size = [], LENGTH - 1
        wanted = self.samples(name)
        while len(sequences) < wanted:
            before = len(sequences)
            for first in range(0, len(rows), 64):
                for ids in self.tokenize(name, rows[first:first + 64]):
                    if len(ids) >= size and len(sequences) < wanted:
                        at = chance.randint(0, len(ids) - size)
                        sequences.append([bos, *ids[at:at + size]])
                if len(sequences) == wanted:
                    break
            if len(sequences) == before:
                raise RuntimeError(f"{name}: no row of the calibration text has {size} tokens")
        path.write_text("".join(json.dumps({"input_ids": ids}) + "\n" for ids in sequences))
        return path

    def texts(self, name):
        """Files that whit scores, by name: ids where the model has no tokenizer of its own, else the text."""
        files = {}
        for text, place in MODELS[name]["texts"].items():
            path = self.folder(name) / f"{text.replace(' ', '-')}.{'jsonl' if 'tokenizer' in MODELS[name] else 'txt'}"
            files[text] = path
            if path.exists():
                continue
            content = "\n\n".join(self.rows_of(place)) if isinstance(place, tuple) else (self.shared / place).read_text()
            if "tokenizer" in MODELS[name]:
                ids = self.tokenize(name, [content])[0][:self.tokens(name)]
                content = json.dumps({"input_ids": ids}) + "\n"
            path.write_text(content)
        return files

    # ---- rows ------------------------------------------------------------------------------------------------------
    def row_file(self, name, row, bits):
        return self.folder(name) / "rows" / f"{row}-{bits}bit.json"

    def missing(self, name, row, bits):
        file = self.row_file(name, row, bits)
        if row in self.args.redo:
            file.unlink(missing_ok=True)
        return not file.exists()

    def limits(self):
        return ["--threads", self.args.threads] if self.args.threads else []

    def run_whit_rows(self, name, bits):
        rows = [row for row in self.args.rows if self.missing(name, row, bits)]
        if not rows:
            return
        if "fast" not in rows and self.missing(name, "fast", bits):
            rows.insert(0, "fast")
        say(f"{name}, {bits} bits: {', '.join(rows)}")
        files = self.texts(name)
        command = [self.whit, "bench", "quality", self.model(name), "--calibration", self.calibration(name),
                   "--num-calibration-samples", self.samples(name), "--max-sequence-length", LENGTH, "--group-size",
                   MODELS[name]["group"], "--bits", bits, "--rows", ",".join(rows), "--window", WINDOW, "--max-tokens",
                   self.tokens(name), "--json", *self.limits()]
        for file in files.values():
            command += ["--text", file]
        done = subprocess.run([str(word) for word in command], stdout=subprocess.PIPE, text=True)
        if not done.stdout:
            raise RuntimeError(f"{name}: whit bench quality: exit {done.returncode}")
        table = json.loads(done.stdout)
        for row in table["rows"]:
            if row.get("error", {}).get("exit_code") in (130, 143):
                continue
            self.store(name, row["name"], bits, {**row, "by": "whit", "machine": table["machine"]}, files)
        if done.returncode in (130, 143):
            sys.exit(done.returncode)

    def store(self, name, row, bits, result, files):
        """texts of a result, which come in the files' order, under the names that the table shows."""
        for text, score in zip(files, result.get("texts", [])):
            score["text"] = text
        result["date"] = datetime.date.today().isoformat()
        self.row_file(name, row, bits).write_text(json.dumps(result, indent=1) + "\n")

    def decoded_original(self, name):
        """The model as packages load it: plain BF16 tensors. An FP8 checkpoint is decoded by whit."""
        source = self.model(name)
        if "quantization_config" not in json.loads((source / "config.json").read_text()):
            return source
        out = self.folder(name) / "bf16"
        if not (out / "config.json").exists():
            self.run(self.whit, "convert", source, out, "--to", "bf16", "--overwrite", "--quiet")
        return out

    def run_package(self, name, package, bits):
        if not self.missing(name, package, bits):
            return
        if package not in self.pythons:
            say(f"{name}: {package} is left out, no --python {package}=INTERPRETER")
            return
        say(f"{name}, {bits} bits: {package}")
        out = self.folder(name) / f"{package}-{bits}bit"
        shutil.rmtree(out, ignore_errors=True)
        result_file, log_file = out.with_suffix(".json"), self.folder(name) / f"{package}-{bits}bit.log"
        result_file.unlink(missing_ok=True)
        command = [self.pythons[package], ROOT / "scripts/conformance/quality_packages.py", package,
                   self.decoded_original(name), out, "--ids", self.calibration(name), "--bits", bits, "--group-size",
                   MODELS[name]["group"], "--result", result_file]
        command += ["--device", self.args.package_device]
        if self.args.threads:
            command += ["--threads", self.args.threads]
        with open(log_file, "w") as log:
            try:
                code = subprocess.run([str(word) for word in command], stdout=log, stderr=subprocess.STDOUT,
                                      timeout=60 * self.args.minutes).returncode
            except subprocess.TimeoutExpired:
                code = None
        files = self.texts(name)
        result = json.loads(result_file.read_text()) if result_file.exists() else {}
        result |= {"by": package, "name": package, "bits": bits}
        if code is None:
            result["error"] = {"detail": f"stopped after {self.args.minutes:g} minutes", "exit_code": 124}
        elif code != 0:
            lines = [line.strip() for line in log_file.read_text(errors="replace").splitlines() if line.strip()]
            result["error"] = {"detail": lines[-1] if lines else f"exit {code}", "exit_code": code}
        else:
            try:
                result["texts"] = [self.judge(name, result["judged"], file) for file in files.values()]
            except RuntimeError as error:
                result["error"] = {"detail": str(error), "exit_code": 1}
        self.store(name, package, bits, result, files)
        if not self.args.keep:
            shutil.rmtree(out, ignore_errors=True)

    def judge(self, name, student, text):
        out = self.run(self.whit, "eval", student, "--reference", self.model(name), "--text", text, "--window", WINDOW,
                       "--max-tokens", self.tokens(name), "--json", "--quiet", *self.limits(), *self.tokenizer_of(name))
        return json.loads(out)

    def tokenizer_of(self, name):
        """A package may leave the tokenizer behind; the original's is meant in any case."""
        return [] if "tokenizer" in MODELS[name] else ["--tokenizer", self.model(name)]

    # ---- the table -------------------------------------------------------------------------------------------------
    def results(self, name, bits):
        found = []
        for row in [*self.args.rows, *PACKAGES]:
            file = self.row_file(name, row, bits)
            if file.exists():
                found.append(json.loads(file.read_text()))
        return found

    def tables(self):
        for name in self.args.models:
            for bits in self.args.bits:
                rows = self.results(name, bits)
                if rows:
                    yield from self.table(name, bits, rows)

    def table(self, name, bits, rows):
        texts = list(MODELS[name]["texts"])
        base = next((row for row in rows if row["name"] == "fast" and "texts" in row), None)
        yield f"### {name}, int{bits}, groups of {MODELS[name]['group']}"
        yield ""
        yield "| row | text | mean KL | of fast | 99 % KL | perplexity | top-1 | seconds | bits |"
        yield "|---" * 9 + "|"
        failures = []
        for row in rows:
            if "texts" not in row:
                failures.append(f"{label(row)} did not run: `{row['error']['detail'][:200]}`")
                continue
            cost = f"{row['seconds']:.1f} | {exact(row['bits_per_quantized_weight'])}"
            for at, score in enumerate(row["texts"]):
                ratio = score["mean_kl_nats"] / base["texts"][at]["mean_kl_nats"] if base else None
                cells = [label(row) if at == 0 else "", texts[at],
                         f"{score['mean_kl_nats']:.4f} ± {score['mean_kl_standard_error_nats']:.4f}",
                         f"{ratio:.2f}" if ratio else "-", f"{score['p99_kl_nats']:.2f}", f"{score['perplexity']:.2f}",
                         f"{100 * score['top1_agreement']:.1f} %", cost if at == 0 else " | "]
                yield f"| {' | '.join(cells)} |"
        yield ""
        original = next((row for row in rows if "texts" in row), None)
        if original:
            told = ", ".join(f"{score['reference_perplexity']:.2f} ({text})"
                             for text, score in zip(texts, original["texts"]))
            yield f"Perplexity of the original: {told}."
            yield ""
        for failure in failures:
            yield failure
            yield ""

    def write_table(self):
        lines = list(self.tables())
        if not lines:
            say("nothing is measured yet")
            return
        machine = cpu_name()
        versions = sorted({f"{row['name']} {row['version']} (torch {row['torch']}, transformers {row['transformers']})"
                           for name in self.args.models for bits in self.args.bits
                           for row in self.results(name, bits) if "version" in row})
        head = [f"{machine}. Packages: {'; '.join(versions) or 'none'}.", ""]
        print("\n".join(head + lines).strip())


def label(row):
    if row["by"] == "whit":
        return f"whit {row['name']}"
    return f"{row['name']} ({row['settings']})" if "settings" in row else row["name"]


def exact(bits):
    return f"{bits:.4f}".rstrip("0").rstrip(".") if bits is not None else "-"


def cpu_name():
    found = re.search(r"model name\s*:\s*(.*)", pathlib.Path("/proc/cpuinfo").read_text())
    return f"{found[1] if found else platform.processor()}, {os.cpu_count()} cores"


def words(text):
    return text.split(",")


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("whit", type=pathlib.Path)
    parser.add_argument("--shared", type=pathlib.Path, required=True)
    parser.add_argument("--cache", type=pathlib.Path, required=True)
    parser.add_argument("--python", action="append", default=[], metavar="PACKAGE=INTERPRETER")
    parser.add_argument("--model", action="append", default=[], metavar="NAME=FOLDER", help="where a model lies")
    parser.add_argument("--models", type=words, default=list(MODELS))
    parser.add_argument("--rows", type=words, default=ROWS)
    parser.add_argument("--packages", type=words, default=PACKAGES)
    parser.add_argument("--bits", type=lambda text: [int(word) for word in text.split(",")], default=[4, 3])
    parser.add_argument("--redo", type=words, default=[], metavar="NAMES", help="rows to run anew")
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--minutes", type=float, default=60, help="after which a package is stopped")
    parser.add_argument("--package-device", default="cpu", help="of the packages: cpu, or cuda")
    parser.add_argument("--keep", action="store_true", help="keep what packages wrote")
    parser.add_argument("--no-run", action="store_true")
    args = parser.parse_args()
    args.rows = [row for row in args.rows if row]
    args.packages = [package for package in args.packages if package]
    bench = Bench(args)
    for name in args.models:
        if bench.model(name) is None:
            say(f"{name} is left out: no config.json where it should lie")
            continue
        for bits in [] if args.no_run else args.bits:
            if args.rows:
                bench.run_whit_rows(name, bits)
            for package in args.packages:
                bench.run_package(name, package, bits)
    bench.write_table()


if __name__ == "__main__":
    main()
