#!/usr/bin/env bash
# vLLM 0.9.2 asks for transformers>=4.51.1 without an upper bound. With transformers 4.54.0, three weeks younger, the
# engine ends at import: both register the model type "aimv2", and the registry of transformers refuses the second.
# A fresh `pip install vllm==0.9.2` of today gets such a pair; transformers 4.53.3 is the last that works.
# Seen: 4.53.3: imported / 4.54.0: ValueError: 'aimv2' is already used by a Transformers config, pick another name.
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
python3 -m pip download --quiet --no-deps --only-binary :all: vllm==0.9.2
python3 - <<'PY'
import glob
import zipfile

with zipfile.ZipFile(glob.glob("vllm-*.whl")[0]) as wheel:
    wheel.extract("vllm/transformers_utils/configs/ovis.py")
    [meta] = [name for name in wheel.namelist() if name.endswith(".dist-info/METADATA")]
    text = wheel.read(meta).decode()
print([line for line in text.splitlines() if line.startswith("Requires-Dist: transformers")])
PY
for release in 4.53.3 4.54.0; do
  python3 -m venv "env-$release"
  "env-$release/bin/python" -m pip install --quiet --disable-pip-version-check "transformers==$release"
  # The last line of a traceback; nothing if the import works.
  said=$({ "env-$release/bin/python" vllm/transformers_utils/configs/ovis.py 2>&1 || echo failed; } | grep '^[A-Za-z]*Error' || true)
  echo "$release: ${said:-imported}" | tee -a seen
done
grep -qx "4.53.3: imported" seen
grep -q "^4.54.0: ValueError: 'aimv2' is already used" seen
