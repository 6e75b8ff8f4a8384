#!/usr/bin/env bash
# run_end_to_end.sh SCRIPT FOLDER: runs SCRIPT (.sh or .py) in FOLDER, which is emptied first.
set -euo pipefail
script=$1
folder=$2
rm -rf -- "$folder"
mkdir -p -- "$folder"
cd -- "$folder"
case $script in
  *.py) exec python3 "$script" ;;
  *) exec bash "$script" ;;
esac
