"""Events that wait are stored before anything is read that they may be about."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest

from app.cache.timing import Timing
from app.kube import Kube, connect
from tests.following import CONFIG_MAP, QUICK, Followed, config_map, eventually, following
from tests.proxy import Proxy, Rewrite, Rule
from tests.world import World

pytestmark = pytest.mark.anyio

LONG = Timing(watch_seconds=(600, 600))
NEVER = 1e9
"""Events wait for longer than any test."""


@pytest.fixture
async def followed(kube: Kube, namespace: str) -> AsyncIterator[Followed]:
    """An informer whose events wait."""
    async with following(kube, namespace, LONG, backlog_seconds=NEVER) as followed:
        yield followed


def _asked(followed: Followed, text: str, name: str) -> bool:
    """Asks for a text, and returns whether an object is stored."""
    followed.informer.catch_up(text)
    return name in followed.names


async def _arrived(followed: Followed, name: str) -> None:
    backlog = followed.informer._list_watch.backlog
    await eventually(lambda: backlog.mentions(name))


async def test_an_event_waits_until_something_in_it_is_asked_for(
    followed: Followed, world: World
) -> None:
    await world.put(CONFIG_MAP, config_map("green", model="org/name-7b"))
    await _arrived(followed, "green")
    for other in ("blue", "greens", "org/name-70b"):
        assert not _asked(followed, other, "green")
    assert _asked(followed, "org/name-7b", "green")
    assert (followed.get("green") or {})["data"] == {"model": "org/name-7b"}


async def test_events_are_stored_in_their_order(followed: Followed, world: World) -> None:
    for n in range(5):
        await world.put(CONFIG_MAP, config_map("green", n=str(n)))
    await world.put(CONFIG_MAP, config_map("blue", n="5"))
    await world.delete(CONFIG_MAP, "green")
    await world.put(CONFIG_MAP, config_map("last", n="6"))
    await eventually(lambda: _asked(followed, "last", "last"))
    assert followed.numbers == [0, 1, 2, 3, 4, 5, 6]
    assert followed.names == {"blue", "last"}
    await world.put(CONFIG_MAP, config_map("later"))  # they wait again
    await _arrived(followed, "later")
    assert "later" not in followed.names


async def test_an_event_of_many_reads_is_found_by_its_end(followed: Followed, world: World) -> None:
    large = {f"k{n}": str(n) * 1000 for n in range(300)}
    await world.put(CONFIG_MAP, config_map("large", **large, last="the-end"))
    await eventually(lambda: _asked(followed, "the-end", "large"))
    assert (followed.get("large") or {})["data"] == {**large, "last": "the-end"}


async def test_much_text_does_not_wait(followed: Followed, world: World) -> None:
    for n in range(8):
        await world.put(CONFIG_MAP, config_map(f"green-{n}", text="x" * 10_000))
    await _arrived(followed, "anything")
    assert _asked(followed, "anything", "green-0")


@pytest.mark.parametrize("text", ["a<b", 'a"b', "modèle", "a b", ""])
async def test_a_text_that_json_may_write_otherwise_is_always_found(
    followed: Followed, world: World, text: str
) -> None:
    await world.put(CONFIG_MAP, config_map("green", model=text))
    await _arrived(followed, "green")
    assert _asked(followed, text, "green")


async def test_more_than_is_read_ahead_is_found(followed: Followed, world: World) -> None:
    for n in range(4):
        await world.put(CONFIG_MAP, config_map(f"large-{n}", text="x" * 900_000))
    await world.put(CONFIG_MAP, config_map("last"))
    await eventually(lambda: _asked(followed, "last", "last"))
    assert len(followed.names) == 5


async def test_events_before_a_line_that_is_no_event_are_found_once(
    proxy: Proxy, world: World, namespace: str
) -> None:
    def with_garbage(piece: bytes) -> bytes:
        return piece + b"%\n" if b"second" in piece else piece

    proxy.add(Rule(Rewrite(with_garbage), verb="watch", times=None))
    async with (
        connect(str(proxy.kubeconfig)) as kube,
        following(kube, namespace, LONG, backlog_seconds=NEVER) as followed,
    ):
        await world.put(CONFIG_MAP, config_map("first", n="1"))
        await eventually(lambda: _asked(followed, "first", "first"))
        await world.put(CONFIG_MAP, config_map("second", n="2"))
        await eventually(lambda: _asked(followed, "second", "second"))
        assert not followed.informer.catch_up("second")
        assert followed.numbers == [1, 2]


async def test_what_waits_is_stored_before_all_is_listed_again(
    followed: Followed, world: World
) -> None:
    await world.put(CONFIG_MAP, config_map("green"))
    await _arrived(followed, "green")
    followed.informer.relist()
    assert "green" in followed.names


async def test_a_line_that_is_no_event_is_left_to_the_watch(
    proxy: Proxy, world: World, namespace: str
) -> None:
    async with (
        connect(str(proxy.kubeconfig)) as kube,
        following(kube, namespace, QUICK, backlog_seconds=0.5) as followed,
    ):
        rule = proxy.add(Rule(Rewrite(lambda piece: b"%" + piece), verb="watch"))
        await eventually(lambda: rule.acted)  # by the watch that follows that of the list
        await world.put(CONFIG_MAP, config_map("second"))
        await eventually(lambda: _asked(followed, "second", "second"))  # raises nothing
        assert "Garbled" in followed.counted
