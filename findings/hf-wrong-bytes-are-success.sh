#!/usr/bin/env bash
# huggingface_hub 2.4.0: snapshot_download compares sizes only, so wrong bytes of a mirror are a success, although the
# server names the SHA-256 of the file in its list and in two headers.
# Seen: wrong bytes: success
set -euo pipefail
export PIP_ROOT_USER_ACTION=ignore HF_HUB_DISABLE_XET=1 HF_HUB_DISABLE_TELEMETRY=1 NO_PROXY='*'
folder=$(mktemp -d)
trap 'rm -rf "$folder"' EXIT
cd "$folder"
export HF_HOME=$folder/home
python3 -m pip install --quiet --target lib huggingface_hub==2.4.0
PYTHONPATH=lib python3 - <<'PY'
import hashlib
import json
import os
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

COMMIT = "0123456789abcdef0123456789abcdef01234567"
RIGHT, WRONG = b"right bytes", b"wrong bytes"
SHA256 = hashlib.sha256(RIGHT).hexdigest()


class Handler(BaseHTTPRequestHandler):
    def log_message(self, *_):
        pass

    def do_HEAD(self):
        self.do_GET()

    def do_GET(self):
        lfs = {"sha256": SHA256, "oid": SHA256, "size": len(RIGHT), "pointerSize": 100}
        name = "model.safetensors"
        if "/tree/" in self.path:
            entry = {"type": "file", "path": name, "size": len(RIGHT), "oid": "0" * 40, "lfs": lfs}
            status, body = 200, json.dumps([entry]).encode()
        elif self.path.startswith("/api/"):
            siblings = [{"rfilename": name, "size": len(RIGHT), "lfs": lfs}]
            whole = {"id": "o/m", "sha": COMMIT, "siblings": siblings}
            status, body = 200, json.dumps(whole).encode()
        else:
            status, body = 200, WRONG
        self.send_response(status)
        headers = {"Content-Length": len(body), "ETag": f'"{SHA256}"', "X-Repo-Commit": COMMIT}
        headers |= {"X-Linked-Etag": f'"{SHA256}"', "X-Linked-Size": len(RIGHT)}
        for key, value in headers.items():
            self.send_header(key, str(value))
        self.end_headers()
        if self.command == "GET":
            self.wfile.write(body)


server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
threading.Thread(target=server.serve_forever, daemon=True).start()
os.environ["HF_ENDPOINT"] = f"http://127.0.0.1:{server.server_port}"
from huggingface_hub import snapshot_download  # noqa: E402 - it reads the variable


def outcome(target):
    try:
        snapshot_download("o/m", local_dir=target)
    except Exception as exc:
        return type(exc).__name__
    return "success"


wrong = outcome("first")
with open("first/model.safetensors", "rb") as file:
    assert file.read() == WRONG
print(f"wrong bytes: {wrong}")
raise SystemExit(wrong != "success")
PY
