"""kill -9 at any instant loses at most one layer's work: resumed runs write the same bytes."""
import pathlib
import signal
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402


def stop(out, after_seconds, how, *flags):
    """Starts the job, sends `how` after so many seconds; returns its exit code (negative: signal)."""
    process = whit.start("quantize", whit.MODEL, out, *whit.SMALL_JOB, *flags)
    time.sleep(after_seconds)
    process.send_signal(how)
    return process.wait(timeout=120)


def main():
    started = time.monotonic()
    whit.run("quantize", whit.MODEL, "whole", *whit.SMALL_JOB)
    seconds = time.monotonic() - started
    expected = whit.contents("whole")
    whit.run("verify", "whole", "--source", whit.MODEL)

    # Killed again and again, each time a little later, then left to finish.
    interrupted = 0
    for share in (0.02, 0.2, 0.4, 0.6, 0.8):
        code = stop("killed", share * seconds, signal.SIGKILL, "--resume")
        if code != -signal.SIGKILL:
            break  # it was faster than the clock said
        interrupted += 1
        whit.expect(not (pathlib.Path("killed") / "config.json").exists(),
                    "a killed run left a folder that looks whole")
    whit.expect(interrupted >= 2, "no run was caught at work")
    whit.run("quantize", whit.MODEL, "killed", *whit.SMALL_JOB, "--resume")
    whit.expect_same_bytes(expected, "killed", "after kill -9")

    # An orderly stop says so with its exit code, and goes on as well.
    for how, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        out = f"stopped-{code}"
        found = stop(out, 0.4 * seconds, how)
        whit.expect(found == code, f"{how.name}: exit {found}, expected {code}")
        whit.run("quantize", whit.MODEL, out, *whit.SMALL_JOB, "--resume")
        whit.expect_same_bytes(expected, out, f"after {how.name}")

    # A job with other words does not go on with these bytes.
    stop("other", 0.5 * seconds, signal.SIGKILL)
    whit.run("quantize", whit.MODEL, "other", *whit.SMALL_JOB, "--resume", "--bits", "8", code=2)
    # Neither is a finished folder overwritten without a word.
    whit.run("quantize", whit.MODEL, "whole", *whit.SMALL_JOB, code=2)
    whit.expect_same_bytes(expected, "whole", "after a refused run")
    print(f"{interrupted} kills and 2 stops resumed to the same bytes; a whole run takes {seconds:.1f} s")


if __name__ == "__main__":
    main()
