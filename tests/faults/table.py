"""The faults that the program must survive; ``@pytest.mark.fault("F01")`` marks their tests.

A test run prints this table with the result of each fault. ``tests/unit/test_fault_table.py``
checks that every fault has a test and that every marker names a fault of this table.
"""

from __future__ import annotations

import ast
from collections.abc import Iterable, Mapping
from functools import cache
from pathlib import Path

TESTS = Path(__file__).parents[1]

FAULTS: dict[str, str] = {
    "F01": "the API server restarts",
    "F02": "a watch is cut after any byte",
    "F03": "a watch goes silent",
    "F04": "410 Gone, as a status and as an event",
    "F05": "the server is behind a resource version",
    "F06": "streaming lists are refused or cut",
    "F07": "429 with any Retry-After",
    "F08": "bursts of 5xx",
    "F09": "every response is late",
    "F10": "a write succeeds and its response is lost",
    "F11": "refused, unresolvable or untrusted server",
    "F12": "malformed responses",
    "F13": "events are sent twice",
    "F14": "events of several kinds in the wrong order",
    "F15": "events of one object in the wrong order",
    "F16": "a long time with bookmarks only",
    "F17": "a long list is cut",
    "F18": "the token changes on disk",
    "F19": "the clock jumps or runs slow",
    "F20": "the process is suspended",
    "F21": "renewals fail during a write",
    "F22": "two leaders at once",
    "F23": "the Lease is deleted or edited",
    "F24": "the leader loses its connection",
    "F25": "SIGTERM in the middle of a pass",
    "F26": "killed after any request of a pass",
    "F27": "the Lease is lost repeatedly",
    "F28": "killed and restarted, with many objects",
    "F29": "a background task raises",
    "F30": "repeated 409 conflicts",
    "F31": "a child kind is missing, removed, installed",
    "F32": "a child is rejected",
    "F33": "a permission is revoked and granted again",
    "F34": "the namespace is being deleted",
    "F35": "a quota is used up, then raised",
    "F36": "a child's name is taken",
    "F37": "a child is edited by hand",
    "F38": "a child is deleted by hand, or slowly",
    "F39": "an owner reference is removed or replaced",
    "F40": "deleted and recreated under the same name",
    "F41": "deleted in the foreground",
    "F42": "a backend is renamed or removed",
    "F43": "a burst of edits",
    "F44": "an autoscaler writes the replicas",
    "F45": "a child's status is absurd",
    "F46": "a stored object breaks a rule",
    "F47": "settings change or are invalid",
    "F50": "a certificate is about to end",
    "F51": "the Secret is deleted or invalid",
    "F52": "a CA bundle is removed or replaced",
    "F53": "a webhook configuration is recreated",
    "F54": "two replicas start on an empty Secret",
    "F55": "killed at any step of a rotation",
    "F56": "the clock is off by ten minutes",
    "F60": "webhook pods are replaced under load",
    "F61": "a connection is reused after a long idle time",
    "F62": "500 connections of each half-open kind",
    "F63": "a flood of TLS handshakes",
    "F64": "a reset after every response",
    "F65": "bodies too long, endless or of a wrong length",
    "F66": "deep, wide and enormous values",
    "F67": "invalid JSON or UTF-8",
    "F68": "duplicate keys",
    "F69": "other capitalization, unknown fields",
    "F70": "no review, or a review of another kind",
    "F71": "other methods, paths, protocols and framing",
    "F72": "other content types and encodings",
    "F73": "our own code raises",
    "F74": "randomly mutated reviews",
    "F75": "texts that are slow for regular expressions",
    "F76": "a huge valid object",
    "F77": "the default is requested twice",
}
"""Name of each fault -> what goes wrong."""


@cache
def marked() -> Mapping[str, tuple[str, ...]]:
    """Returns the tests that carry each fault marker, read from the source of all tests.

    Returns:
        Name of the fault -> names of test functions as ``tests/path.py::function``, sorted.
    """
    tests: dict[str, list[str]] = {}
    for path in sorted(TESTS.rglob("test_*.py")):
        text = path.read_text()
        if "mark.fault(" not in text:
            continue
        for node in ast.parse(text).body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                for name in _markers(node):
                    nodeid = f"{path.relative_to(TESTS.parent)}::{node.name}"
                    tests.setdefault(name, []).append(nodeid)
    return {name: tuple(nodeids) for name, nodeids in tests.items()}


def _markers(function: ast.FunctionDef | ast.AsyncFunctionDef) -> list[str]:
    calls = [call for call in function.decorator_list if isinstance(call, ast.Call)]
    calls = [call for call in calls if ast.unparse(call.func) == "pytest.mark.fault"]
    return [ast.literal_eval(argument) for call in calls for argument in call.args]


def results(reports: Mapping[str, Iterable[object]]) -> dict[str, set[str]]:
    """Returns the outcomes of each test function: test -> passed, failed, error, skipped.

    Args:
        reports: what ``TerminalReporter.stats`` holds: outcome -> reports with ``nodeid``.
    """
    found: dict[str, set[str]] = {}
    for outcome in ("passed", "failed", "error", "skipped"):
        for report in reports.get(outcome, ()):
            nodeid: str = getattr(report, "nodeid", "")
            found.setdefault(nodeid.partition("[")[0], set()).add(outcome)
    return found


def verdict(name: str, outcomes: Mapping[str, set[str]]) -> str:
    """Returns the result of a fault: ``passed``, ``FAILED``, ``in part`` or ``not run``."""
    tests = marked().get(name, ())
    ran = [test for test in tests if test in outcomes]
    if any(outcomes[test] != {"passed"} for test in ran):
        return "FAILED"
    if not ran:
        return "not run"
    return "passed" if len(ran) == len(tests) else "in part"


def lines(outcomes: Mapping[str, set[str]], *, every: bool) -> list[str]:
    """Returns the table, one fault per line.

    Args:
        outcomes: what ``results`` returned.
        every: also print the faults without any test in this run.
    """
    table = []
    for name, text in FAULTS.items():
        ran = [test for test in marked().get(name, ()) if test in outcomes]
        if ran or every:
            first = ran[0].rpartition("/")[2] if ran else ""
            more = f" and {len(ran) - 1} more" if len(ran) > 1 else ""
            table.append(f"{name}  {verdict(name, outcomes):8} {text:45} {first}{more}".rstrip())
    return table
