#!/usr/bin/env bash
# vLLM 0.33.0: --no-enable-x is accepted, but option_strings of its action and the help list only --enable-x
# and --disable-x. A list of flags made of parser._actions lacks names that people use; only
# parser._option_string_actions has them all. So --disable-log-requests, which 0.17.0 dropped, is back.
# Seen: listed: ['--enable-log-requests', '--disable-log-requests'], accepted: --no-enable-log-requests
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

parser = FlexibleArgumentParser()
action = parser.add_argument("--enable-log-requests", action=argparse.BooleanOptionalAction)
hidden = sorted(set(parser._option_string_actions) - set(action.option_strings) - {"-h", "--help"})
read = parser.parse_args(["--no-enable-log-requests"]).enable_log_requests
print(f"listed: {action.option_strings}, accepted: {', '.join(hidden)}")
listed = ["--enable-log-requests", "--disable-log-requests"]
raise SystemExit((action.option_strings, hidden, read) != (listed, ["--no-enable-log-requests"], False))
PY
