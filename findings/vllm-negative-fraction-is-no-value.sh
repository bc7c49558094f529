#!/usr/bin/env bash
# vLLM 0.33.0: argparse takes `--bias -0.5` as the value -0.5. vLLM's parser takes the word -0.5 for a
# part of a flag called -0, because it begins with a dash and has a dot, and eats the word behind it.
# -1 works, and so does --bias=-0.5.
# Seen: argparse: -0.5 / vLLM, two words: error / vLLM, one word: -0.5
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.33.0
python3 -m pip install --quiet --target site regex==2025.11.3 PyYAML==6.0.3
mkdir -p site/vllm/utils
touch site/vllm/__init__.py site/vllm/utils/__init__.py
printf 'import logging\ninit_logger = logging.getLogger\n' >site/vllm/logger.py
python3 -m zipfile -e vllm-*.whl wheel
cp wheel/vllm/utils/argparse_utils.py site/vllm/utils/
PYTHONPATH=site python3 - <<'PY'
import argparse
from vllm.utils.argparse_utils import FlexibleArgumentParser


def read(kind, *words):
    parser = kind()
    parser.add_argument("--bias", type=float)
    parser.add_argument("--port", type=int)
    try:
        return parser.parse_args(list(words)).bias
    except (SystemExit, IndexError):
        return "error"


plain = read(argparse.ArgumentParser, "--bias", "-0.5", "--port", "1")
two = read(FlexibleArgumentParser, "--bias", "-0.5", "--port", "1")
one = read(FlexibleArgumentParser, "--bias=-0.5", "--port", "1")
print(f"argparse: {plain} / vLLM, two words: {two} / vLLM, one word: {one}")
raise SystemExit((plain, two, one) != (-0.5, "error", -0.5))
PY
