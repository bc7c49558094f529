"""Amounts are read and written as Kubernetes' own Go type does; the wanted forms are its output."""

from __future__ import annotations

from decimal import Decimal

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.values.quantity import canonical_quantity, parse_quantity

SUFFIXES = ["", "n", "u", "m", "k", "M", "G", "T", "P", "E", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"]
AMOUNTS = st.builds(
    "{}{}{}{}".format,
    st.sampled_from(["", "-", "+"]),
    st.integers(0, 10**25),
    st.sampled_from(["", ".", ".0", ".5", ".125", ".0000000001", ".99999"]),
    st.sampled_from([*SUFFIXES, "e3", "E-3", "e+1", "e20", "e-12"]),
)


@pytest.mark.parametrize(
    ("written", "want"),
    [
        (0, "0"),
        (2, "2"),
        (1000, "1k"),
        (-3, "-3"),
        ("0.5", "500m"),
        ("1000m", "1"),
        ("1024Mi", "1Gi"),
        ("16Gi", "16Gi"),
        ("1.5Gi", "1536Mi"),
        ("0.1Gi", "107374182400m"),
        ("1e3", "1e3"),
        ("15e2", "1500"),
        ("1E3", "1e3"),
        ("1E", "1E"),
        ("100.5m", "100500u"),
        ("1.", "1"),
        (".5", "500m"),
        ("+5", "5"),
        ("-0.5", "-500m"),
        ("1023", "1023"),
        ("1023Ki", "1023Ki"),
        ("1024Ki", "1Mi"),
        ("0.5Ki", "512"),
        ("1.1Ki", "1126400m"),
        ("0Gi", "0"),
        ("00", "0"),
        ("0.1n", "1n"),
        ("1e-10", "1e-9"),
        ("1500M", "1500M"),
        ("1000k", "1M"),
        ("64000", "64k"),
        ("62.5Ki", "64k"),
        ("8Ei", "9223372036854775807"),
        ("12345678901234567890", "12345678901234567890"),
        ("1e21", "1e21"),
    ],
)
def test_canonical_form(written: object, want: str) -> None:
    assert canonical_quantity(written) == want


@pytest.mark.parametrize(
    ("written", "times", "want"),
    [
        (5, 2, "10"),
        ("1500m", 2, "3"),
        ("0.1n", 3, "3n"),  # rounded up before it counts more than once, as it is without it
        ("1Ki", 2, "2Ki"),
        ("1.5Gi", 2, "3Gi"),
        ("8Ei", 2, "9223372036854775807"),
        ("1e400", 2, "20e399"),
        ("9" * 40, 2, "1" + "9" * 39 + "8"),
        (0, 3, "0"),
    ],
)
def test_multiple(written: object, times: int, want: str) -> None:
    assert canonical_quantity(written, times) == want


def test_more_than_any_suffix_says_is_not_cut() -> None:
    """Go prints 1 for this: it has no suffix for 10^21."""
    assert canonical_quantity("1000E") == "1e21"


@pytest.mark.parametrize(
    "written", ["", ".", "Gi", "e3", "1 Gi", "1gi", "1Gb", "0x1", "1e1.5", "1e9999", "٣", "1\n"]
)
def test_what_is_no_amount(written: str) -> None:
    assert parse_quantity(written) is None
    with pytest.raises(ValueError, match="is not a quantity"):
        canonical_quantity(written)


@pytest.mark.parametrize("written", [None, True, 1.5, [], "9" * 101, 10**101])
def test_what_json_could_hold_besides(written: object) -> None:
    assert parse_quantity(written) is None


@pytest.mark.parametrize(
    ("written", "want"),
    [("1Ki", 1024), ("500m", Decimal("0.5")), ("-2", -2), ("1e3", 1000), ("0.1n", Decimal("1e-9"))],
)
def test_value(written: str, want: Decimal) -> None:
    assert parse_quantity(written) == want


@given(AMOUNTS)
def test_the_canonical_form_is_the_same_amount(written: str) -> None:
    canonical = canonical_quantity(written)

    assert parse_quantity(canonical) == parse_quantity(written)
    assert canonical_quantity(canonical) == canonical
