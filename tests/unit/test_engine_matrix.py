"""The matrix of docs/engines.md: which command lines it holds, and that no value differs."""

from __future__ import annotations

import re
from functools import cache

import pytest

from tools.engines.lines import Line, command_lines
from tools.engines.matrix import BEGIN, END, PAGE, differences, with_row

LINE = Line("case", True, ["vllm", "serve", "/m", "--seed", "1"], {"seed": 1})


@cache
def lines_of(engine: str, release: str) -> list[Line]:
    return list(command_lines(engine, release))


@pytest.mark.parametrize(("engine", "release"), [("vllm", "0.9.2"), ("sglang", "0.5.23")])
def test_inputs_give_command_lines(engine: str, release: str) -> None:
    lines = lines_of(engine, release)

    assert any(line.by_image for line in lines)
    assert {line.words[0] for line in lines} <= {"python3", "vllm"}
    assert not any("$(" in word for line in lines for word in line.words[:5])


def test_shells_are_run() -> None:
    sources = {line.source: line.words for line in lines_of("vllm", "0.9.2")}
    (words,) = [words for at, words in sources.items() if "cases/nodes/" in at]

    assert words[:3] == ["python3", "-m", "vllm.entrypoints.openai.api_server"]


def test_differences_are_found() -> None:
    assert list(differences(LINE, {"seed": 1, "model": "/m"})) == []
    assert list(differences(LINE, {"seed": 2, "model": "/m"})) == ["seed: 1 is read as 2"]
    assert len(list(differences(LINE, {"refused": "no such flag"}))) == 2


def test_a_row_replaces_that_of_its_release() -> None:
    page = f"a\n{BEGIN}{END}b\n"
    for text in ("| vLLM | 0.10.2 | x |\n", "| vLLM | 0.9.2 | y |\n", "| vLLM | 0.10.2 | z |\n"):
        page = with_row(page, text)

    assert page.endswith(f"| vLLM | 0.9.2 | y |\n| vLLM | 0.10.2 | z |\n{END}b\n")
    assert "| x |" not in page


def test_the_page_has_no_exceptions() -> None:
    block = PAGE.read_text().partition(BEGIN)[2].partition(END)[0]
    rows = re.findall(r"^\| (vLLM|SGLang) \| .* \| (\w+) \|$", block, re.MULTILINE)

    assert {last for _, last in rows} == {"none"}
    assert sum(name == "vLLM" for name, _ in rows) >= 4
    assert sum(name == "SGLang" for name, _ in rows) >= 2
