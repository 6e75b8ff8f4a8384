"""Every tiny model of tests/golden/model, of every architecture: quantize -> verify -> eval, all linears.

At the default quality; the first model of each architecture at the others too.
"""
import json
import math
import pathlib
import shutil
import struct
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402

MODELS = whit.SOURCE / "tests" / "golden" / "model"
LENGTH = 24


def tokenizer(vocabulary):
    """One token for each of `vocabulary` printable characters, no merges."""
    tokens = {chr(33 + i): i for i in range(vocabulary)}
    return {"version": "1.0", "added_tokens": [], "normalizer": None, "pre_tokenizer": None, "post_processor": None,
            "decoder": None, "model": {"type": "BPE", "vocab": tokens, "merges": [], "unk_token": None}}


def characters(count, vocabulary):
    state = 1
    for _ in range(count):
        state = (state * 1664525 + 1013904223) % 2**32
        yield (state >> 16) % vocabulary


def prepare(source):
    """A copy with a tokenizer, and files of calibration and evaluation text."""
    model = pathlib.Path(source.name)
    shutil.copytree(source, model)
    vocabulary = json.loads((model / "config.json").read_text())["vocab_size"]
    (model / "tokenizer.json").write_text(json.dumps(tokenizer(vocabulary)))
    ids = list(characters(6 * LENGTH, vocabulary))
    rows = [ids[i:i + LENGTH] for i in range(0, len(ids), LENGTH)]
    pathlib.Path("ids.jsonl").write_text("".join(json.dumps({"input_ids": row}) + "\n" for row in rows))
    pathlib.Path("text.txt").write_text("".join(chr(33 + i) for i in characters(3 * LENGTH, vocabulary)))
    return model


def widths(model):
    """Input widths of every matrix that might be quantized."""
    with open(model / "model.safetensors", "rb") as file:
        header = json.loads(file.read(struct.unpack("<Q", file.read(8))[0]))
    return [entry["shape"][1] for name, entry in header.items()
            if name != "__metadata__" and len(entry["shape"]) == 2 and name.endswith(".weight")]


def loss_of_two_bits(source):
    """Mean KL of the model rounded to two bits, which keeps next to nothing of what it says."""
    model = prepare(source)
    output = f"{model}-two-bits"
    whit.run_json("quantize", model, output, "--method", "rtn", "--bits", "2", "--group-size", math.gcd(*widths(model)))
    scores = whit.run_json("eval", output, "--text", "text.txt", "--window", LENGTH, "--reference", model)
    shutil.rmtree(model)
    shutil.rmtree(output)
    return scores["mean_kl_nats"]


def quantize_verify_eval(source, quality, worst):
    model = prepare(source)
    group = math.gcd(*widths(model))
    output = f"{model}-quantized"
    report = whit.run_json("quantize", model, output, "--bits", "8", "--group-size", group, "--calibration", "ids.jsonl",
                           "--num-calibration-samples", "6", "--max-sequence-length", LENGTH, "--threads", "1",
                           "--quality", quality)
    inspected = whit.run_json("inspect", model)
    linears = [t["name"] for t in inspected["tensors"] if t["role"] and t["role"].startswith(("attn_", "mlp_"))
               and t["name"].endswith(".weight")]
    found = sorted(w["name"] for w in report["weights"])
    whit.expect(found == sorted(name.removesuffix(".weight") for name in linears),
                f"{model}: quantized {len(found)} of {len(linears)} linears")
    checks = whit.run_json("verify", output, "--source", model)
    whit.expect(checks["ok"], f"{model}: {[c for c in checks['checks'] if not c['ok']]}")
    scores = whit.run_json("eval", output, "--text", "text.txt", "--window", LENGTH, "--reference", model)
    whit.expect(scores["tokens"] > LENGTH, f"{model}: {scores['tokens']} tokens")
    # Eight bits lose little, but for a token that another expert takes; a linear that reads or writes the wrong rows
    # would lose about as much as two bits do.
    whit.expect(0 <= scores["mean_kl_nats"] < 0.03 * worst,
                f"{model}, {quality}: KL {scores['mean_kl_nats']}; two bits lose {worst}")
    shutil.rmtree(model)
    shutil.rmtree(output)


def is_refused(source):
    """Conv1D weights are stored as [in, out], which no loader takes quantized; the model computes all the same."""
    model = prepare(source)
    error = whit.run("quantize", model, f"{model}-quantized", "--bits", "8", "--group-size", "channel", "--method", "rtn",
                     code=4)[1]
    whit.expect("Conv1D" in error, f"{model}: {error}")
    scores = whit.run_json("eval", model, "--text", "text.txt", "--window", LENGTH)
    whit.expect(scores["tokens"] > LENGTH, f"{model}: {scores['tokens']} tokens")
    shutil.rmtree(model)


def main():
    models = sorted(path for path in MODELS.iterdir() if path.is_dir())
    listed = {row["model_type"] for row in whit.run_json("inspect", "--architectures")["architectures"]}
    tested = {json.loads((path / "config.json").read_text())["model_type"] for path in models}
    whit.expect(listed == tested, f"listed and tested differ in {sorted(listed ^ tested)}")
    seen = set()
    for source in models:
        model_type = json.loads((source / "config.json").read_text())["model_type"]
        if model_type == "gpt2":
            is_refused(source)
            continue
        worst = loss_of_two_bits(source)
        for quality in ["default"] if model_type in seen else ["fast", "default", "best"]:
            quantize_verify_eval(source, quality, worst)
        seen.add(model_type)


if __name__ == "__main__":
    main()
