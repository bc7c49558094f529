#!/usr/bin/env bash
# vLLM 0.33.0 multiplies a size as a float and cuts the rest off: --max-num-batched-tokens 4.1m is 4099999,
# and 8.19k is 8189 where 8190 is meant. SGLang 0.5.23 computes the same with decimals.
# Seen: 4.1m: 4099999, 8.19k: 8189, 8.2k: 8200
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.33.0
python3 - <<'PY'
import argparse
import ast
import glob
import re
import zipfile

path, name = "vllm/utils/argparse_utils.py", "human_readable_int"
with zipfile.ZipFile(glob.glob("vllm-*.whl")[0]) as wheel:
    tree = ast.parse(wheel.read(path))
node = next(n for n in tree.body if getattr(n, "name", "") == name)
scope = {"re": re, "argparse": argparse}
exec(compile(ast.Module([node], []), path, "exec"), scope)
found = {text: scope[name](text) for text in ("4.1m", "8.19k", "8.2k")}
print(", ".join(f"{text}: {number}" for text, number in found.items()))
raise SystemExit(found != {"4.1m": 4099999, "8.19k": 8189, "8.2k": 8200})
PY
