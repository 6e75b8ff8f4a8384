"""tests/golden/vptq/package: linears that the vptq package packed; .../dequantized: what it makes of them in fp32.

    pip install torch safetensors accelerate transformers && pip install --no-deps vptq==0.0.5.post1
    python scripts/goldens/make_vptq_golden.py [OUT]
"""
import json
import pathlib
import sys

from safetensors.torch import save_file

ROOT = pathlib.Path(__file__).resolve().parent.parent.parent
sys.path.insert(0, str(ROOT / "scripts/conformance"))

from vptq_package import dequantized, pack_checkpoint, random_layers  # noqa: E402

# (v0, v), (C0, C), R, outliers, groups, norm.
KEPT = {"twelve_and_five": ((-1, 6), (-1, 4096), 32, 0, 1, True), "nine": ((-1, 4), (-1, 512), -1, 0, 1, False),
        "three_and_two_outliers": ((4, 2), (16, 8), 4, 4, 3, True), "seven_and_seven": ((-1, 3), (-1, 128), 128, 0, 2, True),
        "one": ((-1, 8), (-1, 2), -1, 0, 1, True)}
ABSORBED = {"sixteen": ((-1, 1), (-1, 65536), -1, 0, 1, False), "eleven_and_ten": ((-1, 8), (-1, 2048), 1024, 0, 1, True)}


def main():
    folder = pathlib.Path(sys.argv[1] if len(sys.argv) > 1 else ROOT / "tests/golden/vptq") / "package"
    for made in (folder, folder.parent / "dequantized"):
        made.mkdir(parents=True, exist_ok=True)
    tensors, entries = {}, {}
    for absorbed, widths in ((False, KEPT), (True, ABSORBED)):
        layers = random_layers({f"m.{name}": (26, 40) for name in widths}, list(widths.values()))
        made, config = pack_checkpoint(layers, absorbed)
        tensors.update(made)
        entries.update(config["config_for_layers"])
    plain = {module: dequantized(module, entry, tensors).contiguous() for module, entry in entries.items()}
    save_file(tensors, folder / "model.safetensors")
    save_file(plain, folder.parent / "dequantized/model.safetensors")
    config = {"quantization_config": {"quant_method": "vptq", "config_for_layers": entries}}
    (folder / "config.json").write_text(json.dumps(config, indent=1) + "\n")


main()
