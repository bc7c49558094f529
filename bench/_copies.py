"""Fills a cluster with many ModelBoosters, as the controller would have left them.

A sample that the real controller has served is copied in etcd, byte by byte, with other names,
uids, times and hashes. So the API server has stored each object as it stores every other, and ten
thousand ModelBoosters take half a minute instead of ten.
"""

from __future__ import annotations

import re
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator
from datetime import datetime, timedelta
from itertools import islice
from uuid import uuid4

import httpx
import orjson

from app.apis.kinds import CHILDREN, MODEL_BOOSTER, REVISION
from app.convert.options import Options
from app.validation import Context
from app.values.meta import Key, Object, annotations_of, labels_of, uid_of
from controller.plan.desired import desired_state
from controller.status.pod_records import POD
from tests.controlplane.plane import ControlPlane

SAMPLE = Key("origin0", "sample-00000")
"""The ModelBooster that the others are copies of. A copy has a name of the same length, because
etcd holds pods in a binary form with the length of each text."""

STRANGERS = 2
"""Pods of somebody else, for each ModelBooster."""

NAMESPACES = 20

_OPERATIONS = 100
"""Writes in one transaction of etcd, which takes 128."""

_TIME = re.compile(rb"2\d\d\d-\d\d-\d\dT\d\d:\d\d:\d\dZ")


def key_of_copy(number: int) -> Key:
    """Returns namespace and name of a copy."""
    return Key(f"team-{number % NAMESPACES:02}", f"booster{number:05}")


def stranger(number: int) -> Object:
    """Returns a pod beside the sample that belongs to no ModelBooster."""
    spec = {
        "automountServiceAccountToken": False,
        "containers": [{"name": "web", "image": "registry.example.org/web:1"}],
    }
    name = f"of-{SAMPLE.name}-{number}"
    metadata = {"name": name, "namespace": SAMPLE.namespace, "labels": {"app": "web"}}
    return {"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": spec}


class Etcd:
    """The store of an API server, through its gateway for JSON.

    Args:
        url: address of etcd.
    """

    def __init__(self, url: str) -> None:
        self._client = httpx.Client(base_url=url, timeout=60, trust_env=False)

    def below(self, prefix: bytes) -> list[tuple[bytes, bytes]]:
        """Returns all keys with a prefix, and their values."""
        end = prefix[:-1] + bytes([prefix[-1] + 1])
        found = self._ask("range", {"key": _text(prefix), "range_end": _text(end)})
        return [(b64decode(kv["key"]), b64decode(kv["value"])) for kv in found.get("kvs", ())]

    def put(self, pairs: Iterable[tuple[bytes, bytes]]) -> None:
        """Stores keys and values."""
        rest = iter(pairs)
        while batch := [*islice(rest, _OPERATIONS)]:
            puts = [{"requestPut": {"key": _text(k), "value": _text(v)}} for k, v in batch]
            self._ask("txn", {"success": puts})

    def _ask(self, what: str, question: Object) -> Object:
        answer = self._client.post(f"/v3/kv/{what}", content=orjson.dumps(question))
        answer.raise_for_status()
        found: Object = orjson.loads(answer.content)
        return found


class Copies:
    """Copies of a sample.

    Args:
        plane: the control plane. The sample is in it.
        sample: the objects of the sample, and the pods beside it, as the API server shows them.
    """

    def __init__(self, plane: ControlPlane, sample: list[Object]) -> None:
        self._etcd = Etcd(plane.etcd_url)
        self._context = Context(Options())
        self._uids = [uid_of(obj) for obj in sample]
        self._stored = [
            pair
            for resource in (MODEL_BOOSTER, *CHILDREN, POD)
            for pair in self._etcd.below(_prefix(resource.group, resource.plural))
        ]
        self._booster = self._stored[0][1]
        self._hashes = self._hashes_of(self._booster)
        times = {time for _, value in self._stored for time in _TIME.findall(value)}
        self._times = {time: datetime.fromisoformat(time.decode()) for time in times}
        changed = [*SAMPLE, *self._uids, *self._hashes]
        self._changed = re.compile(b"|".join([*map(str.encode, changed), *times]))

    def write(self, numbers: Iterable[int]) -> None:
        """Writes copies."""
        self._etcd.put(pair for number in numbers for pair in self._copy(number))

    def _copy(self, number: int) -> Iterator[tuple[bytes, bytes]]:
        key = key_of_copy(number)
        new = {SAMPLE.namespace: key.namespace, SAMPLE.name: key.name}
        new |= {uid: str(uuid4()) for uid in self._uids}
        texts = {old.encode(): text.encode() for old, text in new.items()}
        for old, time in self._times.items():  # no two are from the same second
            earlier = time - timedelta(seconds=number)
            texts[old] = earlier.strftime("%Y-%m-%dT%H:%M:%SZ").encode()
        hashes = self._hashes_of(self._replaced(self._booster, texts))
        texts |= {o.encode(): n.encode() for o, n in zip(self._hashes, hashes, strict=True)}
        for at, value in self._stored:
            yield self._replaced(at, texts), self._replaced(value, texts)

    def _hashes_of(self, booster: bytes) -> list[str]:
        """Returns the hashes in the children of a ModelBooster, which does not have them itself."""
        obj = orjson.loads(booster)
        objects = [child.object for child in desired_state(obj, self._context).children]
        return [
            text
            for obj in objects
            for text in (labels_of(obj)[REVISION], *annotations_of(obj).values())
        ]

    def _replaced(self, value: bytes, texts: dict[bytes, bytes]) -> bytes:
        return self._changed.sub(lambda match: texts[match[0]], value)


def _prefix(group: str, plural: str) -> bytes:
    return f"/registry/{group}{'/' if group else ''}{plural}/{SAMPLE.namespace}/".encode()


def _text(value: bytes) -> str:
    return b64encode(value).decode()
