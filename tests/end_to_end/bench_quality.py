"""`whit bench quality` on the embedded model: its rows are what quantize and eval say, its page is well
formed, a row that fails leaves the others, and an interrupted run leaves no folder."""
import pathlib
import signal
import subprocess
import sys
import time
import xml.etree.ElementTree as ElementTree

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402

CALIBRATION = ["--calibration", whit.CALIBRATION, "--num-calibration-samples", "4", "--max-sequence-length", "64"]
FEW = ["--max-tokens", "512", "--window", "128"]
ONLY = ["--targets", "re:.*layers\\.[01]\\..*self_attn.*"]


def rows_are_what_the_verbs_say():
    other = pathlib.Path("other.txt")
    other.write_text(pathlib.Path(whit.EVALUATION).read_text()[20000:60000])
    table = whit.run_json("bench", "quality", whit.MODEL, *CALIBRATION, *ONLY, *FEW, "--text", whit.EVALUATION,
                          "--text", other, "--bits", "4,3", "--rows", "rtn,fast,best,refit+descent",
                          "--html", "page.html", "--work", "work")
    assert table["complete"] and len(table["rows"]) == 8 and len(table["texts"]) == 2
    assert not pathlib.Path("work").exists(), "the work folder was made for the run"
    for row in table["rows"]:
        assert row["seconds"] > 0 and row["peak_memory_bytes"] > 1 << 20
        for score in row["texts"]:
            assert score["mean_kl_nats"] > 0 and score["mean_kl_standard_error_nats"] > 0
            assert 0 < score["top1_agreement"] <= 1
            if row["name"] == "fast":
                assert score["relative_kl"] == 1
    row = next(r for r in table["rows"] if r["name"] == "refit+descent" and r["bits"] == 3)
    # The group's 128 codes of 3 bits, as many as fill words, and a BF16 scale.
    assert 3.125 <= row["bits_per_quantized_weight"] < 3.5, row["bits_per_quantized_weight"]

    quantized = whit.run_json("quantize", whit.MODEL, "out", *CALIBRATION, *ONLY, *row["flags"].split(), "--bits", 3)
    judged = whit.run_json("eval", "out", "--reference", whit.MODEL, *FEW, "--text", whit.EVALUATION)
    for name in ("mean_kl_nats", "mean_kl_standard_error_nats", "p99_kl_nats", "perplexity", "top1_agreement",
                 "reference_perplexity"):
        assert row["texts"][0][name] == judged[name], f"{name}: {row['texts'][0][name]} and {judged[name]}"
    assert row["bits_per_weight"] == quantized["bits_per_weight"] == judged["bits_per_weight"]


def the_page_is_well_formed():
    page = pathlib.Path("page.html").read_text()
    root = ElementTree.fromstring(page.split("\n", 1)[1])
    assert len(list(root.iter("svg"))) == 2 * 2 * 2, "bars and points for two texts with two numbers of bits"
    assert len(list(root.iter("rect"))) == 4 * 4
    for element in root.iter():
        assert not {"href", "src", "action"} & set(element.attrib), element.attrib
    assert "http" not in page and "url(" not in page


def a_row_that_fails_leaves_the_others():
    # 4 sequences fit no text so short; plain rounding reads none.
    pathlib.Path("short.jsonl").write_text('{"text": "a"}\n')
    table = whit.run_json("bench", "quality", whit.MODEL, "--calibration", "short.jsonl", *ONLY, *FEW, "--text",
                          whit.EVALUATION, "--rows", "fast,rtn", "--work", "work", "--keep", code=3)
    fast, rtn = table["rows"]
    assert fast["error"]["exit_code"] == 3 and "short.jsonl" in fast["error"]["subject"], fast
    assert rtn["texts"][0]["mean_kl_nats"] > 0 and rtn["texts"][0]["relative_kl"] is None
    assert sorted(p.name for p in pathlib.Path("work").iterdir()) == ["rtn-4bit"], "kept, and nothing half-written"
    whit.run("verify", "work/rtn-4bit", "--source", whit.MODEL)
    _, refused = whit.run("bench", "quality", whit.MODEL, *ONLY, *FEW, "--text", whit.EVALUATION, "--rows", "rtn",
                          "--work", "work", code=2)
    assert "rtn-4bit: exists" in refused, refused


def an_interrupted_run_leaves_nothing_half_written():
    process = subprocess.Popen([whit.PROGRAM, "bench", "quality", whit.MODEL, *whit.SMALL_JOB, *FEW, "--text",
                                whit.EVALUATION, "--rows", "rtn,best,fast", "--work", "cut", "--json"],
                               stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and len(list(pathlib.Path("cut/best-4bit").glob("*.safetensors"))) < 2:
        time.sleep(0.01)
    process.send_signal(signal.SIGINT)
    out, err = process.communicate()
    assert process.returncode == 130, f"{process.returncode}: {err}"
    table = whit.json.loads(out)
    assert not table["complete"]
    assert table["rows"][0]["texts"][0]["mean_kl_nats"] > 0, "what was measured is told"
    for row in table["rows"][1:]:
        assert row["error"]["exit_code"] == 130, row
    assert not pathlib.Path("cut").exists(), "nothing is left"


def main():
    rows_are_what_the_verbs_say()
    the_page_is_well_formed()
    a_row_that_fails_leaves_the_others()
    an_interrupted_run_leaves_nothing_half_written()


if __name__ == "__main__":
    main()
