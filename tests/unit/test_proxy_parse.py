from __future__ import annotations

import pytest

from tests.proxy import parse

GROUP = "/apis/workload.serving.volcano.sh/v1alpha1"


@pytest.mark.parametrize(
    ("method", "path", "query", "want"),
    [
        pytest.param("GET", "/version", {}, ("get", "", "", "", ""), id="no resource"),
        pytest.param("GET", f"{GROUP}/", {}, ("get", "", "", "", ""), id="discovery"),
        pytest.param(
            "GET",
            f"{GROUP}/modelboosters",
            {},
            ("list", "modelboosters", "", "", ""),
            id="list over all namespaces",
        ),
        pytest.param(
            "GET",
            f"{GROUP}/modelboosters",
            {"watch": "true"},
            ("watch", "modelboosters", "", "", ""),
            id="watch over all namespaces",
        ),
        pytest.param(
            "PATCH",
            f"{GROUP}/namespaces/n/modelservings/m",
            {},
            ("patch", "modelservings", "", "n", "m"),
            id="apply",
        ),
        pytest.param(
            "PATCH",
            f"{GROUP}/namespaces/n/modelboosters/m/status",
            {},
            ("patch", "modelboosters", "status", "n", "m"),
            id="status",
        ),
        pytest.param(
            "POST", "/api/v1/namespaces", {}, ("create", "namespaces", "", "", ""), id="namespace"
        ),
        pytest.param(
            "GET",
            "/api/v1/namespaces/n",
            {},
            ("get", "namespaces", "", "", "n"),
            id="one namespace",
        ),
        pytest.param(
            "PUT",
            "/api/v1/namespaces/n/finalize",
            {},
            ("update", "namespaces", "finalize", "", "n"),
            id="a namespace's subresource",
        ),
        pytest.param(
            "DELETE",
            "/api/v1/namespaces/n/pods",
            {},
            ("deletecollection", "pods", "", "n", ""),
            id="delete all",
        ),
    ],
)
def test_parse(
    method: str, path: str, query: dict[str, str], want: tuple[str, str, str, str, str]
) -> None:
    assert parse(method, path, query) == want
