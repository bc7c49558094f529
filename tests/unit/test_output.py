"""Tables, ages and names as the commands print them."""

from __future__ import annotations

import io

import pytest

from modelbooster.cli.output import Column, Screen, age, bar, screen_of, shorten_names, table

NAMES = ["deepseek-r1-distill-qwen-32b-canary-a", "deepseek-r1-distill-qwen-32b-canary-b", "m"]


@pytest.mark.parametrize(
    ("seconds", "want"),
    [
        (-5, "<invalid>"),
        (-0.5, "0s"),
        (0, "0s"),
        (119, "119s"),
        (120, "2m"),
        (330, "5m30s"),
        (600, "10m"),
        (3 * 3600 - 1, "179m"),
        (3 * 3600, "3h"),
        (3 * 3600 + 720, "3h12m"),
        (8 * 3600 + 60, "8h"),
        (47 * 3600, "47h"),
        (48 * 3600, "2d"),
        (51 * 3600, "2d3h"),
        (9 * 86400, "9d"),
        (800 * 86400, "2y70d"),
        (3000 * 86400, "8y"),
    ],
)
def test_age_is_that_of_kubectl(seconds: float, want: str) -> None:
    assert age(seconds) == want


def test_table_is_not_cut_outside_a_terminal() -> None:
    columns = [Column("NAME", "middle"), Column("AGE")]
    assert table(columns, [[name, "5s"] for name in NAMES], Screen()) == (
        "NAME                                    AGE\n"
        "deepseek-r1-distill-qwen-32b-canary-a   5s\n"
        "deepseek-r1-distill-qwen-32b-canary-b   5s\n"
        "m                                       5s\n"
    )


def test_cut_names_stay_different() -> None:
    columns = [Column("NAME", "middle"), Column("STATUS"), Column("MESSAGE", "end")]
    rows = [[name, "Active", "a sentence that is long"] for name in NAMES]
    text = table(columns, rows, Screen(50))
    assert text == (
        "NAME                 STATUS   MESSAGE\n"
        "deepse…2b-canary-a   Active   a sentence that is …\n"
        "deepse…2b-canary-b   Active   a sentence that is …\n"
        "m                    Active   a sentence that is …\n"
    )


def test_names_that_differ_in_the_middle_stay_different() -> None:
    names = [f"model-number-{number}-of-the-large-fleet" for number in (11, 12, 21, 22)]
    for width in range(4, 40):
        short = shorten_names(names, width, Screen(80))
        assert len(set(short)) == len(names)
        assert max(map(len, short)) <= max(width, 17)


class _Terminal(io.StringIO):
    encoding = "utf-8"

    def isatty(self) -> bool:
        return True


@pytest.mark.parametrize(
    ("environment", "color"),
    [
        ({"NO_COLOR": "", "TERM": "xterm"}, True),
        ({"NO_COLOR": "1", "TERM": "xterm"}, False),
        ({"NO_COLOR": "", "TERM": "dumb"}, False),
    ],
)
def test_colour_only_on_a_terminal(
    monkeypatch: pytest.MonkeyPatch, environment: dict[str, str], color: bool
) -> None:
    for name, value in {**environment, "COLUMNS": "123"}.items():
        monkeypatch.setenv(name, value)
    assert screen_of(_Terminal()) == Screen(123, color)
    assert screen_of(io.StringIO()) == Screen(None, False, unicode=False)


def test_bar_without_unicode() -> None:
    assert bar(0.5, 10, Screen(unicode=False)) == "#####-----"
    assert bar(7, 4, Screen()) == "████"
