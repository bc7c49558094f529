"""The text by which events that wait are searched is in every object that a query may find."""

from __future__ import annotations

import orjson
import pytest

from app.apis.kinds import MODEL_BOOSTER, MODEL_ROUTE, PROFILES
from app.lookup import INDEXES, text_of
from app.values.meta import Object, Resource
from tests.builders import backend, booster_object, lora, policy
from tests.golden.cases import CASES, booster, children

OBJECTS: list[tuple[Resource, Object]] = [
    *((MODEL_BOOSTER, {"metadata": {"namespace": "ns"}, **booster(case)}) for case in CASES),
    *(
        (MODEL_ROUTE, child)
        for case in CASES
        for child in children(case, PROFILES["v0.1.0"])
        if child["kind"] == MODEL_ROUTE.kind
    ),
    (
        MODEL_BOOSTER,
        booster_object(
            "my-model-7b", backend("b-1", autoscalingPolicy=policy()), backend("x"),
            namespace="ns", name="org/Model-7B", autoscalingPolicy=policy(),
        ),
    ),
    (MODEL_BOOSTER, booster_object("m", backend(loraAdapters=[lora("sql")]), namespace="ns")),
]  # fmt: skip


@pytest.mark.parametrize("kind", [MODEL_BOOSTER, MODEL_ROUTE], ids=str)
def test_the_text_is_in_the_object(kind: Resource) -> None:
    seen = set()
    for resource, obj in OBJECTS:
        for index, values in INDEXES.get(resource, {}).items():
            for value in values(obj):
                assert text_of(index, value).encode() in orjson.dumps(obj), (index, value)
                if resource is kind:
                    seen.add(index)
    assert seen == set(INDEXES[kind])


def test_the_text_of_a_child_is_the_begin_of_its_name() -> None:
    assert text_of("child", "ModelServing/my-team/qwen-7b-b1") == "qwen"
