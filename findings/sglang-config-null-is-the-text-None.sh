#!/usr/bin/env bash
# SGLang 0.5.23: an empty value in a file given by --config is the text "None", not the default: the flags
# made of `served-model-name:` and `api-key:` name a model and a key called None, without a message.
# Seen: from the file: ['--served-model-name', 'None', '--api-key', 'None']
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 \
  --implementation cp --abi cp312 --platform manylinux_2_34_x86_64 sglang==0.5.23
python3 -m pip install --quiet --target site PyYAML==6.0.3
# The one module that reads the file; sglang/__init__.py would load GPU libraries.
python3 -m zipfile -e sglang-*.whl wheel
cp wheel/sglang/srt/utils/server_args_config_parser.py site/
printf 'served-model-name:\napi-key:\n' >serve.yaml
PYTHONPATH=site python3 - <<'PY'
import argparse

from server_args_config_parser import ConfigArgumentMerger

parser = argparse.ArgumentParser()
for flag in ("--config", "--served-model-name", "--api-key"):
    parser.add_argument(flag)
flags = ConfigArgumentMerger(parser).merge_config_with_args(["--config", "serve.yaml"])
print("from the file:", flags)
raise SystemExit(flags != ["--served-model-name", "None", "--api-key", "None"])
PY
