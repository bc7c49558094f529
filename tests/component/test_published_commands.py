"""Published commands keep their meaning: to a ModelBooster, and back to the words of the engine."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from app.engines.release import release
from app.engines.table import Table, table
from app.errors import UsageError
from app.values.meta import Object
from modelbooster.cli.options import context_for
from modelbooster.commandline.draft import draft
from modelbooster.commandline.program import find_launch
from modelbooster.commandline.reading import Choices
from modelbooster.offline.answers import answers, children
from modelbooster.offline.documents import Document
from tests.engine_parsers import read_back
from tests.published_commands import PUBLISHED, Published

_OURS = frozenset(
    {"host", "port", "model", "model-path", "served-model-name", "distributed-executor-backend"}
    | {"nnodes", "node-rank", "master-addr", "master-port", "headless", "dist-init-addr"}
    | {"enable-metrics", "lora-modules", "enable-lora", "revision", "api-key"}
)
"""What conversion writes itself, and secrets."""


def _no_files(name: str) -> str:
    raise AssertionError(f"{name} is read")


@pytest.mark.parametrize("published", PUBLISHED, ids=lambda one: one.name)
def test_a_published_command_becomes_the_same_engine(published: Published) -> None:
    found = draft(published.text, Choices(model_uri=published.model_uri), _no_files)

    (worker,) = found.booster["spec"]["backends"][0]["workers"]
    (answer,) = answers(
        [Document("test", found.booster)], context_for(None), strict=True, note=print
    )
    assert answer.faults == ()
    limits = {n: v for n, v in worker.get("resources", {}).get("limits", {}).items() if "/" in n}
    assert ",".join(f"{name}={amount}" for name, amount in limits.items()) == published.devices
    assert worker["pods"] == published.pods
    launch = find_launch(published.text, _no_files)
    rules = table(launch.engine, release(published.release))
    given, written = (_read(rules, words) for words in (launch.words, _rendered(children(answer))))
    for note in found.notes:
        if "is left out: the file is on your machine" in note:
            del given[note.partition(" ")[0].removeprefix("--")]
    if given.get("tokenizer") == launch.words[0]:
        del given["tokenizer"]
    if "kv-events-config" not in given:
        written.pop("kv-events-config", None)
    left = {name: value for name, value in given.items() if name not in _OURS}
    assert {name: value for name, value in written.items() if name not in _OURS} == left


def _rendered(objects: Sequence[Object]) -> list[str]:
    """Returns the arguments of the engine in the pod that takes the requests."""
    (serving,) = (one for one in objects if one["kind"] == "ModelServing")
    (role,) = serving["spec"]["template"]["roles"]
    containers = {c["name"]: c for c in role["entryTemplate"]["spec"]["containers"]}
    command: list[str] = containers["engine"]["command"]
    return command[3:]  # after python3 -m MODULE, or vllm serve MODEL


def _read(rules: Table, words: Sequence[str]) -> dict[str, Any]:
    """Returns what the engine reads, by a parser that is not the one under test."""
    long = []
    for word in words:
        name, dot, part = word.lstrip("-").partition(".")
        flag = None if word.startswith("--") or not word.startswith("-") else rules.short(name)
        if flag is not None:
            long.append(f"--{flag.name}{dot}{part}")
        elif word == "-O3" and "optimization-level" not in rules:
            long += ["--compilation-config.level", "3"]
        else:
            long.append(word)
    model = ["--model", long.pop(0)] if long and not long[0].startswith("-") else []
    found = read_back(rules, [*model, *long])
    return {name: value for name, value in found.items() if not (model and name == "model")}


_PIECES = (
    *(
        "'",
        '"',
        "\\",
        "\n",
        "$",
        "`",
        "$(",
        "${",
        "#",
        " -",
        "--",
        "=",
        ",",
        "{",
        "[",
        "\0",
        "\ue000",
    ),
    *("<x>", "|", ">", "&&", ";", "(", "-tp", "-O", "-e", "-v :", "--gpus", "--env", "--env-file "),
    *("bash -c", "docker run", "--lora-modules", "--kv-transfer-config", "null", "-1", "9" * 400),
)


@given(
    st.sampled_from(PUBLISHED),
    st.lists(st.tuples(st.floats(0, 1), st.sampled_from(_PIECES), st.integers(0, 9)), min_size=1),
)
def test_a_damaged_command_is_read_or_refused(
    published: Published, damages: list[tuple[float, str, int]]
) -> None:
    text = published.text
    for place, piece, lost in damages:
        at = int(place * len(text))
        text = text[:at] + piece + text[at + lost :]
    choices = Choices(model_uri=published.model_uri)
    try:
        found = draft(text, choices, lambda name: "A=b\nC\n=x\n")
    except UsageError:
        return
    answers([Document("test", found.booster)], context_for(None), strict=True, note=print)


def test_there_are_enough_of_them() -> None:
    assert len(PUBLISHED) >= 45
    assert len({one.name for one in PUBLISHED}) == len(PUBLISHED)
