#!/usr/bin/env bash
# vLLM 0.8.5: --compilation-config "is a JSON string" by its help, but is read by ast.literal_eval.
# '{"use_inductor": true}' ends the engine, '{"use_inductor": True}' works; 0.9.0 reads JSON only.
# Seen: JSON: ValueError / Python: {'use_inductor': True} / literal_eval in 0.9.0: False
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.8.5
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.9.0
python3 - <<'PY'
import ast
import glob
import zipfile


def source(release, path):
    with zipfile.ZipFile(glob.glob(f"vllm-{release}-*.whl")[0]) as wheel:
        return wheel.read(path).decode()


def from_cli(text):
    tree = ast.parse(text)
    owner = next(n for n in tree.body if getattr(n, "name", "") == "CompilationConfig")
    return next((n for n in owner.body if getattr(n, "name", "") == "from_cli"), None)


method = from_cli(source("0.8.5", "vllm/config.py"))


class CompilationConfig:
    """Stands for the class of which only the method that reads the flag is taken."""

    @staticmethod
    def model_validate(value):
        return value


scope = {"ast": ast, "CompilationConfig": CompilationConfig}
exec(compile(ast.Module([method], []), "config.py", "exec"), scope)
read = scope["from_cli"].__func__
try:
    json_form = read(CompilationConfig, '{"use_inductor": true}')
except ValueError as exc:
    json_form = type(exc).__name__
python_form = read(CompilationConfig, '{"use_inductor": True}')
later = from_cli(source("0.9.0", "vllm/config.py"))
still = later is not None and "literal_eval" in ast.unparse(later)
print(f"JSON: {json_form} / Python: {python_form} / literal_eval in 0.9.0: {still}")
raise SystemExit((json_form, python_form, still) != ("ValueError", {"use_inductor": True}, False))
PY
