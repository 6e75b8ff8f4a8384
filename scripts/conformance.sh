#!/usr/bin/env bash
# conformance.sh WHIT: what whit writes, read by the packages that others use. Installs the pinned
# packages of scripts/conformance/requirements.txt into build-conformance/venv (some gigabytes), or
# uses the interpreter in $PYTHON. Work lies in build-conformance/. A comparison that fails does not
# stop the others; the last line names those that failed.
set -euo pipefail
cd "$(dirname "$0")/.."
whit=$(realpath "$1")
work=build-conformance
mkdir -p "$work"
# No bars, and nothing asked of a hub: every model here is a folder.
export TQDM_DISABLE=1 HF_HUB_OFFLINE=1 HF_HUB_DISABLE_PROGRESS_BARS=1 TRANSFORMERS_VERBOSITY=error

python=${PYTHON-}
if [ -z "$python" ]; then
  python=$work/venv/bin/python
  if [ ! -e "$work/venv/ready" ]; then
    python3 -m venv --clear "$work/venv"
    "$work/venv/bin/pip" install --quiet -r scripts/conformance/requirements.txt
    touch "$work/venv/ready"
  fi
fi

failed=()
# compare WHAT SCRIPT ARGUMENT...
compare() {
  local what=$1 script=$2
  shift 2
  printf '== %s\n' "$what"
  "$python" "scripts/conformance/$script" "$@" || failed+=("$what")
}

quantize() {
  local name=$1
  shift
  "$whit" quantize demo/moe-15m "$work/$name" --calibration demo/text/calibration.jsonl \
    --num-calibration-samples 32 --max-sequence-length 256 --overwrite --quiet "$@" >/dev/null
}

quantize all-linears
quantize only-experts --quantize-only-experts
quantize asymmetric --asym
quantize int8-channel --bits 8 --group-size channel --method rtn
compare 'every linear, symmetric' transformers_load.py "$whit" "$work/all-linears"
compare 'routed experts only' transformers_load.py "$whit" "$work/only-experts"
compare 'packed weights, both ways' formats.py "$whit" "$work/all-linears" "$work/only-experts" \
  "$work/asymmetric" "$work/int8-channel"
# VPTQ's dependencies are for its own quantizer and for CUDA; reading needs torch alone.
"$python" -m pip show --quiet vptq 2>/dev/null || "$python" -m pip install --quiet --no-deps vptq==0.0.5.post1
compare 'VPTQ checkpoints and the vptq package' vptq_files.py "$whit" "$work"
compare "Hessian files of VPTQ's collector" vptq_hessians.py "$whit" "$work"
compare 'random tiny checkpoints of every architecture' random_architectures.py "$whit"
compare 'tiny models of every architecture, quantized' tiny_models_load.py "$whit"

# Whole tokenizers and real templates are not in the repository; each script says what it leaves out.
shared=../shared/tokenizers

compare 'golden files, made anew' goldens.py

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
compare tokenizers tokenizers_compare.py "$whit" "${tokenizers[@]}" "${ranks[@]}" \
  --text demo/text/calibration.jsonl

# PANDAS_PYTHONS: interpreters with other versions of pandas, which write pickles too.
read -ra pandas <<<"${PANDAS_PYTHONS-}"
compare datasets data.py "$whit" "$work/data" "${pandas[@]}"
compare 'chat templates' templates.py "$whit"
compare 'chats of calibration data' chats.py "$whit" "$work/chats"
compare 'calibration files of Intel Neural Compressor' inc_files.py "$whit" "$work/inc"
compare 'FP8 checkpoints' fp8_checkpoints.py "$whit" "$work/fp8"

if [ ${#failed[@]} -gt 0 ]; then
  printf 'FAILED: %s\n' "$(IFS=';'; echo "${failed[*]}")"
  exit 1
fi
echo 'all comparisons hold'
