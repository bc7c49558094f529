"""The engine in an image: what is known of it, and how surely."""

from __future__ import annotations

from bisect import bisect_right
from functools import cache, lru_cache

from app.engines.history import CAME, GONE
from app.engines.image import release_of_image
from app.engines.release import Release, read_release
from app.engines.table import Flag, Table, releases, table

ENGINES = ("vllm", "sglang")


class Engine:
    """The engine of a worker. ``engine_of`` returns the same object for the same arguments.

    Args:
        name: ``vllm`` or ``sglang``.
        release: the release; None if nothing tells it.
        table: the forms that hold: those of the release itself, else of the newest older one of
            which there is a table; of the newest of all if the release is unknown.
        above: the next newer table, if the release lies between two.
    """

    __slots__ = ("above", "name", "release", "table")

    def __init__(
        self, name: str, release: Release | None, table: Table, above: Table | None = None
    ) -> None:
        self.name = name
        self.release = release
        self.table = table
        self.above = above

    @property
    def assumed(self) -> bool:
        """Whether the release is unknown, and the newest one assumed."""
        return self.release is None

    @property
    def exact(self) -> bool:
        """Whether the table is that of the release itself."""
        return self.release is not None and self.release.order == self.table.release.order

    def flag(self, name: str) -> Flag | None:
        """Returns the flag that has a name, without dashes; the older table comes first."""
        found = self.table.find(name)
        return self.above.find(name) if found is None and self.above else found

    @lru_cache(maxsize=1024)  # noqa: B019 - engines are few and kept anyway
    def has(self, name: str) -> bool:
        """Whether the release is sure to have a flag; the newest is assumed if it is unknown.

        Where the history does not tell, the tables on both sides of the release must have it.
        """
        if self.release is None or self.exact:
            return name in self.table
        gone = GONE.get(self.name, {}).get(name)
        if gone is not None:
            return name in self.table and not gone.in_release(self.release)
        came = CAME.get(self.name, {}).get(name)
        if came is not None:
            return self.release >= came
        return name in self.table and (self.above is None or name in self.above)

    def at_least(self, since: Release) -> bool:
        """Whether the release is one or a later one; the newest is assumed if it is unknown."""
        return (self.release or self.table.release) >= since


def engine_of(name: str, image: str, stated: str | None = None) -> Engine:
    """Returns what is known of the engine in an image.

    Args:
        name: ``vllm`` or ``sglang``.
        image: reference of the image.
        stated: the release as the user states it; it wins over the image.

    Raises:
        KeyError: there is no such engine.
        ValueError: what is stated is no release.
    """
    if stated:
        release = read_release(stated)
        if release is None:
            raise ValueError(f'"{stated}" is no release; write it as 0.16.0')
        return _engine(name, release)
    return _in_image(name, image) if len(image) <= _MAX_IMAGE_LENGTH else _engine(name, None)


_MAX_IMAGE_LENGTH = 1024
"""A longer reference is refused anyway, so it is neither read nor kept."""


@lru_cache(maxsize=1024)
def _in_image(name: str, image: str) -> Engine:
    return _engine(name, release_of_image(name, image))


@lru_cache(maxsize=256)
def _engine(name: str, release: Release | None) -> Engine:
    """Returns what is known of a release of an engine; images of the same release share it."""
    places = _places(name)
    if not places:
        raise KeyError(name)
    if release is None:
        return Engine(name, None, _nth_table(name, len(places) - 1))
    position = bisect_right(places, release.order)
    if position == 0:
        return Engine(name, release, _nth_table(name, 0))
    below = _nth_table(name, position - 1)
    if position == len(places) or places[position - 1] == release.order:
        return Engine(name, release, below)
    return Engine(name, release, below, _nth_table(name, position))


@cache
def _places(name: str) -> list[tuple[tuple[int, ...], int, int]]:
    """Returns the order of the releases with a table, to search in."""
    return [release.order for release in releases(name)]


@cache
def _nth_table(name: str, position: int) -> Table:
    """Returns a table by its place among those of the engine, which is quick to look up."""
    return table(name, releases(name)[position])
