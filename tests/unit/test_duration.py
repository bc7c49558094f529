"""Durations as Go reads and writes them; the values are what Go 1.26 makes of the texts."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.values.duration import canonical_duration, parse_duration

S = 10**9


@pytest.mark.parametrize(
    ("text", "want"),
    [
        ("0", 0),
        ("+0", 0),
        ("-0", 0),
        ("0s", 0),
        ("5s", 5 * S),
        ("+5s", 5 * S),
        ("-5s", -5 * S),
        ("30m", 1800 * S),
        ("1m30s", 90 * S),
        ("30s1m", 90 * S),
        ("1h1h", 7200 * S),
        ("1.5h", 5400 * S),
        (".5s", S // 2),
        ("1.s", S),
        ("1ns", 1),
        ("1us", 1000),
        ("1µs", 1000),  # U+00B5, the micro sign
        ("1μs", 1000),  # U+03BC, the Greek letter
        ("1ms", 10**6),
        ("0.0000000019s", 1),
        ("2562047h47m16.854775807s", 2**63 - 1),
    ],
)
def test_durations(text: str, want: int) -> None:
    assert parse_duration(text) == want


@pytest.mark.parametrize(
    "text",
    [
        "",
        "s",
        "5",
        "1d",
        "1 s",
        " 1s",
        "1s ",
        "1s\n",
        ".s",
        "1e3s",
        "--1s",
        "1S",
        "1m-5s",
        "٣s",
        "2562047h47m16.854775808s",
        "9999999999999999999h",
    ],
)
def test_what_is_no_duration(text: str) -> None:
    assert parse_duration(text) is None


@pytest.mark.parametrize(
    ("nanoseconds", "want"),
    [
        (0, "0s"),
        (1, "1ns"),
        (1100, "1.1µs"),
        (2_200_000, "2.2ms"),
        (3_300_000_000, "3.3s"),
        (60 * S, "1m0s"),
        (90 * S, "1m30s"),
        (1860 * S, "31m0s"),
        (3600 * S, "1h0m0s"),
        (245 * S + 1, "4m5.000000001s"),
        (-90 * S, "-1m30s"),
        (2**63 - 1, "2562047h47m16.854775807s"),
    ],
)
def test_printed_form(nanoseconds: int, want: str) -> None:
    assert canonical_duration(nanoseconds) == want


@given(st.integers(-(2**63) + 1, 2**63 - 1))
def test_what_is_printed_is_read_back(nanoseconds: int) -> None:
    assert parse_duration(canonical_duration(nanoseconds)) == nanoseconds
