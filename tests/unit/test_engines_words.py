"""What we write for a value, the engine reads as that value: every flag of every table."""

from __future__ import annotations

import math
from typing import Any

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from app.engines.engine import ENGINES, Engine
from app.engines.fault import Wrong
from app.engines.table import Flag, Kind, Table, Type, releases, table
from app.engines.words import command_line
from tests.engine_parsers import read_back

TABLES = [table(engine, release) for engine in ENGINES for release in releases(engine)]
AT_A_TIME = 20
BATCHES = [
    pytest.param(
        one, list(one)[start : start + AT_A_TIME], id=f"{one.engine}-{one.release}-{start}"
    )
    for one in TABLES
    for start in range(0, len(one), AT_A_TIME)
]

_TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"), max_size=8)
_HARD = st.sampled_from(
    [
        "",
        "-x",
        "--x",
        "--enable-lora",
        "-1",
        "-0.5",
        "-O3",
        "a=b",
        "--a_b=c_d.e",
        "a b",
        "None",
        "{",
    ]
)
_TEXTS = (_TEXT | _HARD).filter(lambda text: text != "--")
_SIZES = {
    Type.SIZE: st.sampled_from(["32k", "32K", "1.5k", "2M", "1g"]),
    Type.BINARY_SIZE: st.sampled_from(["32k", "32Ki", "1.5k", "2M", "2Gi"]),
}
_INTEGERS = st.integers(-(2**63), 2**63 - 1)
_NUMBERS = st.floats(allow_nan=False, allow_infinity=False, min_value=-1e6, max_value=1e6)
_PLAIN = st.none() | st.booleans() | st.integers(-99, 99) | _TEXT
_OBJECTS = st.dictionaries(_TEXT, _PLAIN | st.lists(_PLAIN, max_size=2), max_size=3)


def _one(flag: Flag) -> st.SearchStrategy[Any]:
    """Returns values of one word."""
    if flag.choices:
        read = int if flag.type is Type.INTEGER else str
        return st.sampled_from([read(choice) for choice in flag.choices])
    match flag.type:
        case Type.INTEGER:
            return _INTEGERS
        case Type.NUMBER:
            return _NUMBERS | st.integers(-(2**50), 2**50)
        case Type.TRUTH:
            return st.booleans()
        case Type.SIZE | Type.BINARY_SIZE:
            return _INTEGERS | _SIZES[flag.type]
        case Type.SIZE_OR_AUTO:
            return _INTEGERS | _SIZES[Type.SIZE] | st.just("auto")
        case Type.JSON:
            return _OBJECTS | st.lists(_PLAIN, max_size=3)
        case Type.OBJECT | Type.PAIRS:
            return _OBJECTS
        case Type.LITERAL:
            return _OBJECTS | st.integers(0, 3)
        case Type.MIXED:
            return _OBJECTS | _TEXTS.filter(lambda text: not text.strip().startswith("{"))
        case _:
            return _TEXTS


def _values(flag: Flag) -> st.SearchStrategy[Any]:
    """Returns values as users write them."""
    one = _one(flag)
    if flag.name == "served-model-name":
        one = one.filter(lambda value: not any(map(str.isspace, value)))
    match flag.kind:
        case Kind.SWITCH | Kind.TOGGLE:
            return st.booleans() | st.sampled_from(["true", "false", ""])
        case Kind.OPTIONAL:
            return st.booleans() | one
        case Kind.LIST:
            several = one.filter(lambda value: not str(value).startswith("-"))
            return st.lists(several, min_size=0 if flag.empty else 1, max_size=3) | one
        case Kind.APPEND:
            return st.lists(one, max_size=3)
        case Kind.ADAPTERS:
            words = st.from_regex(r"[a-z/][a-z/,]{0,4}", fullmatch=True)
            return st.lists(st.fixed_dictionaries({"name": words, "path": words}), max_size=3)
        case _:
            return one


def _meant(flag: Flag, value: Any) -> Any:
    """Returns what the engine should read; None for nothing at all."""
    if flag.kind in (Kind.SWITCH, Kind.TOGGLE):
        on = value in (True, "true", "")
        return None if flag.kind is Kind.SWITCH and not on else on
    if flag.kind is Kind.OPTIONAL and (isinstance(value, bool) or value == ""):
        return True if value is not False else None
    if flag.kind is Kind.ADAPTERS:
        return value if value or flag.empty else None
    if flag.kind in (Kind.LIST, Kind.APPEND):
        values = value if isinstance(value, list) else [value]
        read = [_read(flag, one) for one in values]
        return read if read or flag.empty else None
    return _read(flag, value)


def _read(flag: Flag, value: Any) -> Any:
    if flag.null and value in ("", "None"):
        return None
    if isinstance(value, str) and flag.type in _SIZES | {Type.SIZE_OR_AUTO: None}:
        number = {"32k": 32000, "32K": 32768, "32Ki": 32768, "1.5k": 1500, "1g": 10**9}
        number |= {"2Gi": 2**31, "2M": 2 * 10**6 if flag.type is Type.BINARY_SIZE else 2**21}
        return {**number, "auto": -1}[value]
    return value


def _same(flag: Flag, got: Any, want: Any) -> bool:
    if flag.type is Type.NUMBER and isinstance(want, int | float):
        return math.isclose(got, float(want), rel_tol=1e-15)
    return bool(got == want)


@pytest.mark.parametrize(("one", "flags"), BATCHES)
@settings(
    max_examples=15,
    deadline=None,
    suppress_health_check=list(HealthCheck),
    # A failing example holds a few flags only; making it smaller takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
)
@given(data=st.data())
def test_every_value_is_read_back(one: Table, flags: list[Flag], data: st.DataObject) -> None:
    config = {flag.name: data.draw(_values(flag), label=flag.name) for flag in flags}
    line = command_line(Engine(one.engine, one.release, one), config, owned={})

    got = read_back(one, line.words)

    bad = [fault for fault in line.faults if fault.wrong is not Wrong.DEPRECATED]
    assert bad == []
    for flag in flags:
        want = _meant(flag, config[flag.name])
        assert _same(flag, got.pop(flag.name, None), want), (flag, config[flag.name], line.words)
    assert got == {}
