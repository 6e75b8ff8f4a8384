"""The output's bytes depend on inputs and options alone: not on threads, memory, or where activations lie."""
import pathlib
import sys

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402


def main():
    whit.run("quantize", whit.MODEL, "threads-1", *whit.SMALL_JOB, "--threads", "1")
    expected = whit.contents("threads-1")
    whit.expect("config.json" in expected, "no config.json")
    plan = whit.run_json("plan", whit.MODEL, "planned", *whit.SMALL_JOB)
    whit.expect(not pathlib.Path("planned").exists(), "plan wrote something")
    variants = {"threads-2": ["--threads", "2"], "threads-7": ["--threads", "7"],
                "offloaded": ["--offload-activations"],
                "less-memory": ["--max-memory", str(int(plan["peak_memory_bytes"] * 0.93))]}
    for name, flags in variants.items():
        whit.run("quantize", whit.MODEL, name, *whit.SMALL_JOB, *flags)
        whit.expect_same_bytes(expected, name, name)
    whit.run("quantize", whit.MODEL, "too-little", *whit.SMALL_JOB, "--max-memory", "1MiB", code=5)


if __name__ == "__main__":
    main()
