"""Runs a long-running process to its end. It needs no click, as no pod passes it options."""

from __future__ import annotations

import sys
from typing import NoReturn

from modelbooster.cli.failures import known_errors_end_the_process
from modelbooster.cli.garbage import collect_as_usual
from modelbooster.process import Part, load, start
from modelbooster.settings import read_settings

_PARTS = {
    "webhook": Part.WEBHOOK,
    "controller": Part.CONTROLLER,
    "run": Part.WEBHOOK | Part.CONTROLLER,
}


def main(name: str) -> None:
    """Runs the process of a command and exits; known errors are printed without a traceback.

    Args:
        name: ``webhook``, ``controller`` or ``run``.
    """
    with known_errors_end_the_process():
        serve(name)


def serve(name: str, kubeconfig: str | None = None) -> NoReturn:
    """Runs the process of a command and exits.

    Args:
        name: ``webhook``, ``controller`` or ``run``.
        kubeconfig: path of a kubeconfig file; None for the default of the environment.

    Raises:
        UsageError: the settings or the environment are invalid.
    """
    settings = read_settings()
    load(_PARTS[name])
    collect_as_usual()
    sys.exit(start(settings, _PARTS[name], kubeconfig))
