"""What ``model-booster engine`` prints, and with which exit code."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Callable

import pytest

from modelbooster.cli.main import main

Said = tuple[int | str | None, str, str]
Ask = Callable[..., Said]


@pytest.fixture
def ask(capsys: pytest.CaptureFixture[str]) -> Ask:
    """Asks about an engine; returns exit code, stdout and stderr."""

    def ask(*args: str) -> Said:
        with pytest.raises(SystemExit) as ended:
            main(("engine", *args))
        out = capsys.readouterr()
        return ended.value.code or 0, out.out, out.err

    return ask


def test_the_flags_of_an_image_are_listed(ask: Ask) -> None:
    code, out, err = ask("vllm/vllm-openai:v0.16.0")

    assert (code, err) == (0, "vLLM 0.16.0: 212 flags\n")
    lines = out.splitlines()
    assert len(lines) == 212
    assert "max-num-seqs: whole number" in lines
    assert "enforce-eager: switch" in lines
    assert "headless: switch, can only be turned on" in lines
    assert "disable-log-requests: switch (deprecated)" in lines


@pytest.mark.parametrize("name", ["tensor-parallel-size", "--tensor_parallel_size"])
def test_all_that_is_known_of_a_flag_is_printed(ask: Ask, name: str) -> None:
    code, out, _ = ask("lmsysorg/sglang:v0.5.23", name)

    assert code == 0
    assert out == (
        "tp-size: whole number\n"
        "  also: --tensor-parallel-size\n"
        "  in the tables of: 0.4.9.post6, 0.5.23\n"
    )


def test_a_flag_that_is_gone_is_told_with_what_to_use(ask: Ask) -> None:
    code, out, err = ask("vllm/vllm-openai:v0.16.0", "task")

    assert (code, out) == (1, "")
    assert "gone since 0.13.0, use runner and convert" in err


def test_an_unknown_release_is_told(ask: Ask) -> None:
    code, _, err = ask("example.com/own:latest", "max-model-len")

    assert code == 0
    assert "the release in the image is unknown" in err


def test_a_stated_release_wins(ask: Ask) -> None:
    code, _, err = ask("example.com/own:latest", "--release", "0.9.2", "--engine", "vllm")

    assert (code, err) == (0, "vLLM 0.9.2: 160 flags\n")


def test_a_release_that_is_none_is_a_wrong_call(ask: Ask) -> None:
    code, out, err = ask("example.com/own:latest", "--release", "newest")

    assert (code, out) == (2, "")
    assert err == 'Error: "newest" is no release; write it as 0.16.0\n'


def test_no_table_is_read_before_it_is_needed() -> None:
    code = "import sys, app.__main__; print(sorted(m for m in sys.modules if 'engines' in m))"

    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)

    assert done.stdout.strip() in ("[]", "['app.engines', 'app.engines.text']")
