#!/usr/bin/env python3
"""Quantizes the embedded model, or another, to 4 bits and shows what that cost.

    demo.py WHIT       the program, as built; run from the root of the repository

Environment: MODEL, CALIBRATION, EVALUATION and OUT replace the embedded model, the texts and the
output folder (demo-out); PROMPT is what both models go on from. MODEL=smollm2 is the chat model that
scripts/fetch_smollm2.sh has made: both answer questions through its chat template; QUESTION replaces
them.
"""
import json
import os
import pathlib
import subprocess
import sys
import time

CHAT = os.environ.get("MODEL") == "smollm2"
MODEL = "build-smollm2/SmolLM2-135M-Instruct" if CHAT else os.environ.get("MODEL") or "demo/moe-15m"
CALIBRATION = os.environ.get("CALIBRATION") or "demo/text/calibration.jsonl"
EVALUATION = os.environ.get("EVALUATION") or "demo/text/evaluation.txt"
OUT = os.environ.get("OUT") or "demo-out"
PROMPT = os.environ.get("PROMPT") or "The captain looked at the sea and said"
QUESTIONS = [os.environ["QUESTION"]] if os.environ.get("QUESTION") else [
    "What is the capital of France? Answer in one sentence.",
    "Write a haiku about the sea."]
# SmolLM2 is ten times the embedded model: half the samples, and a part of the evaluation text.
SAMPLES, EVALUATED = ("64", ["--max-tokens", "8192"]) if CHAT else ("128", [])


class Whit:
    """The program; shows each command before it runs, and answers with its JSON document."""

    def __init__(self, program):
        self.program = program

    def json(self, *arguments):
        print("\n$ " + " ".join(["whit", *(quoted(a) for a in arguments)]), flush=True)
        run = subprocess.run([self.program, *arguments, "--json"], stdout=subprocess.PIPE)
        if run.returncode != 0:
            sys.exit(run.returncode)
        return json.loads(run.stdout)


def quoted(argument):
    return f'"{argument}"' if " " in argument else argument


def megabytes(count):
    return f"{count / 1e6:.1f} MB"


def print_table(before, after, loss):
    rows = [("", "before", "after"),
            ("size of the tensors", megabytes(before["bytes"]), megabytes(after["bytes"])),
            ("bits per weight", f"{before['bits_per_weight']:.2f}", f"{after['bits_per_weight']:.2f}"),
            ("perplexity", f"{loss['reference_perplexity']:.2f}", f"{loss['perplexity']:.2f}"),
            ("mean KL (nats)", "0", f"{loss['mean_kl_nats']:.4f}"),
            ("99 % KL (nats)", "0", f"{loss['p99_kl_nats']:.4f}"),
            ("same most likely token", "100 %", f"{100 * loss['top1_agreement']:.1f} %")]
    print()
    for name, left, right in rows:
        print(f"  {name:<24}{left:>12}{right:>12}")


def one_line(text):
    return " ".join(text.split())


def continuation(whit, model):
    return [PROMPT + whit.json("generate", model, "--prompt", PROMPT, "--max-new-tokens", "40")["text"]]


def answers(whit, model):
    texts = []
    for number, question in enumerate(QUESTIONS, 1):
        chat = pathlib.Path(OUT) / f"question-{number}.json"
        chat.write_text(json.dumps([{"role": "user", "content": question}]) + "\n")
        answer = whit.json("generate", model, "--messages", str(chat), "--max-new-tokens", "60")
        texts.append(f"{question} -> {answer['text']}")
    return texts


def main():
    whit = Whit(sys.argv[1])
    out = str(pathlib.Path(OUT) / (pathlib.Path(MODEL).name + "-int4"))
    pathlib.Path(OUT).mkdir(parents=True, exist_ok=True)
    started = time.monotonic()

    result = whit.json("quantize", MODEL, out, "--calibration", CALIBRATION,
                       "--num-calibration-samples", SAMPLES, "--max-sequence-length", "512", "--overwrite")
    for warning in result["warnings"]:
        print(f"  note: {warning}")
    before, after = whit.json("inspect", MODEL), whit.json("inspect", out)
    loss = whit.json("eval", out, "--text", EVALUATION, "--reference", MODEL, *EVALUATED)
    spoken = [answers(whit, model) if CHAT else continuation(whit, model) for model in (MODEL, out)]

    print_table(before, after, loss)
    print(f"\n  measured on {loss['tokens']} tokens of {EVALUATION};"
          f" everything took {time.monotonic() - started:.0f} s")
    for said in zip(*spoken):
        for name, text in zip(("before", "after"), said):
            print(f"\n  {name:>6}: {one_line(text)}")
    program = os.path.relpath(whit.program)
    print(f"""
Next:
  {program} inspect {out}
  {program} verify {out} --source {MODEL}
  {program} plan {MODEL} --bits 4 --calibration {CALIBRATION}
  {program} generate {out} --prompt "It was a dark night" --temperature 0.8
  {program} convert {out} {OUT}/bf16 --to bf16
  {program} --help""")


if __name__ == "__main__":
    main()
