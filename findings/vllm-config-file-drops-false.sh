#!/usr/bin/env bash
# vLLM 0.16.0: a file given by --config cannot turn anything off. `enable-prefix-caching: false` in it
# becomes no flag at all, so what is on by default stays on, without a message. (0.33.0 writes --no-...)
# Seen: false read as: no flag / flags from the file: ['--enable-lora', '--port', '9000']
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.16.0
python3 -m pip install --quiet --target site regex==2025.11.3 PyYAML==6.0.3
# The one module that reads arguments, without the GPU libraries that vllm/__init__.py loads.
mkdir -p site/vllm/utils
touch site/vllm/__init__.py site/vllm/utils/__init__.py
printf 'import logging\ninit_logger = logging.getLogger\n' >site/vllm/logger.py
python3 -m zipfile -e vllm-*.whl wheel
cp wheel/vllm/utils/argparse_utils.py site/vllm/utils/
printf 'enable-lora: true\nenable-prefix-caching: false\nport: 9000\n' >serve.yaml
PYTHONPATH=site python3 - <<'PY'
import argparse
from vllm.utils.argparse_utils import FlexibleArgumentParser

parser = FlexibleArgumentParser()
parser.add_argument("--config")
parser.add_argument("--port", type=int)
parser.add_argument("--enable-lora", action=argparse.BooleanOptionalAction)
parser.add_argument("--enable-prefix-caching", action=argparse.BooleanOptionalAction)
read = parser.parse_args(["--config", "serve.yaml"]).enable_prefix_caching
print("false read as:", "no flag" if read is None else read)
flags = parser.load_config_file("serve.yaml")
print("flags from the file:", flags)
raise SystemExit(read is not None or flags != ["--enable-lora", "--port", "9000"])
PY
