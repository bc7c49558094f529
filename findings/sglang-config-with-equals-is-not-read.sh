#!/usr/bin/env bash
# SGLang 0.5.23: `--config serve.yaml` reads the file, `--config=serve.yaml` does not. The second form is
# accepted like any flag, without a message, and the server starts with its defaults.
# Seen: --config serve.yaml: port 9000 / --config=serve.yaml: port 30000
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: --python-version 3.12 \
  --implementation cp --abi cp312 --platform manylinux_2_34_x86_64 sglang==0.5.23
python3 -m pip install --quiet --target site PyYAML==6.0.3
# The two functions that read arguments, without the GPU libraries that sglang/__init__.py loads.
python3 -m zipfile -e sglang-*.whl wheel
mkdir -p site/sglang/srt/utils site/sglang/srt/sampling/watermarking
touch site/sglang/{,srt/,srt/utils/,srt/sampling/,srt/sampling/watermarking/}__init__.py
cp wheel/sglang/srt/utils/server_args_config_parser.py site/sglang/srt/utils/
echo 'redact_watermark_command_line = lambda *given: given' >site/sglang/srt/sampling/watermarking/core.py
echo 'port: 9000' >serve.yaml
PYTHONPATH=site python3 - <<'PY'
import argparse
import ast
import logging
import typing


class ServerArgs:
    """The flags that matter here."""

    @staticmethod
    def add_cli_args(parser):
        parser.add_argument("--config")
        parser.add_argument("--port", type=int, default=30000)
        parser.set_defaults(log_level="info", watermark_config=None)

    @staticmethod
    def from_cli_args(read):
        return read


path = "wheel/sglang/srt/server_args.py"
tree = ast.parse(open(path).read())
node = next(n for n in tree.body if getattr(n, "name", "") == "prepare_server_args")
scope = {"argparse": argparse, "logging": logging, "ServerArgs": ServerArgs, "List": typing.List}
exec(compile(ast.Module([node], []), path, "exec"), scope)
lines = (["--config", "serve.yaml"], ["--config=serve.yaml"])
ports = [scope["prepare_server_args"](line).port for line in lines]
print(" / ".join(f"{' '.join(line)}: port {port}" for line, port in zip(lines, ports)))
raise SystemExit(ports != [9000, 30000])
PY
