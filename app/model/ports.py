"""The TCP ports of a backend's pods."""

from __future__ import annotations

import re

from app.model.arguments import Argument, arguments
from app.model.environment import env_value, variables
from app.model.forms import BackendForm, WorkerForm, cached_fact
from app.model.roles import roles
from app.values.fields import Path, SpecError, invalid

ENGINE_PORT = 8000

RUNTIME_PORT = 8100

_NUMBERS = (int, str, float)
"""Types of a port number in JSON; booleans do not count."""

_DIGITS = re.compile(r"[0-9]{1,18}", re.ASCII)


@cached_fact
def engine_port(backend: BackendForm) -> int:
    """Returns the TCP port on which the engines of a backend listen.

    Each worker may set ``port`` in ``config``, as a number or a string. The default is 8000 (vLLM,
    ``--port``).

    Raises:
        SpecError: a port is not an integer in 1..65535, or two workers use different ports.
    """
    agreed = None
    for role in roles(backend):
        given = arguments(role.worker).get("port")
        port = ENGINE_PORT if given is None else _port(given, role.worker)
        if agreed is not None and port != agreed:
            path = given.path if given else role.worker.path.child("config", "port")
            detail = f"workers use different engine ports: {agreed} and {port}"
            raise SpecError(invalid(path, port, detail))
        agreed = port
    return agreed or ENGINE_PORT


@cached_fact
def engine_scheme(worker: WorkerForm) -> str:
    """Returns ``HTTPS`` if the engine of a worker uses TLS, otherwise ``HTTP``.

    It does if ``ssl-certfile`` is set; the file may hold the key as well.

    Raises:
        SpecError: ``config`` cannot be written as arguments.
    """
    given = arguments(worker).get("ssl-certfile")
    return "HTTP" if given is None or given.value == "" else "HTTPS"


def _port(given: Argument, worker: WorkerForm) -> int:
    value, text = given.value, given.text
    if type(value) in _NUMBERS and _DIGITS.fullmatch(text) and 1 <= int(text) <= 65535:
        return int(text)
    detail = f'invalid port "{text}" for worker {worker.type}'
    raise SpecError(invalid(given.path, value, detail))


@cached_fact
def runtime_port(backend: BackendForm) -> int:
    """Returns the TCP port of the metrics sidecar: RUNTIME_PORT of ``env``, or 8100.

    A value that is not a number counts as absent.

    Raises:
        SpecError: it is not in 1..65535, or it equals the port of the engine in the same pod.
    """
    text = env_value(backend, "RUNTIME_PORT", "") if backend.env else ""
    given = text != "" and _DIGITS.fullmatch(text) is not None
    port = int(text) if given else RUNTIME_PORT
    if not 1 <= port <= 65535:
        raise SpecError(
            invalid(_runtime_port_path(backend), text, "RUNTIME_PORT must be between 1 and 65535")
        )
    if port == engine_port(backend):
        detail = f"the metrics sidecar and the engine would both listen on port {port}"
        if given:
            raise SpecError(invalid(_runtime_port_path(backend), text, detail))
        raise SpecError(
            invalid(roles(backend)[0].worker.path.child("config", "port"), port, detail)
        )
    return port


def _runtime_port_path(backend: BackendForm) -> Path:
    position = backend.env.index(variables(backend)["RUNTIME_PORT"])
    return backend.path.child("env").index(position).child("value")
