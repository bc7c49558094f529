"""Arguments of the commands that look at a cluster, as far as they need none."""

from __future__ import annotations

import pytest

from app.errors import ApiError, Forbidden, Invalid, NotFound
from modelbooster.authoring.applying import refusal
from modelbooster.cli.main import main
from modelbooster.observe.kinds import kind_named
from modelbooster.observe.reading import explained


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("status a/b", '"a/b" is no name of an object; write NAME or KIND/NAME'),
        ("wait mb/a/b", '"mb/a/b" is no name of an object'),
        ("chat mb/", '"mb/" is no name of an object'),
        ("logs ms/a", '"ms/a" is no ModelBooster; write mb/a or a'),
        ("describe mb ../../x", '"../../x" is no name of an object'),
        ("describe mb ms/x", "the kind is given twice"),
        ("describe template", "name the template: model-booster describe template NAME"),
        ("get a/b", '"a/b" is no name of an object'),
        ("get -n X/Y", '--namespace "X/Y": a lowercase RFC 1123 label must'),
        ("status --namespace A", '--namespace "A": a lowercase RFC 1123 label must'),
    ],
)
def test_a_wrong_argument_is_told(
    words: str, said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as ended:
        main(words.split())
    out = capsys.readouterr()
    assert (ended.value.code, out.out) == (2, "")
    assert out.err.startswith(f"Error: {said}")


def test_a_kind_is_found_as_kubectl_prints_it() -> None:
    kind = kind_named("mb")
    assert kind is not None
    assert kind_named("modelbooster.workload.serving.volcano.sh") is kind
    assert kind_named("ModelBoosters.workload.serving.volcano.sh") is kind
    assert kind_named("modelbooster.example.com") is None


@pytest.mark.parametrize(
    ("message", "way_out"),
    [
        ('cannot list x in the namespace "a"', "ask for the ClusterRole view in this namespace"),
        ("cannot list x at the cluster scope", "or name one with -n, without -A"),
    ],
)
def test_a_missing_right_names_the_role_and_where(message: str, way_out: str) -> None:
    error = Forbidden(403, "Forbidden", message)
    assert str(explained(error)).startswith(f"{message}; ask for")
    assert str(explained(error)).endswith(way_out)


def test_a_namespace_that_cannot_exist_is_refused(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as ended:
        main(["create", "Qwen3-8B", "--gpu", "l4", "-n", "My_Team"])
    out = capsys.readouterr()
    assert (ended.value.code, out.out) == (1, "")
    assert 'metadata.namespace: Invalid value: "My_Team": a lowercase RFC 1123 label' in out.err


@pytest.mark.parametrize(
    ("error", "way_out"),
    [
        (Forbidden(403, "Forbidden", "u cannot patch resource x"), "ClusterRole edit"),
        (Forbidden(403, "Forbidden", 'admission webhook "w" denied it'), 'webhook "w" denied it'),
        (ApiError(500, "InternalError", 'failed calling webhook "w": refused'), "look at its pods"),
        (Invalid(500, "", ".spec.backends: field not declared in schema"), "--kthena RELEASE"),
        (NotFound(404, "NotFound", 'namespaces "a" not found'), "kubectl create namespace a"),
    ],
)
def test_a_refused_apply_says_the_way_out(error: ApiError, way_out: str) -> None:
    assert refusal(error).startswith(error.message)
    assert way_out in refusal(error)
