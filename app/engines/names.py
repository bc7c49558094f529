"""What a name that is no flag of a release may have meant."""

from __future__ import annotations

import re
from bisect import bisect_left
from functools import cache, lru_cache

from app.engines.fault import Fault, Wrong
from app.engines.history import GONE
from app.engines.release import Release
from app.engines.table import Flag, Table, releases, table

MISSING = frozenset({Wrong.UNKNOWN, Wrong.GONE, Wrong.ABBREVIATION})
"""Faults that say that the release has no such flag."""

LABELS = {"vllm": "vLLM", "sglang": "SGLang"}

_NAME = re.compile(r"[a-z0-9]+(-[a-z0-9]+)*", re.ASCII)
_NO_NAME = re.compile(r"[^a-z0-9]+", re.ASCII)
_NEAR = 0.8

_MAX_LENGTH = 256
"""No flag has a name of this length; longer texts would fill the cache."""


def misspelled(name: str) -> str | None:
    """Returns what to write instead of a name that no flag can have; None if one can."""
    if _NAME.fullmatch(name):
        return None
    text, equals, _ = name.partition("=")
    meant = _NO_NAME.sub("-", text.lower()).strip("-")
    if not meant:
        return "is no flag"
    return f"write {meant}: VALUE" if equals else f"write {meant}"


def in_other_tables(rules: Table, name: str) -> Flag | None:
    """Returns the flag as the newest other table has it; None if no release has it."""
    having = _having(rules.engine).get(name)
    return table(rules.engine, having[-1]).find(name) if having else None


def missing(rules: Table, key: str, name: str) -> Fault:
    """Returns the fault of a key that names no flag of a table, with what to write instead.

    It lacks the flag that a misspelled name may mean: ``suggestion`` finds that, in a search that
    takes too long for the thousands of keys that an object may have.
    """
    engine = rules.engine
    gone = gone_by(engine, rules.release, key, name)
    if gone is not None:
        return gone
    no_flag = f"{LABELS[engine]} {rules.release} has no such flag"
    having = _having(engine).get(name, ())
    newer = [one for one in having if one > rules.release]
    if newer:
        return Fault(key, Wrong.UNKNOWN, f"{no_flag}; {newer[0]} has it", name)
    if having:
        return Fault(key, Wrong.GONE, f"{no_flag}; {having[-1]} had it", name)
    names = _sorted_names(rules)
    first = bisect_left(names, name)
    longer = [full for full in names[first : first + 3] if full.startswith(name)]
    if longer:
        detail = f"is an abbreviation of {' or '.join(longer)}; write the whole name"
        return Fault(key, Wrong.ABBREVIATION, detail, longer[0])
    return Fault(key, Wrong.UNKNOWN, no_flag)


def suggestion(rules: Table, fault: Fault) -> str:
    """Returns the flag that a fault of ``missing`` may mean, as the end of its message.

    ``""`` if no name is near, or if the fault says already what to write.
    """
    if fault.wrong is not Wrong.UNKNOWN or fault.flag:
        return ""
    name = fault.key.partition(".")[0].replace("_", "-")
    near = _nearest(rules, name) if len(name) < _MAX_LENGTH else ""
    return f"; did you mean {near}?" if near else ""


def gone_by(engine: str, release: Release, key: str, name: str) -> Fault | None:
    """Returns the fault of a key that names a flag that a release no longer has, if it is known."""
    gone = GONE.get(engine, {}).get(name)
    if gone is None or not gone.in_release(release):
        return None
    use = f", use {gone.instead}" if gone.instead else ""
    no_flag = f"{LABELS[engine]} {release} has no such flag"
    return Fault(key, Wrong.GONE, f"{no_flag}: gone since {gone.since}{use}", name)


def deprecated(rules: Table, name: str) -> str:
    """Returns what to say of a flag that a release still has, but announces to drop."""
    gone = GONE.get(rules.engine, {}).get(name)
    until = f", gone since {gone.since}" if gone else ""
    use = f"; use {gone.instead}" if gone and gone.instead else ""
    return f"is deprecated in {LABELS[rules.engine]} {rules.release}{until}{use}"


@cache
def _having(engine: str) -> dict[str, tuple[Release, ...]]:
    """Returns the releases whose tables have a name, the oldest first, for all names."""
    found: dict[str, tuple[Release, ...]] = {}
    for one in releases(engine):
        for name in table(engine, one).names():
            found[name] = (*found.get(name, ()), one)
    return found


@cache
def _sorted_names(rules: Table) -> list[str]:
    return sorted(rules.names())


@lru_cache(maxsize=1024)
def _nearest(rules: Table, name: str) -> str:
    from difflib import get_close_matches

    short = rules.short(name)
    if short is not None:
        return short.name
    size = len(name)
    # No name of another length can be near; this leaves few of the hundreds of names.
    names = [
        full for full in rules.names() if 2 * min(size, len(full)) / (size + len(full)) >= _NEAR
    ]
    return next(iter(get_close_matches(name, names, 1, _NEAR)), "")
