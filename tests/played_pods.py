"""Plays kthena's serving controller and a node: pods with the states that a test wants, and logs.

The API server is real. It asks the kubelet of a pod's node for logs, so the node here answers that
one question, with the texts of the test.
"""

from __future__ import annotations

import ssl
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

from app.apis.kinds import ENTRY, GROUP_NAME, MODEL_SERVING, ROLE
from app.values.meta import Object, Resource, uid_of
from controller.status.pod_records import POD
from modelbooster.observe.reading import SERVING_NAME
from tests.controlplane.credentials import Authority
from tests.controlplane.ports import LOOPBACK
from tests.world import Admin

NODE = Resource("", "v1", "nodes", "Node", namespaced=False)
NODE_NAME = "gpu-1"

Log = tuple[str, str, bool]
"""Pod, container, and whether it is the previous instance."""


class PlayedNode:
    """A node that answers the API server's requests for logs.

    Args:
        admin: the administrator.
        folder: where its certificate goes.
    """

    def __init__(self, admin: Admin, folder: Path) -> None:
        self.logs: dict[Log, str] = {}
        self._admin = admin
        played = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                parts = urlsplit(self.path)
                query = parse_qs(parts.query)
                _, _, _, pod, container = parts.path.split("/")
                text = played.logs.get((pod, container, query.get("previous") == ["true"]))
                body = (text or "").encode()
                if lines := query.get("tailLines"):
                    body = b"".join(body.splitlines(keepends=True)[-int(lines[0]) :])
                self.send_response(404 if text is None else 200)
                self.send_header("Content-Type", "text/plain")
                self.send_header("Content-Length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, format: str, *args: Any) -> None:
                pass

        certificate, key = Authority(folder).serving_pair("node", [LOOPBACK])
        self._server = ThreadingHTTPServer((LOOPBACK, 0), Handler)
        context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
        context.load_cert_chain(certificate, key)
        self._server.socket = context.wrap_socket(self._server.socket, server_side=True)
        self._thread = threading.Thread(target=self._server.serve_forever, daemon=True)

    def start(self) -> None:
        """Registers the node and begins to answer."""
        self._thread.start()
        port = self._server.server_address[1]
        self._admin.put(NODE, {"apiVersion": "v1", "kind": "Node", "metadata": {"name": NODE_NAME}})
        status = {
            "addresses": [{"type": "InternalIP", "address": LOOPBACK}],
            "daemonEndpoints": {"kubeletEndpoint": {"Port": port}},
        }
        self._admin.patch(NODE, NODE_NAME, {"status": status}, subresource="status")

    def stop(self) -> None:
        """Stops answering and removes the node: tests that follow share the API server."""
        self._admin.delete(NODE, NODE_NAME)
        self._server.shutdown()
        self._server.server_close()


@contextmanager
def played_node(admin: Admin, folder: Path) -> Iterator[PlayedNode]:
    """Runs a node until the block ends."""
    node = PlayedNode(admin, folder)
    node.start()
    try:
        yield node
    finally:
        node.stop()


def play_pods(admin: Admin, serving_name: str, replicas: int = 1, *, node: str = "") -> list[str]:
    """Creates the entry pods of a ModelServing as kthena does; returns their names.

    Args:
        admin: the administrator.
        serving_name: the ModelServing.
        replicas: how many groups have pods.
        node: name of their node; none if empty.
    """
    serving = admin.until(MODEL_SERVING, serving_name)
    names = []
    for group in range(replicas):
        for role in serving["spec"]["template"]["roles"]:
            name = f"{serving_name}-{group}-{role['name']}-0-0"
            admin.create(POD, entry_pod(serving, role, group, node))
            names.append(name)
    return names


def entry_pod(serving: Object, role: Object, group: int, node: str = "") -> Object:
    """Returns the first pod of a group, as kthena makes it; see ``play_pods``."""
    template = role["entryTemplate"]
    serving_name = serving["metadata"]["name"]
    name = f"{serving_name}-{group}-{role['name']}-0-0"
    labels = {
        **template.get("metadata", {}).get("labels", {}),
        SERVING_NAME: serving_name,
        GROUP_NAME: f"{serving_name}-{group}",
        ROLE: role["name"],
        ENTRY: "true",
    }
    owner = {
        "apiVersion": serving["apiVersion"],
        "kind": "ModelServing",
        "name": serving_name,
        "uid": uid_of(serving),
        "controller": True,
    }
    spec = {**template["spec"], "terminationGracePeriodSeconds": 0}
    if node:
        spec["nodeName"] = node
    metadata = {"name": name, "labels": labels, "ownerReferences": [owner]}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


def report(admin: Admin, pod: str, **status: Any) -> None:
    """Writes the status of a pod as its kubelet or the scheduler does."""
    admin.patch(POD, pod, {"status": status}, subresource="status")


def unschedulable(admin: Admin, pod: str, message: str) -> None:
    """Says what the scheduler says of a pod that fits nowhere."""
    condition = {
        "type": "PodScheduled",
        "status": "False",
        "reason": "Unschedulable",
        "message": message,
    }
    report(admin, pod, phase="Pending", conditions=[condition])


def container(name: str, state: Object, *, image: str = "x:1", restarts: int = 0) -> Object:
    """Returns the status of a container that is not ready."""
    return {
        "name": name,
        "image": image,
        "imageID": "",
        "ready": False,
        "restartCount": restarts,
        "state": state,
    }


RUNNING: Object = {"running": {"startedAt": "2026-01-01T00:00:00Z"}}


def waiting(reason: str, message: str = "") -> Object:
    """Returns the state of a container that does not run."""
    return {"waiting": {"reason": reason, "message": message}}


def ended(code: int, message: str = "") -> Object:
    """Returns the state of a container that has ended."""
    return {"terminated": {"exitCode": code, "reason": "Error", "message": message}}


def ready(admin: Admin, pod: str, *containers: str) -> None:
    """Says that a pod serves."""
    report(
        admin,
        pod,
        phase="Running",
        conditions=[{"type": kind, "status": "True"} for kind in ("PodScheduled", "Ready")],
        containerStatuses=[{**container(name, RUNNING), "ready": True} for name in containers],
    )
