#!/usr/bin/env bash
# conformance.sh WHIT: what whit writes, read by the packages that others use. Installs the pinned
# packages of scripts/conformance/requirements.txt into build-conformance/venv (some gigabytes), or
# uses the interpreter in $PYTHON. Work lies in build-conformance/.
set -euo pipefail
cd "$(dirname "$0")/.."
whit=$(realpath "$1")
work=build-conformance
mkdir -p "$work"

python=${PYTHON-}
if [ -z "$python" ]; then
  python=$work/venv/bin/python
  if [ ! -e "$work/venv/ready" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet -r scripts/conformance/requirements.txt
    touch "$work/venv/ready"
  fi
fi

quantize() {
  local name=$1
  shift
  "$whit" quantize demo/moe-15m "$work/$name" --calibration demo/text/calibration.jsonl \
    --num-calibration-samples 32 --max-sequence-length 256 --overwrite --quiet "$@" >/dev/null
}

printf '== every linear, symmetric\n'
quantize all-linears
"$python" scripts/conformance/transformers_load.py "$whit" "$work/all-linears"

printf '== routed experts only\n'
quantize only-experts --quantize-only-experts
"$python" scripts/conformance/transformers_load.py "$whit" "$work/only-experts"

printf '== packed weights, both ways\n'
quantize asymmetric --asym
quantize int8-channel --bits 8 --group-size channel --method rtn
"$python" scripts/conformance/formats.py "$whit" "$work/all-linears" "$work/only-experts" \
  "$work/asymmetric" "$work/int8-channel"

printf '== random tiny checkpoints of every architecture\n'
"$python" scripts/conformance/random_architectures.py "$whit"

printf '== tiny models of every architecture, quantized\n'
"$python" scripts/conformance/tiny_models_load.py "$whit"

# Whole tokenizers and real templates are not in the repository; each script says what it leaves out.
shared=../shared/tokenizers

printf '== golden files of text, jinja and data, made anew\n'
"$python" scripts/conformance/goldens.py

printf '== tokenizers\n'
ranks=()
tokenizers=(demo/moe-15m/tokenizer.json tests/golden/text/tiny.model)
if [ -d "$shared" ]; then
  for name in deepseek_v3 falcon gpt2 llama2/tokenizer.model llama3 mistral qwen2 qwen3 starcoder2; do
    tokenizers+=("$shared/$name")
  done
  ranks=(--ranks "$shared/qwen2/tokenizer.json")
else
  printf 'LEFT OUT: no %s\n' "$shared"
fi
"$python" scripts/conformance/tokenizers_compare.py "$whit" "${tokenizers[@]}" "${ranks[@]}" --text demo/text/calibration.jsonl

printf '== datasets\n'
# PANDAS_PYTHONS: interpreters with other versions of pandas, which write pickles too.
read -ra pandas <<<"${PANDAS_PYTHONS-}"
"$python" scripts/conformance/data.py "$whit" "$work/data" "${pandas[@]}"

printf '== chat templates\n'
"$python" scripts/conformance/templates.py "$whit"

printf '== chats of calibration data\n'
"$python" scripts/conformance/chats.py "$whit" "$work/chats"

printf '== calibration files of Intel Neural Compressor\n'
"$python" scripts/conformance/inc_files.py "$whit" "$work/inc"

printf '== FP8 checkpoints\n'
"$python" scripts/conformance/fp8_checkpoints.py "$whit" "$work/fp8"
