"""k-means by torch's brute force beside whit's, on the same vectors and cores.

    python kmeans_torch.py WHIT [--vectors 1000000] [--length 8] [--centroids 65536] [--passes 3] [--threads 2] [--device cuda]

torch assigns by argmin of |c|² / 2 - x c in blocks that fit its caches, the fastest of the block sizes tried on a part
of the vectors, and takes means with index_add_. Both start from the first vectors and do the same passes; the table
gives seconds and inertia (in double precision) of each. Exits 1 where the inertia differs by more than 1e-6.
"""
import argparse
import json
import pathlib
import subprocess
import sys
import tempfile
import time

import torch


def assign(x, centroids, block):
    half = centroids.square().sum(1) / 2
    labels = torch.empty(len(x), dtype=torch.int64, device=x.device)
    for i in range(0, len(x), block):
        labels[i:i + block] = torch.addmm(half, x[i:i + block], centroids.T, alpha=-1).argmin(1)
    return labels


def inertia(x, centroids, labels):
    return sum((x[i:i + 65536].double() - centroids[labels[i:i + 65536]].double()).square().sum().item()
               for i in range(0, len(x), 65536))


def main():
    parser = argparse.ArgumentParser()
    parser.add_argument("whit")
    for name, value in (("vectors", 1_000_000), ("length", 8), ("centroids", 65536), ("passes", 3), ("threads", 2)):
        parser.add_argument(f"--{name}", type=int, default=value)
    parser.add_argument("--device", default="cpu")
    args = parser.parse_args()
    torch.set_num_threads(args.threads)
    x = torch.randn(args.vectors, args.length, generator=torch.Generator().manual_seed(1))
    centroids = x[:args.centroids].to(args.device)
    there = x.to(args.device)
    gpu = args.device != "cpu"

    def clock():
        if gpu:
            torch.cuda.synchronize()
        return time.perf_counter()

    best = None
    for block in ((4096, 16384, 65536) if gpu else (16, 64, 256, 1024)):
        assign(there[:2048], centroids, block)
        begin = clock()
        assign(there[:131072 if gpu else 2048], centroids, block)
        took = clock() - begin
        best = min(best or (took, block), (took, block))
    block, seconds, sums = best[1], [], []
    begin = clock()
    for i in range(args.passes):
        if i > 0:
            total = torch.zeros_like(centroids).index_add_(0, labels, there)
            count = torch.bincount(labels, minlength=args.centroids)
            centroids = torch.where(count[:, None] > 0, total / count.clamp(min=1)[:, None], centroids)
        start = clock()
        labels = assign(there, centroids, block)
        seconds.append(clock() - start)
        sums.append(inertia(there, centroids, labels))
    whole = clock() - begin
    with tempfile.TemporaryDirectory() as folder:
        data = pathlib.Path(folder) / "x.bin"
        x.numpy().astype("<f4").tofile(data)
        output = subprocess.run(
            [args.whit, "bench", "kmeans", "--data", data, "--vectors", str(args.vectors), "--vector-length",
             str(args.length), "--centroids", str(args.centroids), "--passes", str(args.passes), "--threads",
             str(args.threads), "--device", args.device, "--json", "--quiet"], check=True, capture_output=True, text=True).stdout
    rows = {row["name"]: row for row in json.loads(output)["rows"]}
    print(f"{args.vectors} vectors of {args.length}, {args.centroids} centroids, {args.threads} threads, torch blocks of "
          f"{block}")
    print(f"{'':16}{'torch s':>10}{'whit s':>10}{'times':>8}{'torch inertia':>20}{'whit inertia':>20}")
    good = True
    for i in range(args.passes):
        row = rows[f"assignment {i + 1}"]
        ours = float(row["note"].split()[1])
        good = good and abs(ours - sums[i]) <= 1e-6 * sums[i]
        print(f"assignment {i + 1:<5}{seconds[i]:>10.2f}{row['seconds']:>10.2f}{seconds[i] / row['seconds']:>8.1f}"
              f"{sums[i]:>20.6f}{ours:>20.6f}")
    print(f"{'whole':16}{whole:>10.2f}{rows['whole']['seconds']:>10.2f}{whole / rows['whole']['seconds']:>8.1f}")
    sys.exit(0 if good else 1)


main()
