"""Every value of ``config`` reaches the engine as exactly one argument.

The tests expand the generated command lines like the kubelet and run them with a real bash. Fake
versions of Ray's script and of Python record their arguments.
"""

from __future__ import annotations

import subprocess
from collections.abc import Mapping
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from app.apis.kinds import Profile
from app.convert import desired_children
from app.convert.options import Options
from app.model.arguments import arguments
from app.values.meta import Object
from tests.builders import backend, lora, model, worker

AWKWARD = [
    *(
        "",
        " ",
        "a b",
        "it's",
        '"',
        "''",
        "\\",
        "\\'",
        "$HOME",
        "${HOME}",
        "$(id)",
        "`id`",
        "$$",
        "$",
    ),
    *("$$(HOME)", "$(", "$(a", ")", "a\nb", "\n", "\t", "\r", "{a,b}", '{"a":["b"]}', "[x]*?", "~"),
    *("!", "!!", "#", "# x", ";", "&&", "||", "|", ">", "<", ">(x)", "<<E", "&", "-", "--", "-x"),
    *(
        "--help",
        "=",
        "a=b",
        "%s",
        "ü",
        "日本",
        "🐍",
        "\x7f",
        "\x01",
        "\u2028",
        "\ufeff",
        "(",
        "((",
        "))",
    ),
]
CHARACTERS = st.characters(exclude_categories=["Cs"], exclude_characters="\0")
TEXTS = st.one_of(
    st.sampled_from(AWKWARD), st.text(CHARACTERS), st.text("'\"\\$`(){} \nab", max_size=9)
)
KEYS = st.one_of(
    st.sampled_from(["max-model-len", "a_b", "Upper", "x y", "it's", "$(id)", "--dashed", ""]),
    st.text(CHARACTERS.filter(lambda c: c not in "-_"), min_size=1, max_size=6),
)
JSON = st.recursive(
    st.one_of(TEXTS, st.integers(), st.booleans(), st.none(), st.floats(allow_nan=False)),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(TEXTS, inner, max_size=3),
    max_leaves=4,
)
CONFIGS = st.dictionaries(KEYS, JSON, max_size=5)


