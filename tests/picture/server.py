"""A real Prometheus that scrapes the pods of an installation, and answers queries."""

from __future__ import annotations

import json
import math
import subprocess
from collections.abc import Mapping
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import httpx
import yaml

from tests import loopback
from tests.controlplane import processes
from tests.controlplane.ports import LOOPBACK, Port
from tests.controlplane.promtool import prometheus
from tests.e2e.installation import NAMESPACE, Installation, eventually
from tests.picture.plot import Line

SCRAPE_SECONDS = 2
RATE_INTERVAL = f"{4 * SCRAPE_SECONDS}s"
"""``$__rate_interval`` of Grafana: four scrapes."""


class Prometheus:
    """The server.

    Args:
        installation: whose pods to scrape, with the labels that the Prometheus Operator adds.
        folder: where its files go.
    """

    def __init__(self, installation: Installation, folder: Path) -> None:
        self._installation = installation
        self._folder = folder
        self._port = Port()
        self._process: subprocess.Popen[bytes] | None = None

    def _targets(self) -> list[Mapping[str, Any]]:
        return [
            {"targets": [pod.address], "labels": {"namespace": NAMESPACE, "pod": name}}
            for component in ("webhook", "controller")
            for name, pod in self._installation.kubelet.pods(component).items()
        ]

    def __enter__(self) -> Self:
        self._folder.mkdir(parents=True, exist_ok=True)
        every = f"{SCRAPE_SECONDS}s"
        settings = {
            "global": {"scrape_interval": every, "scrape_timeout": every},
            "scrape_configs": [{"job_name": "model-booster", "static_configs": self._targets()}],
        }
        file = self._folder / "prometheus.yml"
        file.write_text(yaml.safe_dump(settings))
        self._port.release()
        command: list[str | Path] = [
            prometheus(),
            f"--config.file={file}",
            f"--storage.tsdb.path={self._folder / 'data'}",
            f"--web.listen-address={LOOPBACK}:{self._port}",
        ]
        self._process = processes.launch(command, self._folder / "prometheus.log")
        eventually(self._is_ready)
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._process is not None:
            processes.end(self._process)

    def _get(self, path: str, params: Mapping[str, str]) -> httpx.Response:
        url = f"http://{LOOPBACK}:{self._port}{path}"
        return loopback.get(url, params=params, seconds=10)

    def _is_ready(self) -> bool:
        try:
            return self._get("/-/ready", {}).is_success
        except httpx.TransportError:
            return False

    def lines(self, query: str, legend: str, start: float, end: float) -> list[Line]:
        """Returns what a query of the dashboard returns between two Unix times.

        Args:
            query: with the variables of Grafana.
            legend: with ``{{label}}``.
            start: first time.
            end: last time.

        Raises:
            ValueError: Prometheus refuses the query.
        """
        asked = query.replace("$namespace", NAMESPACE).replace("$__rate_interval", RATE_INTERVAL)
        params = {
            "query": asked,
            "start": f"{start}",
            "end": f"{end}",
            "step": f"{SCRAPE_SECONDS}",
        }
        answer = json.loads(self._get("/api/v1/query_range", params).text)
        if answer["status"] != "success":
            raise ValueError(f"{asked}: {answer['error']}")
        found = []
        for series in answer["data"]["result"]:
            name = legend
            for label, value in series["metric"].items():
                name = name.replace(f"{{{{{label}}}}}", value)
            values = {float(at): float(value) for at, value in series["values"]}
            steps = range(int((end - start) / SCRAPE_SECONDS) + 1)
            times = [start + step * SCRAPE_SECONDS for step in steps]
            by_time = {round(at, 3): value for at, value in values.items()}
            points = [(at - start, by_time.get(round(at, 3), math.nan)) for at in times]
            found.append(Line(name, points))
        return sorted(found)
