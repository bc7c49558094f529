"""Certificates that others put into a folder, as the kubelet does with a Secret."""

import asyncio
import os
import shutil
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from certs.pki import KeyPair, new_authority, new_leaf
from certs.provided import follow

pytestmark = pytest.mark.anyio

NAMES = ["webhook.booster.svc"]
NOW = datetime.now(UTC)
CA = new_authority("ca", NOW, timedelta(days=90))


def leaf(life: timedelta = timedelta(days=9), names: list[str] = NAMES) -> KeyPair:
    return new_leaf(CA, names, NOW, life)


class Mount:
    """A Secret's volume: the files are links into a folder that is replaced as a whole."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self._versions = 0
        for name in ("tls.crt", "tls.key"):
            (path / name).symlink_to(Path("..data") / name)

    def put(self, pair: KeyPair) -> None:
        self._versions += 1
        version = self.path / f"..{self._versions}"
        version.mkdir()
        (version / "tls.crt").write_bytes(pair.cert)
        (version / "tls.key").write_bytes(pair.key)
        link = self.path / "..data_tmp"
        link.symlink_to(version.name)
        os.replace(link, self.path / "..data")


class Follower:
    """What the follower of a mount told, and what it is told about the time."""

    def __init__(self) -> None:
        self.used: list[KeyPair] = []
        self.said: list[str | None] = []
        self.ahead = timedelta()

    def clock(self) -> datetime:
        return NOW + self.ahead

    async def until(self, right: Callable[[], object]) -> None:
        async with asyncio.timeout(60):
            while not right():  # noqa: ASYNC110 - what is waited for is a plain list
                await asyncio.sleep(0.005)


@asynccontextmanager
async def following(mount: Mount) -> AsyncIterator[Follower]:
    new = Follower()
    task = asyncio.create_task(
        follow(
            mount.path,
            NAMES,
            new.used.append,
            new.said.append,
            clock=new.clock,
            check_seconds=0.01,
        )
    )
    try:
        yield new
    finally:
        task.cancel()
        with suppress(asyncio.CancelledError):
            await task


@pytest.fixture
def mount(tmp_path: Path) -> Mount:
    return Mount(tmp_path)


async def test_not_ready_until_there_is_a_certificate(mount: Mount) -> None:
    async with following(mount) as follower:
        await follower.until(lambda: follower.said)
        assert follower.said[-1] == "serving certificate: there is none yet"
        pair = leaf()
        mount.put(pair)
        await follower.until(lambda: follower.said[-1] is None)
        assert follower.used == [pair]


async def test_renewed_certificate_is_loaded_once(mount: Mount) -> None:
    first, second = leaf(), leaf()
    mount.put(first)
    async with following(mount) as follower:
        await follower.until(lambda: follower.used == [first])
        mount.put(second)
        await follower.until(lambda: follower.used == [first, second])
        mount.put(second)
        looks = len(follower.said)
        await follower.until(lambda: len(follower.said) > looks + 3)
        assert follower.used == [first, second]


@pytest.mark.parametrize("is_removed", [False, True], ids=["kept", "removed"])
async def test_certificate_and_key_have_the_same_version(
    mount: Mount, is_removed: bool, caplog: pytest.LogCaptureFixture
) -> None:
    """The volume gets its second version after the certificate was opened, before the key was."""
    first, second = leaf(), leaf()
    mount.put(first)
    version = mount.path / "..1"
    (version / "tls.crt").unlink()
    os.mkfifo(version / "tls.crt")

    def replace_meanwhile() -> None:
        with (version / "tls.crt").open("wb") as pipe:  # waits until somebody reads
            mount.put(second)
            if is_removed:
                shutil.rmtree(version)
            pipe.write(first.cert)

    replacing = asyncio.create_task(asyncio.to_thread(replace_meanwhile))
    async with following(mount) as follower:
        await replacing
        await follower.until(lambda: second in follower.used)
        assert follower.used == ([second] if is_removed else [first, second])
    assert "cannot be used" not in caplog.text


async def test_plain_folder_is_read(tmp_path: Path) -> None:
    pair = leaf()
    (tmp_path / "tls.crt").write_bytes(pair.cert)
    (tmp_path / "tls.key").write_bytes(pair.key)
    used: asyncio.Future[KeyPair] = asyncio.get_running_loop().create_future()
    task = asyncio.create_task(follow(tmp_path, NAMES, used.set_result, lambda fault: None))
    async with asyncio.timeout(10):
        assert await used == pair
    task.cancel()


@pytest.mark.fault("F51")
@pytest.mark.parametrize(
    ("bad", "why"),
    [
        pytest.param(
            KeyPair(leaf().cert, leaf().key), "its key belongs to another certificate", id="mixed"
        ),
        pytest.param(
            leaf(names=["other.svc"]), "it is not for the name webhook.booster.svc", id="other name"
        ),
        pytest.param(leaf(timedelta(seconds=1)), "it ends at", id="over"),
        pytest.param(KeyPair(b"junk", b"junk"), "its certificate cannot be read", id="junk"),
        pytest.param(KeyPair(b"", b""), "there is none yet", id="empty"),
    ],
)
async def test_invalid_certificate_is_ignored_and_the_old_one_kept(
    mount: Mount, bad: KeyPair, why: str, caplog: pytest.LogCaptureFixture
) -> None:
    good = leaf()
    mount.put(good)
    async with following(mount) as follower:
        await follower.until(lambda: follower.used == [good])
        mount.put(bad)
        await follower.until(lambda: why in caplog.text)
        looks = len(follower.said)
        await follower.until(lambda: len(follower.said) > looks + 3)
        assert follower.used == [good]
        assert set(follower.said) == {None}
        assert caplog.text.count(why) == 1  # not at every look


async def test_expired_certificate_makes_it_not_ready(mount: Mount) -> None:
    mount.put(leaf())
    async with following(mount) as follower:
        await follower.until(lambda: follower.said and follower.said[-1] is None)
        follower.ahead = timedelta(days=10)
        await follower.until(lambda: follower.said[-1] is not None)
        assert "it ends at" in str(follower.said[-1])