@pytest.fixture(scope="module")
def image(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Returns a working directory like that of an engine's image."""
    folder = tmp_path_factory.mktemp("image")
    script = folder / "examples" / "online_serving" / "multi-node-serving.sh"
    script.parent.mkdir(parents=True)
    noting = '#!/bin/bash\nprintf \'%s\\0\' "${0##*/}" "$@" >> "$NOTES"\n'
    for path in (script, folder / "python3"):
        path.write_text(noting)
    (folder / "python3").chmod(0o755)
    script.chmod(0o644)  # the command itself makes it executable
    return folder


def run(image: Path, command: list[str], env: Mapping[str, str]) -> list[list[str]]:
    """Returns the program names and arguments of what a container's command starts."""
    notes = image / "notes"
    notes.unlink(missing_ok=True)
    path = {"PATH": f"{image}:/usr/bin:/bin", "NOTES": str(notes), "HOME": "/wrong"}
    expanded = [expand(word, env) for word in command]
    subprocess.run(expanded, cwd=image, env=path, check=True, capture_output=True, timeout=30)
    words = notes.read_bytes().decode().split("\0")[:-1]
    starts = [i for i, word in enumerate(words) if word in {"multi-node-serving.sh", "python3"}]
    return [words[a:b] for a, b in zip(starts, [*starts[1:], len(words)], strict=True)]


def expand(text: str, env: Mapping[str, str]) -> str:
    """Expands a command like the kubelet: ``$(NAME)`` if the variable exists; ``$$`` is ``$``.

    https://github.com/kubernetes/kubernetes/blob/master/third_party/forked/golang/expansion/expand.go
    """
    done, rest = "", text
    while "$" in rest:
        before, _, rest = rest.partition("$")
        done += before
        if rest.startswith("$"):
            done, rest = done + "$", rest[1:]
        elif rest.startswith("(") and ")" in rest:
            name, _, rest = rest[1:].partition(")")
            done += env.get(name, f"$({name})")
        else:
            done, rest = done + "$" + rest[:1], rest[1:]
    return done + rest


def engine_commands(config: Object, **fields: int) -> list[list[str]]:
    """Returns the commands of the engine and of the follower, if there is one."""
    workers = [worker(config=config, **fields)]
    served = model("demo", backend(workers=workers, loraAdapters=[lora("sql")]))
    (serving, *_) = desired_children(served, Profile.B, Options())
    (role,) = serving.object["spec"]["template"]["roles"]
    pods = [role[part]["spec"] for part in ("entryTemplate", "workerTemplate") if part in role]
    return [pod["containers"][-1]["command"] for pod in pods]


def wanted(config: Object) -> list[str]:
    """Returns the words of ``config``; ``tests/unit/test_engines_words.py`` tests their form."""
    return arguments(
        model("demo", backend(workers=[worker(config=config)])).backends[0].workers[0]
    ).words


RUN = settings(max_examples=40)
ENV = {"POD_NAME": "demo-b1-0-leader-0-0"}


@RUN
@given(config=CONFIGS)
def test_one_node(image: Path, config: Object) -> None:
    """The container's command is the engine's command, word for word."""
    (command,) = engine_commands(config)

    after_model = command.index("--model") + 2
    assert command[after_model : after_model + len(wanted(config))] == wanted(config)
    assert run(image, command, ENV) == [[expand(word, ENV) for word in command]]


@RUN
@given(config=CONFIGS)
def test_several_nodes(image: Path, config: Object) -> None:
    """Through bash the engine gets the same arguments as on one node, plus Ray's flag."""
    (alone,) = engine_commands(config)
    leader, follower = engine_commands(config, pods=3)

    ray, engine = run(image, leader, ENV)

    at = alone.index("--model") + 2 + len(wanted(config))
    several = [*alone[:at], "--distributed_executor_backend", "ray", *alone[at:]]
    assert ray == ["multi-node-serving.sh", "leader", "--ray_cluster_size=3", "--num-gpus=0"]
    assert engine == [expand(word, ENV) for word in several]
    assert run(image, follower, {"ENTRY_ADDRESS": "demo-b1-0-leader-0-0.default"}) == [
        ["multi-node-serving.sh", "worker", "--ray_address=demo-b1-0-leader-0-0.default"]
    ]


@RUN
@given(
    words=st.lists(st.text("$()a' ", max_size=5), min_size=1, max_size=4),
)
def test_unclosed_expansion_does_not_swallow_the_next_word(image: Path, words: list[str]) -> None:
    """Kubernetes expands the whole script: ``$(`` in one word must not end in another."""
    config = {f"x{position}": word for position, word in enumerate(words)}
    env = {"a": "value", "": "empty"}

    _, engine = run(image, engine_commands(config, pods=2)[0], env)

    assert engine[5 : 5 + len(wanted(config))] == [expand(word, env) for word in wanted(config)]


@pytest.mark.parametrize("text", AWKWARD)
def test_texts_that_break_shells(image: Path, text: str) -> None:
    """Texts that break shells arrive unchanged."""
    _, engine = run(image, engine_commands({"chat-template": text}, pods=2)[0], {})

    option = text[:1] in ("", "-")  # else the engine would take it for a flag
    want = [f"--chat-template={text}"] if option else ["--chat-template", text]
    assert engine[5 : 5 + len(want)] == [expand(word, {}) for word in want]


def test_kubernetes_expands_variables() -> None:
    """Variables are also expanded inside the script that bash runs."""
    assert expand("a $(POD_NAME) $$(POD_NAME) $(OTHER) $", ENV) == (
        "a demo-b1-0-leader-0-0 $(POD_NAME) $(OTHER) $"
    )
