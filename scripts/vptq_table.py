"""VPTQ with whit's defaults beside the reference's equations, and GPTQ: one table of a model.

    python vptq_table.py WHIT MODEL --calibration TEXT --text EVAL [--samples 32] [--length 512] [--group-size 32]
                         [--bits 2 2.3 3 3.5 4] [--gptq 4 3 2] [--threads 1] [--work FOLDER]

Each row is one `whit quantize` and one `whit eval --reference MODEL`. The reference's equations are set by flags: no
metric under the norm, no beam, no rounds, no teacher, its damping (.01 and once more .01), k-means until it stands still;
their layouts are the ones that --bits chooses, the same as in the row of the defaults. Bits are those of the checkpoint
over all of its parameters; "of the equations'" is the mean, over the weights, of a weight's proxy error relative to what
the reference's equations leave of it. Exits 1 where that is above four fifths.
"""
import argparse
import json
import math
import pathlib
import subprocess
import sys
import tempfile

REFERENCE = ["--quality", "fast", "--norm-metric", "plain", "--beam", "1", "--rounds", "0", "--rel-damp", "0.0201",
             "--kmeans-stop", "0"]


def whit(words):
    return json.loads(subprocess.run([*map(str, words), "--json", "--quiet"], check=True, capture_output=True,
                                     text=True).stdout)


def relative(errors, base):
    return sum(errors[name] / max(base[name], 1e-12) for name in base) / len(base)


def row(args, name, flags, folder, base=None):
    out = folder / name.replace(" ", "-").replace(",", "")
    quantized = whit([args.whit, "quantize", args.model, out, "--calibration", args.calibration,
                      "--num-calibration-samples", args.samples, "--max-sequence-length", args.length, "--threads",
                      args.threads, "--overwrite", *flags])
    judged = whit([args.whit, "eval", out, "--reference", args.model, "--text", args.text, "--window", args.length,
                   "--bos", "once", "--max-tokens", args.tokens, "--threads", args.threads])
    errors = {weight["name"]: weight["proxy_error"] for weight in quantized["weights"]}
    result = {"errors": errors, "bits": quantized["bits_per_weight"], "mean": sum(errors.values()) / len(errors),
              "geometric": math.exp(sum(math.log(max(error, 1e-12)) for error in errors.values()) / len(errors)),
              "perplexity": judged["perplexity"], "reference": judged.get("reference_perplexity"),
              "kl": judged["mean_kl_nats"], "seconds": quantized["seconds"]}
    if result["reference"] is not None and not args.said:
        args.said = True
        print(f"{args.model}, perplexity {result['reference']:.4g}\n")
        print("| row | bits | proxy error, mean | geometric mean | of the equations' | perplexity | mean KL, nats | seconds |")
        print("|---|---|---|---|---|---|---|---|")
    share = f"{relative(errors, base):.2f}" if base else ""
    print(f"| {name} | {result['bits']:.3f} | {result['mean']:.5f} | {result['geometric']:.5f} | {share} | "
          f"{result['perplexity']:.4g} | {result['kl']:.4f} | {result['seconds']:.1f} |", flush=True)
    return result


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("whit")
    parser.add_argument("model")
    for name in ("calibration", "text"):
        parser.add_argument(f"--{name}", required=True)
    for name, value in (("samples", 32), ("length", 512), ("tokens", 4096), ("threads", 1)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--group-size", default="32")
    parser.add_argument("--bits", nargs="*", default=["2", "2.3", "3", "3.5", "4"])
    parser.add_argument("--gptq", nargs="*", default=["4", "3", "2"])
    parser.add_argument("--work")
    args = parser.parse_args()
    args.said = False
    with tempfile.TemporaryDirectory() as temporary:
        folder = pathlib.Path(args.work or temporary)
        folder.mkdir(parents=True, exist_ok=True)
        for bits in args.gptq:
            row(args, f"GPTQ, int{bits}, groups of {args.group_size}", ["--bits", bits, "--group-size", args.group_size],
                folder)
        worse = []
        for bits in args.bits:
            vptq = ["--method", "vptq", "--bits", bits]
            reference = row(args, f"VPTQ's equations, {bits}", [*vptq, *REFERENCE], folder)
            ours = row(args, f"defaults, {bits}", vptq, folder, reference["errors"])
            if relative(ours["errors"], reference["errors"]) > 0.8:
                worse.append(bits)
        if worse:
            print(f"less than 20 % lower proxy error at {', '.join(worse)} bits")
        sys.exit(1 if worse else 0)


main()
