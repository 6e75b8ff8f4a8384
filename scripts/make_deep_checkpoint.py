"""Writes a DeepSeek-V3 checkpoint with its mixture-of-experts layers repeated, to show that memory does not grow with depth.

    python3 make_deep_checkpoint.py SOURCE OUT --times 10

Layer 0 (dense) stays; the others are repeated in order until there are TIMES as many layers; the MTP layer follows.
Only the standard library is used; one shard a layer, read and written one tensor at a time.
"""
import argparse
import json
import pathlib
import re
import struct

LAYER = re.compile(r"model\.layers\.(\d+)\.(.*)")


def read_headers(folder: pathlib.Path) -> dict:
    """name -> (file, header entry, offset of the data)."""
    tensors = {}
    for path in sorted(folder.glob("*.safetensors")):
        with path.open("rb") as file:
            size = struct.unpack("<Q", file.read(8))[0]
            header = json.loads(file.read(size))
        for name, entry in header.items():
            if name != "__metadata__":
                tensors[name] = (path, entry, 8 + size)
    return tensors


def write_shard(path: pathlib.Path, named: list) -> None:
    """named: (new name, (file, entry, base)) in order."""
    header, offset = {"__metadata__": {"format": "pt"}}, 0
    for name, (_, entry, _) in named:
        size = entry["data_offsets"][1] - entry["data_offsets"][0]
        header[name] = {"dtype": entry["dtype"], "shape": entry["shape"], "data_offsets": [offset, offset + size]}
        offset += size
    text = json.dumps(header).encode()
    text += b" " * (-len(text) % 8)
    with path.open("wb") as out:
        out.write(struct.pack("<Q", len(text)) + text)
        for _, (source, entry, base) in named:
            with source.open("rb") as file:
                file.seek(base + entry["data_offsets"][0])
                out.write(file.read(entry["data_offsets"][1] - entry["data_offsets"][0]))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--times", type=int, default=10)
    args = parser.parse_args()
    config = json.loads((args.source / "config.json").read_text())
    layers = config["num_hidden_layers"]
    depth = layers * args.times
    origin = [0] + [1 + i % (layers - 1) for i in range(depth - 1)] + [layers]  # the last: MTP
    tensors = read_headers(args.source)
    by_layer: dict[int, list] = {}
    outside = []
    for name in tensors:
        match = LAYER.fullmatch(name)
        if match:
            by_layer.setdefault(int(match[1]), []).append(match[2])
        else:
            outside.append(name)
    args.out.mkdir(parents=True, exist_ok=True)
    shards = [[(name, tensors[name]) for name in outside]]
    for new, old in enumerate(origin):
        shards.append([(f"model.layers.{new}.{rest}", tensors[f"model.layers.{old}.{rest}"])
                       for rest in by_layer.get(old, [])])
    weight_map, total = {}, 0
    for i, named in enumerate(shards):
        file = f"model-{i + 1:05}-of-{len(shards):05}.safetensors"
        write_shard(args.out / file, named)
        for name, (_, entry, _) in named:
            weight_map[name] = file
            total += entry["data_offsets"][1] - entry["data_offsets"][0]
    index = {"metadata": {"total_size": total}, "weight_map": weight_map}
    (args.out / "model.safetensors.index.json").write_text(json.dumps(index))
    config["num_hidden_layers"] = depth
    (args.out / "config.json").write_text(json.dumps(config, indent=2))
    for path in args.source.iterdir():
        if path.name.startswith("tokenizer") or path.name == "generation_config.json":
            (args.out / path.name).write_bytes(path.read_bytes())
    print(f"{args.out}: {depth} layers, {total} bytes")


if __name__ == "__main__":
    main()
