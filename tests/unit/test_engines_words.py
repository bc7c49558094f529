"""What we write for a value, the engine reads as that value: every flag of every table."""

from __future__ import annotations

import math
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
EXAMPLES = max(1, settings().max_examples // (1 if IN_FULL else 20))
"""Values for each flag: 1 in ``make test-unit``, 5 in ``make test``, 100 in ``make test-all``."""
BATCHES = [
    pytest.param(
        one, list(one)[start : start + AT_A_TIME], id=f"{one.engine}-{one.release}-{start}"
    )
    for one in TABLES
    for start in range(0, len(one), AT_A_TIME)
]


def _same(flag: Flag, got: Any, want: Any) -> bool:
    if flag.type is Type.NUMBER and isinstance(want, int | float):
        return math.isclose(got, float(want), rel_tol=1e-15)
    return bool(got == want)


@pytest.mark.parametrize(("one", "flags"), BATCHES)
@settings(
    max_examples=EXAMPLES,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A failing example holds a few flags only; making it smaller takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(data=st.data())
def test_every_value_is_read_back(one: Table, flags: list[Flag], data: st.DataObject) -> None:
    config = {flag.name: data.draw(values_of(flag), label=flag.name) for flag in flags}
    line = command_line(Engine(one.engine, one.release, one), config, owned={})

    got = read_back(one, line.words)

    bad = [fault for fault in line.faults if fault.wrong is not Wrong.DEPRECATED]
    assert bad == []
    for flag in flags:
        want = meant(flag, config[flag.name])
        assert _same(flag, got.pop(flag.name, None), want), (flag, config[flag.name], line.words)
    assert got == {}
