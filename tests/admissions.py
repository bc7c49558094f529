"""A steady load of admissions through the API server, and which of them were lost."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Callable, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass
from itertools import cycle

from app.apis.kinds import MODEL_BOOSTER
from app.values.meta import Object
from tests.builders import booster_object
from tests.controlplane.api import Api, NoAnswer, Refused
from tests.world import Admin

PER_SECOND = 20
AT_ONCE = 128
"""Requests that may be open at once: a webhook that does not answer holds each for 5 s. What is due
beyond that is not sent, so a busy machine does not queue minutes of work."""

DRY = {"dryRun": "All"}
PROTECTED = "protected"
PROTECTION = "workload.serving.volcano.sh/deletion-protection"


@dataclass(frozen=True)
class Admission:
    """One request and its outcome.

    Args:
        begin: when it was sent, in seconds of ``time.monotonic``.
        seconds: time until the answer.
        fault: what is wrong with the answer, "" if nothing is.
    """

    begin: float
    seconds: float
    fault: str

    def is_within(self, begin: float, end: float) -> bool:
        """Returns whether it was sent before the end of a time and answered after its begin."""
        return self.begin <= end and begin <= self.begin + self.seconds


class Admissions:
    """Sends requests whose answers the webhook decides, at a steady rate, as long as it is open.

    Each is a dry run: a creation that must be accepted, a creation that only the webhook refuses,
    and a deletion that only the webhook refuses. Every other answer is a loss, whatever the cause.

    Args:
        api: the administrator's connection.
        namespace: the namespace of the objects.
        per_second: how many to send, at most; may be changed at any time.
    """

    def __init__(self, api: Api, namespace: str, per_second: float = PER_SECOND) -> None:
        self.per_second = per_second
        self._admin = Admin(api, namespace)
        self._done: list[Admission] = []
        self._open: set[Future[None]] = set()
        self._ended = threading.Event()
        self._pool = ThreadPoolExecutor(AT_ONCE, "admission")
        self._thread = threading.Thread(target=self._send, name="admissions", daemon=True)

    @staticmethod
    def protected(namespace: str) -> Object:
        """Returns the object whose deletion is refused; it must exist while the load runs."""
        obj = booster_object(PROTECTED, namespace=namespace)
        obj["metadata"]["annotations"] = {PROTECTION: "true"}
        return obj

    def start(self) -> None:
        """Begins to send."""
        self._thread.start()

    def stop(self) -> None:
        """Sends nothing more, and waits for the answers."""
        self._ended.set()
        if self._thread.is_alive():
            self._thread.join()
        self._pool.shutdown()

    @property
    def answered(self) -> list[Admission]:
        """The admissions that have been answered so far."""
        return list(self._done)

    @property
    def is_running(self) -> bool:
        """Whether it sends."""
        return self._thread.is_alive()

    def since(self, begin: float) -> list[Admission]:
        """Returns the admissions sent since a time, when all sent until now are answered."""
        for future in list(self._open):
            future.result()
        return [each for each in self.answered if each.begin >= begin]

    def _send(self) -> None:
        due = time.monotonic()
        for kind in cycle((self._create, self._create_broken, self._delete)):
            due += 1 / self.per_second
            if self._ended.wait(max(0, due - time.monotonic())):
                return
            if len(self._open) >= AT_ONCE:
                due = time.monotonic()
                continue
            future = self._pool.submit(self._ask, kind)
            self._open.add(future)
            future.add_done_callback(self._open.discard)

    def _ask(self, kind: Callable[[], str]) -> None:
        begin = time.monotonic()
        try:
            fault = kind()
        except (Refused, NoAnswer) as exc:
            fault = f"{type(exc).__name__}: {exc}"
        self._done.append(Admission(begin, time.monotonic() - begin, fault))

    def _create(self) -> str:
        obj = booster_object("accepted", namespace=self._admin.namespace)
        self._admin.api.request("POST", self._admin.path(MODEL_BOOSTER), obj, params=DRY)
        return ""

    def _create_broken(self) -> str:
        obj = booster_object("refused", namespace=self._admin.namespace)
        obj["spec"]["backends"][0]["workers"][0]["image"] = "a b"
        try:
            self._admin.api.request("POST", self._admin.path(MODEL_BOOSTER), obj, params=DRY)
        except Refused as exc:
            fields = [cause.get("field") for cause in exc.causes]
            if exc.status == 422 and fields == ["spec.backends[0].workers[0].image"]:
                return ""
            raise
        return "an object that the webhook refuses was accepted"

    def _delete(self) -> str:
        path = self._admin.path(MODEL_BOOSTER, PROTECTED)
        try:
            self._admin.api.request("DELETE", path, params=DRY)
        except Refused as exc:
            if exc.status == 403 and "deletion protection is enabled" in exc.message:
                return ""
            raise
        return "an object that the webhook protects was deleted"


def lost(admissions: Sequence[Admission]) -> list[Admission]:
    """Returns those that did not get the answer that they must get."""
    return [each for each in admissions if each.fault]


def summary(losses: Sequence[Admission], begin: float) -> str:
    """Returns when losses happened, and each different fault once, for people."""
    times = [each.begin - begin for each in losses]
    faults = Counter(each.fault for each in losses).most_common(5)
    lines = [f"{count} x {fault}" for fault, count in faults]
    return "\n".join([f"lost {min(times):.1f} to {max(times):.1f} s after the step began:", *lines])
