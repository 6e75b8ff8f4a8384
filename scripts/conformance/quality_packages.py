"""One of the field's packages quantizes a model, on a CPU if not told else, for scripts/quality_table.py.

    python quality_packages.py PACKAGE MODEL OUT --ids FILE.jsonl --bits 4 --group-size 128 --result FILE.json

PACKAGE is llm-compressor, gptqmodel or auto-round; it and torch come from the interpreter that runs this. MODEL is a
plain checkpoint (BF16 or F32), computed in float32; FILE.jsonl holds a row of input_ids a line, all of one length. Every
package keeps its own defaults but for what the task fixes: symmetric integers of --bits in groups, every linear of
attention, MLP and experts, not router, embedding, head. FILE.json receives {"version", "torch", "transformers",
"settings", "seconds", "peak_memory_bytes", "bits_per_quantized_weight", "judged"}; "judged" is a folder that whit reads:
OUT itself where the package writes compressed-tensors, else OUT decoded to F32.
"""
import argparse
import importlib.metadata
import json
import os
import pathlib
import re
import resource
import shutil
import time

import torch
from safetensors import safe_open
from safetensors.torch import save_file


def read_ids(path):
    with open(path) as lines:
        return [json.loads(line)["input_ids"] for line in lines]


def loader(ids):
    rows = [{"input_ids": torch.tensor([row]), "attention_mask": torch.ones(1, len(row), dtype=torch.long)} for row in ids]
    return torch.utils.data.DataLoader(rows, batch_size=None, shuffle=False)


def llm_compressor(args, ids):
    from llmcompressor import oneshot
    from llmcompressor.modeling.moe.linearize import load_quantizable_moe
    from llmcompressor.modifiers.gptq import GPTQModifier
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = source_of(args, len(ids[0]))
    with load_quantizable_moe():
        model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    weights = {"num_bits": args.bits, "type": "int", "symmetric": True, "strategy": "group", "group_size": args.group_size}
    recipe = GPTQModifier(config_groups={"group_0": {"targets": ["Linear"], "weights": weights}},
                          ignore=["lm_head", "re:.*mlp.gate$"], actorder="static")
    start = time.monotonic()
    oneshot(model=model, processor=AutoTokenizer.from_pretrained(source), recipe=recipe, dataset=loader(ids), num_calibration_samples=len(ids),
            max_seq_length=len(ids[0]), batch_size=1)
    seconds = time.monotonic() - start
    model.save_pretrained(args.out, save_compressed=True)
    return "llmcompressor", f"GPTQ, actorder static, damping {recipe.dampening_frac:g}", seconds, args.out


def gptqmodel(args, ids):
    from gptqmodel import GPTQModel, QuantizeConfig

    config = QuantizeConfig(bits=args.bits, group_size=args.group_size, sym=True)
    model = GPTQModel.load(str(source_of(args, len(ids[0]))), config, device=args.device, dtype=torch.float32)
    start = time.monotonic()
    model.quantize([{"input_ids": row, "attention_mask": [1] * len(row)} for row in ids], batch_size=1)
    seconds = time.monotonic() - start
    model.save(str(args.out))
    settings = f"GPTQ, desc_act {config.desc_act}, act_group_aware {config.act_group_aware}, damping {config.damp_percent:g}"
    return "gptqmodel", settings, seconds, decode_gptq(args.out, args.out / "f32", args.bits, args.group_size)


def auto_round(args, ids):
    from auto_round import AutoRound
    from transformers import AutoModelForCausalLM, AutoTokenizer

    source = source_of(args, len(ids[0]))
    model = AutoModelForCausalLM.from_pretrained(source, dtype=torch.float32)
    scheme = {"bits": args.bits, "group_size": args.group_size, "sym": True, "data_type": "int", "act_bits": 16}
    rounder = AutoRound(model, tokenizer=AutoTokenizer.from_pretrained(source), scheme=scheme, dataset=loader(ids),
                        nsamples=len(ids), seqlen=len(ids[0]), device_map=args.device, enable_torch_compile=False)
    start = time.monotonic()
    rounder.quantize_and_save(output_dir=str(args.out), format="auto_gptq")
    seconds = time.monotonic() - start
    written = next(path.parent for path in sorted(args.out.rglob("config.json")))
    return "auto-round", "SignRound, its defaults", seconds, decode_gptq(written, args.out / "f32", args.bits, args.group_size)


def source_of(args, length):
    """The model's folder, or a copy that packages can load. A model without tokenizer files gets one of single characters:
    packages load one, ids are what they calibrate on. A config of fewer positions than the ids have gets as many, since
    AutoRound would cut the ids."""
    config = json.loads((args.model / "config.json").read_text())
    lacks_tokenizer = not any((args.model / name).exists() for name in ("tokenizer.json", "tokenizer.model"))
    lacks_positions = config.get("max_position_embeddings", length) < length
    if not lacks_tokenizer and not lacks_positions:
        return args.model
    folder = args.out.with_name(args.out.name + "-source")
    shutil.rmtree(folder, ignore_errors=True)
    shutil.copytree(args.model, folder)
    if lacks_positions:
        config["max_position_embeddings"] = length
        (folder / "config.json").write_text(json.dumps(config, indent=1))
    if lacks_tokenizer:
        write_tokenizer(folder, config["vocab_size"])
    return folder


def write_tokenizer(folder, size):
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast

    vocabulary = {f"<{i}>": i for i in range(size)}
    tokenizer = Tokenizer(models.WordLevel(vocabulary, unk_token="<0>"))
    PreTrainedTokenizerFast(tokenizer_object=tokenizer, bos_token="<1>", eos_token="<2>",
                            pad_token="<2>").save_pretrained(folder)


