"""Values as users write them for a flag, and what an engine should read of each."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st

from app.engines.table import Flag, Kind, Type

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


def values_of(flag: Flag) -> st.SearchStrategy[Any]:
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


def meant(flag: Flag, value: Any) -> Any:
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
