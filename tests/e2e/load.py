"""A steady load on the installed webhook: admissions through the API server, and handshakes."""

from __future__ import annotations

import socket
import ssl
import threading
import time
from base64 import b64decode
from collections import Counter
from http import HTTPStatus
from types import TracebackType
from typing import Self

from cryptography import x509

from app.apis.kinds import MODEL_BOOSTER
from certs.objects import VALIDATING
from tests.admissions import Admissions, lost
from tests.controlplane.api import Api, Refused
from tests.controlplane.plane import ControlPlane
from tests.e2e.installation import NAMESPACE, RELEASE, eventually

LAG_SECONDS = 0.5
"""How long a client goes on with the CA bundle that it has read."""


class Load:
    """Sends admissions through the API server, and connects to the webhook, until it is left.

    API servers keep connections open, which hides a certificate that nobody trusts. So clients that
    trust the CA bundle of the webhook configuration connect to the webhook all the time as well.

    Args:
        plane: where our chart is installed.
        namespace: of the ModelBoosters.
        per_second: how many admissions to send; may be changed at any time.
    """

    def __init__(self, plane: ControlPlane, namespace: str, per_second: float) -> None:
        self._plane = plane
        self._api = Api(plane.url, plane.ca_file, plane.token)
        self._protected = Admissions.protected(namespace)
        self._admissions = Admissions(self._api, namespace, per_second)
        self._stopping = threading.Event()
        service = plane.api.request("GET", f"/api/v1/namespaces/{NAMESPACE}/services/{SERVICE}")
        self._address = service["spec"]["clusterIP"], service["spec"]["ports"][0]["port"]
        self._clients = threading.Thread(target=self._connect)
        self._broken: list[str] = []
        self.served: Counter[int] = Counter()
        """Handshakes for each serial number of a certificate."""

    @property
    def per_second(self) -> float:
        """How many admissions are sent."""
        return self._admissions.per_second

    @per_second.setter
    def per_second(self, number: float) -> None:
        self._admissions.per_second = number

    @property
    def asked(self) -> int:
        """How many admissions have been answered."""
        return len(self._admissions.answered)

    @property
    def lost(self) -> list[str]:
        """What went wrong, of admissions and handshakes."""
        return [*(each.fault for each in lost(self._admissions.answered)), *self._broken]

    def goes_on(self, number: int = 20) -> None:
        """Waits until more was asked, and more clients have connected."""
        asked, served = self.asked + number, self.served.total() + number // 2
        eventually(lambda: self.lost or (self.asked >= asked and self.served.total() >= served))
        assert not self.lost, self.lost[:3]

    def until_served(self, serials: set[int]) -> int:
        """Waits until a certificate that is not one of these is served; returns its number."""
        eventually(lambda: self.lost or set(self.served) - serials)
        assert not self.lost, self.lost[:3]
        (new,) = set(self.served) - serials
        return new

    def __enter__(self) -> Self:
        eventually(self._is_admitted)  # the API server has seen the last change
        self._admissions.start()
        self._clients.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        exc: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self._stopping.set()
        self._admissions.stop()
        self._clients.join()
        self._api.close()

    def _is_admitted(self) -> bool:
        """Whether the object is stored whose deletion the admissions try."""
        namespace = self._protected["metadata"]["namespace"]
        try:
            self._api.request("POST", MODEL_BOOSTER.path(namespace), self._protected)
        except Refused as exc:
            if exc.reason != "AlreadyExists" and exc.status != HTTPStatus.INTERNAL_SERVER_ERROR:
                raise
            return exc.reason == "AlreadyExists"
        return True

    def _connect(self) -> None:
        with Api(self._plane.url, self._plane.ca_file, self._plane.token) as api:
            while not self._stopping.is_set():
                found = api.request("GET", VALIDATING.path(None, SERVICE))
                bundle = b64decode(found["webhooks"][0]["clientConfig"]["caBundle"])
                trust = ssl.create_default_context(cadata=bundle.decode())
                until = time.monotonic() + LAG_SECONDS
                while time.monotonic() < until and not self._stopping.wait(2 / self.per_second):
                    self._handshake(trust)

    def _handshake(self, trust: ssl.SSLContext) -> None:
        try:
            with (
                socket.create_connection(self._address, timeout=30) as raw,
                trust.wrap_socket(raw, server_hostname=f"{SERVICE}.{NAMESPACE}.svc") as connection,
            ):
                der = connection.getpeercert(binary_form=True)
        except OSError as exc:
            self._broken.append(str(exc))
            return
        assert der is not None
        self.served[x509.load_der_x509_certificate(der).serial_number] += 1


SERVICE = f"{RELEASE}-webhook"
