#!/usr/bin/env bash
# huggingface_hub 2.4.0: to build the headers of a request it first sends a request of its own, GET /api/agent-harnesses, to
# whatever HF_ENDPOINT names. It waits up to 3 s for the answer, in each process that cannot keep it in HF_HOME (a read-only
# container), and in all of them where a mirror answers 404. HF_HUB_DISABLE_TELEMETRY=1 prevents it.
# Seen: asked: ['/api/agent-harnesses'], waited: True; without telemetry: [], waited: False
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore NO_PROXY='*'
unset HF_HUB_DISABLE_TELEMETRY DISABLE_TELEMETRY DO_NOT_TRACK HF_HUB_OFFLINE
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HOME=$folder/home
python3 -m pip install --quiet --target lib huggingface_hub==2.4.0
cat >client.py <<'PY'
import sys
import time

from huggingface_hub.utils import build_hf_headers

began = time.monotonic()
build_hf_headers(token=False)
print(time.monotonic() - began)
PY
PYTHONPATH=lib python3 - <<'PY'
import os
import subprocess
import sys
import threading
import time
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

asked = []


class SlowMirror(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_GET(self):
        asked.append(self.path)
        time.sleep(1)
        self.send_error(404)


server = ThreadingHTTPServer(("127.0.0.1", 0), SlowMirror)
threading.Thread(target=server.serve_forever, daemon=True).start()


def outcome(**variables):
    asked.clear()
    endpoint = f"http://127.0.0.1:{server.server_port}"
    environment = {**os.environ, "HF_ENDPOINT": endpoint, **variables}
    command = [sys.executable, "client.py"]
    told = subprocess.run(command, env=environment, check=True, capture_output=True, text=True)
    return f"{asked}, waited: {float(told.stdout) >= 1}"


found = f"asked: {outcome()}; without telemetry: {outcome(HF_HUB_DISABLE_TELEMETRY='1')}"
print(found)
wanted = "asked: ['/api/agent-harnesses'], waited: True; without telemetry: [], waited: False"
sys.exit(found != wanted)
PY
