#!/usr/bin/env bash
# vLLM 0.16.0: where a flag may have no value and has a list of choices, the list ends with 'None', and the
# help says so. `None` is refused all the same: the word becomes Python's None before argparse looks it up
# among texts. Real flag: --collect-detailed-traces. 0.33.0 puts None itself into the list.
# Seen: choices: ['all', 'model', 'None'] / all: all / None: invalid choice: None
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.16.0
python3 -m pip install --quiet --target site pydantic==2.12.5 typing-extensions==4.15.0
PYTHONPATH=site python3 - <<'PY'
import argparse
import ast
import copy
import dataclasses
import functools
import glob
import json
import re
import types
import typing
import zipfile

import pydantic
import pydantic.fields
import typing_extensions

path = "vllm/engine/arg_utils.py"
with zipfile.ZipFile(glob.glob("vllm-*.whl")[0]) as wheel:
    tree = ast.parse(wheel.read(path))
first = next(i for i, n in enumerate(tree.body) if getattr(n, "name", "") == "parse_type")
last = next(i for i, n in enumerate(tree.body) if getattr(n, "name", "") == "get_kwargs")
functions = [n for n in tree.body[first : last + 1] if isinstance(n, ast.FunctionDef)]
scope = {**vars(typing), **vars(dataclasses), **vars(typing_extensions), "argparse": argparse}
scope |= {"functools": functools, "copy": copy, "json": json, "re": re, "UnionType": types.UnionType}
scope |= {"FieldInfo": pydantic.fields.FieldInfo, "NEEDS_HELP": False, "Callable": typing.Callable}
scope |= {name: typing.Any for name in ("ConfigType", "TypeHint", "TypeHintT")}
scope["T"] = typing.TypeVar("T")
exec(compile(ast.Module(functions, []), path, "exec"), scope)


@dataclasses.dataclass
class Config:
    traces: typing.Optional[typing.Literal["all", "model"]] = None


wanted = scope["get_kwargs"](Config)["traces"]
parser = argparse.ArgumentParser(exit_on_error=False)
parser.add_argument("--traces", **wanted)


def read(word):
    try:
        return parser.parse_args(["--traces", word]).traces
    except argparse.ArgumentError as exc:
        return exc.message.partition(" (")[0]


found = wanted["choices"], read("all"), read("None")
print(f"choices: {found[0]} / all: {found[1]} / None: {found[2]}")
raise SystemExit(found != (["all", "model", "None"], "all", "invalid choice: None"))
PY