# ---- what packages wrote, for whit ---------------------------------------------------------------------------------------
def tensors_of(folder):
    tensors = {}
    for shard in sorted(folder.glob("*.safetensors")):
        with safe_open(shard, "pt") as file:
            for name in file.keys():
                tensors[name] = file.get_tensor(name)
    return tensors


def unpack(words, bits):
    """int32 [words, columns], a stream of `bits`-bit values down each column, lowest bits first -> int64 [values, columns]."""
    words = words.to(torch.int64) & 0xFFFFFFFF
    planes = torch.stack([(words >> bit) & 1 for bit in range(32)], dim=1).reshape(-1, words.shape[1])
    values = planes.shape[0] // bits
    planes = planes[:values * bits].reshape(values, bits, words.shape[1])
    return sum(planes[:, bit] << bit for bit in range(bits))


def decode_gptq(folder, out, bits, group_size):
    """GPTQ's tensors (qweight, qzeros, scales, g_idx) as F32 weights: (code - zero) * scale."""
    config = json.loads((folder / "config.json").read_text())
    quantization = config.pop("quantization_config")
    # The first version of the format stores zero points less one.
    offset = 0 if quantization.get("checkpoint_format") == "gptq_v2" else 1
    tensors, plain = tensors_of(folder), {}
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part == "qweight":
            codes = unpack(tensor, bits)
            zeros = unpack(tensors[f"{module}.qzeros"].T.contiguous(), bits).T + offset
            groups = tensors.get(f"{module}.g_idx")
            groups = torch.arange(codes.shape[0]) // group_size if groups is None else groups.long()
            scales = tensors[f"{module}.scales"].float()
            plain[f"{module}.weight"] = ((codes - zeros[groups]).float() * scales[groups]).T.contiguous()
        elif f"{module}.qweight" not in tensors:
            plain[name] = tensor.float() if tensor.is_floating_point() else tensor
    out.mkdir(parents=True, exist_ok=True)
    save_file(plain, out / "model.safetensors", {"format": "pt"})
    config["torch_dtype"] = config["dtype"] = "float32"
    (out / "config.json").write_text(json.dumps(config, indent=1))
    return out


def bits_per_quantized_weight(folder, judged, bits):
    """Codes, scales and zero points of a package's own files over the weights that they stand for. Zero points of a
    symmetric format say nothing, but are bytes of the file where it has them."""
    stored, elements = 0, 0
    tensors = tensors_of(folder)
    for name, tensor in tensors.items():
        module, _, part = name.rpartition(".")
        if part in ("qweight", "weight_packed"):
            for companion in ("qweight", "weight_packed", "qzeros", "weight_zero_point", "scales", "weight_scale"):
                found = tensors.get(f"{module}.{companion}")
                stored += 0 if found is None else found.numel() * found.element_size() * 8
            shape = tensors.get(f"{module}.weight_shape")
            elements += int(shape.prod()) if shape is not None else tensor.numel() * 32 // bits
    return stored / elements if elements else None


def leave_out_prediction_layers(folder):
    """transformers drops the layers that predict further tokens; a config that still counts them is wrong of the files."""
    config = json.loads((folder / "config.json").read_text())
    if not config.get("num_nextn_predict_layers"):
        return
    first = config["num_hidden_layers"]
    if not any(re.match(rf"model\.layers\.{first}\.", name) for name in tensors_of(folder)):
        config["num_nextn_predict_layers"] = 0
        (folder / "config.json").write_text(json.dumps(config, indent=1))


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    packages = {"llm-compressor": llm_compressor, "gptqmodel": gptqmodel, "auto-round": auto_round}
    parser.add_argument("package", choices=packages)
    parser.add_argument("model", type=pathlib.Path)
    parser.add_argument("out", type=pathlib.Path)
    parser.add_argument("--ids", type=pathlib.Path, required=True)
    parser.add_argument("--samples", type=int, default=0, help="only the first so many rows")
    parser.add_argument("--bits", type=int, default=4)
    parser.add_argument("--group-size", type=int, default=128)
    parser.add_argument("--threads", type=int, default=0)
    parser.add_argument("--device", default="cpu", help="cpu or cuda, for gptqmodel and auto-round")
    parser.add_argument("--result", type=pathlib.Path, required=True)
    args = parser.parse_args()
    if args.threads:
        torch.set_num_threads(args.threads)
    if args.device == "cpu":
        os.environ["CUDA_VISIBLE_DEVICES"] = ""  # GPTQModel takes a GPU that it sees, whatever device it is told
    torch.manual_seed(0)
    ids = read_ids(args.ids)
    ids = ids[:args.samples] if args.samples else ids
    name, settings, seconds, judged = packages[args.package](args, ids)
    settings += f", on {args.device}" if args.device != "cpu" else ""
    leave_out_prediction_layers(judged)
    written = judged.parent if judged.name == "f32" else judged
    if not list(written.glob("*.safetensors")):
        written = next(path.parent for path in written.rglob("*.safetensors") if path.parent != judged)
    result = {"version": importlib.metadata.version(name), "torch": torch.__version__,
              "transformers": importlib.metadata.version("transformers"), "settings": settings, "seconds": seconds,
              "peak_memory_bytes": resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024,
              "bits_per_quantized_weight": bits_per_quantized_weight(written, judged, args.bits), "judged": str(judged)}
    args.result.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
