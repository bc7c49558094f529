#!/usr/bin/env bash
# vLLM 0.33.0: --x '{"a": 1}' followed by --x.b 2 gives {"b": 2}. Parts are gathered into an object of
# their own, which is put behind the first one and replaces it. No warning, though the same parser
# warns of a flag that stands there twice.
# Seen: {'b': 2}, warnings: []
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
import json
import logging
from vllm.utils import argparse_utils

said = []
argparse_utils.logger.addFilter(lambda record: said.append(record.getMessage()) or True)
parser = argparse_utils.FlexibleArgumentParser()
parser.add_argument("--kv-transfer-config", type=json.loads)
words = ["--kv-transfer-config", '{"a": 1}', "--kv-transfer-config.b", "2"]
read = parser.parse_args(words).kv_transfer_config
print(f"{read}, warnings: {said}")
raise SystemExit(read != {"b": 2} or said != [])
PY
