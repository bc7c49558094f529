#!/usr/bin/env bash
# The same text is another number for the other engine: 2M is 2097152 for vLLM 0.33.0 (capitals count by
# 1024) and 2000000 for SGLang 0.5.23 (capitals count by 1000, 2Mi by 1024). vLLM refuses 2Mi, SGLang 2K.
# Seen: 2M: 2097152 and 2000000 / 2K: 2048 and refused / 2Mi: refused and 2097152
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.33.0
python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 \
  --implementation cp --abi cp312 --platform manylinux_2_34_x86_64 sglang==0.5.23
python3 - <<'PY'
import argparse
import ast
import decimal
import glob
import re
import zipfile


def function(wheel, path, name):
    with zipfile.ZipFile(glob.glob(wheel)[0]) as opened:
        tree = ast.parse(opened.read(path))
    node = next(n for n in tree.body if getattr(n, "name", "") == name)
    scope = {"re": re, "argparse": argparse, "Decimal": decimal.Decimal}
    exec(compile(ast.Module([node], []), path, "exec"), scope)
    return scope[name]


def read(reader, text):
    try:
        return reader(text)
    except (ValueError, argparse.ArgumentTypeError):
        return "refused"


name = "human_readable_int"
readers = (
    function("vllm-*.whl", "vllm/utils/argparse_utils.py", name),
    function("sglang-*.whl", "sglang/srt/utils/common.py", name),
)
found = {text: tuple(read(one, text) for one in readers) for text in ("2M", "2K", "2Mi")}
print(" / ".join(f"{text}: {a} and {b}" for text, (a, b) in found.items()))
want = {"2M": (2097152, 2000000), "2K": (2048, "refused"), "2Mi": ("refused", 2097152)}
raise SystemExit(found != want)
PY
