#!/usr/bin/env bash
# vLLM 0.9.0 is the first release that takes parts of an object as flags, but it makes dashes of all
# underscores in them: --kv-transfer-config.kv_role kv_both sets "kv-role", a key that nothing reads.
# 0.9.1 keeps what stands behind the dot.
# Seen: 0.9.0: {'kv-role': 'kv_both'} / 0.9.1: {'kv_role': 'kv_both'}
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.9.0
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.9.1
python3 -m pip install --quiet --target site regex==2025.11.3 PyYAML==6.0.3
PYTHONPATH=site python3 - <<'PY'
import argparse
import ast
import collections
import glob
import json
import logging
import sys
import typing
import zipfile

import regex
import yaml


def parser_of(release):
    with zipfile.ZipFile(glob.glob(f"vllm-{release}-*.whl")[0]) as wheel:
        paths = [p for p in ("vllm/utils.py", "vllm/utils/__init__.py") if p in wheel.namelist()]
        tree = ast.parse(wheel.read(paths[0]))
    wanted = ("StoreBoolean", "SortedHelpFormatter", "FlexibleArgumentParser")
    classes = [node for node in tree.body if getattr(node, "name", "") in wanted]
    scope = {**vars(typing), **vars(argparse), **vars(collections), "argparse": argparse}
    scope |= {"_ArgumentGroup": argparse._ArgumentGroup, "json": json, "sys": sys, "yaml": yaml}
    scope |= {"re": regex, "regex": regex, "logger": logging.getLogger("vllm")}
    code = ast.Module([ast.parse("from __future__ import annotations").body[0], *classes], [])
    exec(compile(code, paths[0], "exec"), scope)
    return scope["FlexibleArgumentParser"]


read = {}
for release in ("0.9.0", "0.9.1"):
    parser = parser_of(release)()
    parser.add_argument("--kv-transfer-config", type=json.loads)
    words = ["--kv-transfer-config.kv_role", "kv_both"]
    read[release] = parser.parse_args(words).kv_transfer_config
print(" / ".join(f"{release}: {value}" for release, value in read.items()))
raise SystemExit(read != {"0.9.0": {"kv-role": "kv_both"}, "0.9.1": {"kv_role": "kv_both"}})
PY
