"""kill -9 at any instant loses at most one layer's work: resumed runs write the same bytes."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402


def stop(out, after_shards, how, *flags):
    """Starts the job, sends `how` once so many shards are there; returns its exit code (negative: signal)."""
    process = whit.start("quantize", whit.MODEL, out, *whit.SMALL_JOB, *flags)
    while process.poll() is None and len(list(pathlib.Path(out).glob("*.safetensors"))) < after_shards:
        time.sleep(0.002)
    process.send_signal(how)
    return process.wait(timeout=300)


def main():
    whit.run("quantize", whit.MODEL, "whole", *whit.SMALL_JOB)
    expected = whit.contents("whole")
    whit.run("verify", "whole", "--source", whit.MODEL)
    shards = sum(name.endswith(".safetensors") for name in expected)
    whit.expect(shards >= 4, f"{shards} shards are too few to stop between them")

    # Killed again and again, each time a layer or two later, then left to finish.
    kills = range(0, shards, 2)
    for after in kills:
        code = stop("killed", after, signal.SIGKILL, "--resume")
        whit.expect(code == -signal.SIGKILL, f"not caught at work after {after} shards: exit {code}")
        whit.expect(not (pathlib.Path("killed") / "config.json").exists(),
                    "a killed run left a folder that looks whole")
    whit.run("quantize", whit.MODEL, "killed", *whit.SMALL_JOB, "--resume")
    whit.expect_same_bytes(expected, "killed", "after kill -9")

    # An orderly stop says so with its exit code, and goes on as well.
    for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = f"stopped-{code}"
        found = stop(out, 2, how)
        whit.expect(found == code, f"{how.name}: exit {found}, expected {code}")
        whit.run("quantize", whit.MODEL, out, *whit.SMALL_JOB, "--resume")
        whit.expect_same_bytes(expected, out, f"after {how.name}")

    # A job with other words does not go on with these bytes.
    stop("other", 2, signal.SIGKILL)
    whit.run("quantize", whit.MODEL, "other", *whit.SMALL_JOB, "--resume", "--bits", "8", code=2)
    # Neither is a finished folder overwritten without a word.
    whit.run("quantize", whit.MODEL, "whole", *whit.SMALL_JOB, code=2)
    whit.expect_same_bytes(expected, "whole", "after a refused run")
    print(f"{len(kills)} kills and 2 stops resumed to the same bytes")


if __name__ == "__main__":
    main()
