"""What we write for a value, the engine reads as that value: every flag of every table."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.engines.engine import ENGINES, Engine
from app.engines.fault import Wrong
from app.engines.table import Flag, Table, Type, releases, table
from app.engines.words import command_line
from tests.engine_parsers import read_back
from tests.engine_values import meant, values_of
from tests.sizes import IN_FULL

TABLES = [table(engine, release) for engine in ENGINES for release in releases(engine)]
AT_A_TIME = 20
FEW = max(1, settings().max_examples // 20)
"""Values for each flag of each table: 1 in ``make test-unit``, otherwise 5."""
MANY = settings().max_examples // 4 if IN_FULL else FEW
"""Values for each flag that no older table of its engine has: 25 in ``make test-all``."""


def _batches(flags_of: Callable[[Table], list[Flag]]) -> list[Any]:
    return [
        pytest.param(one, flags[at : at + AT_A_TIME], id=f"{one.engine}-{one.release}-{at}")
        for one in TABLES
        for flags in [flags_of(one)]
        for at in range(0, len(flags), AT_A_TIME)
    ]


def _new_in(one: Table) -> list[Flag]:
    """Returns the flags of a table that no older one of its engine has like that."""
    older = TABLES[: TABLES.index(one)]
    known = {flag for other in older if other.engine == one.engine for flag in other}
    return [flag for flag in one if flag not in known]


def _same(flag: Flag, got: Any, want: Any) -> bool:
    if flag.type is Type.NUMBER and isinstance(want, int | float):
        return math.isclose(got, float(want), rel_tol=1e-15)
    return bool(got == want)


def _settings(examples: int) -> settings:
    return settings(
        max_examples=examples,
        deadline=None,
        suppress_health_check=list(HealthCheck),
        # A failing example holds a few flags only; making it smaller takes minutes.
        phases=[Phase.explicit, Phase.reuse, Phase.generate],
    )


@pytest.mark.parametrize(("one", "flags"), _batches(list))
@_settings(FEW)
@given(data=st.data())
def test_every_value_is_read_back(one: Table, flags: list[Flag], data: st.DataObject) -> None:
    _is_read_back(one, flags, data)


@pytest.mark.slow
@pytest.mark.parametrize(("one", "flags"), _batches(_new_in))
@_settings(MANY)
@given(data=st.data())
def test_many_values_of_a_flag_are_read_back(
    one: Table, flags: list[Flag], data: st.DataObject
) -> None:
    _is_read_back(one, flags, data)


def _is_read_back(one: Table, flags: list[Flag], data: st.DataObject) -> None:
    config = {flag.name: data.draw(values_of(flag), label=flag.name) for flag in flags}
    line = command_line(Engine(one.engine, one.release, one), config, owned={})

    got = read_back(one, line.words)

    bad = [fault for fault in line.faults if fault.wrong is not Wrong.DEPRECATED]
    assert bad == []
    for flag in flags:
        want = meant(flag, config[flag.name])
        assert _same(flag, got.pop(flag.name, None), want), (flag, config[flag.name], line.words)
    assert got == {}
