#!/usr/bin/env bash
# huggingface_hub 2.4.0: to build the headers of a request it first sends a request of its own, GET /api/agent-harnesses, to
# whatever HF_ENDPOINT names, and waits for the answer (3 s at most, by its source). It keeps the answer in HF_HOME only if it
# is a success. So if a mirror answers 404, each process asks and waits again. HF_HUB_DISABLE_TELEMETRY=1 prevents it.
# Seen: two processes asked ['/api/agent-harnesses'] and ['/api/agent-harnesses'], both waited; without telemetry: []
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore NO_PROXY='*'
unset HF_HUB_DISABLE_TELEMETRY DISABLE_TELEMETRY DO_NOT_TRACK HF_HUB_OFFLINE
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HOME=$folder/home
python3 -m pip install --quiet --target lib huggingface_hub==2.4.0
cat >client.py <<'PY'
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
    return list(asked), float(told.stdout) >= 1


found = [outcome(), outcome(), outcome(HF_HUB_DISABLE_TELEMETRY="1")]
print(*found)
asks_and_waits = (["/api/agent-harnesses"], True)
sys.exit(found != [asks_and_waits, asks_and_waits, ([], False)])
PY
