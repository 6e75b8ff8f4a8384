"""Ranks of one job write what one process writes: the same checkpoint, the same measurements and scales."""
import os
import pathlib
import shutil
import signal
import subprocess
import sys
import time

sys.path.insert(0, str(pathlib.Path(__file__).parent / "support"))
import whit  # noqa: E402

ENVIRONMENT = {**os.environ, "OMPI_ALLOW_RUN_AS_ROOT": "1", "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM": "1",
               "OMPI_MCA_rmaps_base_oversubscribe": "1", "OMPI_MCA_btl_vader_single_copy_mechanism": "none",
               "OMPI_MCA_mpi_yield_when_idle": "1"}
# Three tiles of tokens, so that ranks have unlike shares of them.
JOB = ["--calibration", whit.CALIBRATION, "--num-calibration-samples", "22", "--max-sequence-length", "256",
       "--threads", "1"]


def start(ranks, *arguments, **options):
    return subprocess.Popen(["mpirun", "-n", str(ranks), whit.PROGRAM, *map(str, arguments)], env=ENVIRONMENT,
                            stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, **options)


def run(ranks, *arguments, code=0):
    process = start(ranks, *arguments)
    out, errors = process.communicate(timeout=600)
    whit.expect(process.returncode == code,
                f"{ranks} ranks of {arguments[0]}: exit {process.returncode}, expected {code}\n{errors}")
    return out, errors


def same_checkpoints():
    for name, words in {"gptq": ["--method", "gptq"],
                        "fp8": ["--method", "fp8", "--activations", "static", "--kv-cache", "fp8"]}.items():
        whit.run("quantize", whit.MODEL, f"{name}-1", *JOB, *words)
        for ranks in (1, 2, 4) if name == "gptq" else (2,):
            out, errors = run(ranks, "quantize", whit.MODEL, f"{name}-by-{ranks}", *JOB, *words)
            whit.expect(out.count("bits per weight") == 1, f"one rank prints the result, not\n{out}")
            whit.expect_same_bytes(whit.contents(f"{name}-1"), f"{name}-by-{ranks}", f"{name} by {ranks} ranks")
    weights = whit.run_json("verify", "gptq-by-2", "--source", whit.MODEL)
    whit.expect(weights["ok"], "the checkpoint of 2 ranks does not verify")


def same_calibration():
    words = ["-m", whit.MODEL, "-d", whit.CALIBRATION, "-b", "4", "-l", "12", "-t", "2", "-u", "--threads", "1"]
    whit.run("calibrate", *words, "-o", "calibrated")
    expected = whit.contents("calibrated")
    for ranks in (1, 2, 4):
        shutil.rmtree("calibrated")  # the configs hold the folder's path
        run(ranks, "calibrate", *words, "-o", "calibrated")
        whit.expect_same_bytes(expected, "calibrated", f"calibrate by {ranks} ranks")


def rank_process(launcher, rank):
    """The process of a rank, among the children of mpirun's process."""
    for task in pathlib.Path(f"/proc/{launcher}/task").iterdir():
        for child in (task / "children").read_text().split():
            if f"OMPI_COMM_WORLD_RANK={rank}" in pathlib.Path(f"/proc/{child}/environ").read_text().split("\0"):
                return int(child)
    whit.expect(False, f"mpirun has no process of rank {rank}")


def dies_and_resumes():
    expected = whit.contents("gptq-1")
    process = start(3, "quantize", whit.MODEL, "killed", *JOB)
    while process.poll() is None and len(list(pathlib.Path("killed").glob("*.safetensors"))) < 2:
        time.sleep(0.01)
    os.kill(rank_process(process.pid, 1), signal.SIGKILL)
    _, errors = process.communicate(timeout=120)
    whit.expect(process.returncode != 0, "a job whose rank was killed ended well")
    whit.expect("rank 1" in errors, f"the killed rank is not named:\n{errors}")
    whit.expect(not (pathlib.Path("killed") / "config.json").exists(), "what is left looks whole")
    run(2, "quantize", whit.MODEL, "killed", *JOB, "--resume")
    whit.expect_same_bytes(expected, "killed", "begun by 3 ranks, resumed by 2")


def errors_end_all():
    _, errors = run(2, "quantize", whit.MODEL, "gptq-1", *JOB, code=2)
    whit.expect("rank 0 of 2: gptq-1" in errors, f"no error of the root's:\n{errors}")
    _, errors = run(2, "eval", whit.MODEL, "--text", whit.EVALUATION, code=2)
    whit.expect("started on 2 ranks" in errors, f"eval on 2 ranks:\n{errors}")


def main():
    if shutil.which("mpirun") is None:
        print("SKIPPED: no mpirun here (Debian: openmpi-bin); ranks were not tested")
        sys.exit(77)
    if "MPI" not in whit.run("--version")[0]:
        print("SKIPPED: whit was built without MPI; ranks were not tested")
        sys.exit(77)
    same_checkpoints()
    same_calibration()
    dies_and_resumes()
    errors_end_all()


if __name__ == "__main__":
    main()
