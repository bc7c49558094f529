"""Measures how validation scales: four times the size may cost at most eight times the CPU.

Work that is linear gives a ratio of 4, quadratic work 16. A ratio holds on any machine, and CPU
time does not count what other processes do. Prints a table; ends with 1 if a limit is broken.

    python -m bench.growth [--runs 5]
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Iterator

from app.validation import Context, validate
from app.values.meta import Object
from tests.builders import backend, booster_object, policy, worker

FACTOR = 4
MOST = 8.0
"""Limit for the larger of two objects, as a multiple of the smaller one."""

LONG = 1_000_000
"""Characters of the longer text; the shorter one has a quarter."""

Build = Callable[[int], Object]


def texts() -> Iterator[tuple[str, Build]]:
    """Yields objects with one long text, each in a field that is parsed and in several patterns."""
    ways: dict[str, Callable[[str], Object]] = {
        "image": lambda text: {"workers": [worker(image=text)]},
        "modelURI": lambda text: {"modelURI": f"hf://{text}"},
        "cacheURI": lambda text: {"cacheURI": f"pvc://{text}"},
        "name": lambda text: {"name": text},
        "grace period": lambda text: {"scaleToZeroGracePeriod": text},
        "config": lambda text: {"workers": [worker(config={"x": text})]},
    }
    for name, fields in ways.items():
        for piece in ("a", "a-", "/", "1h", "-"):

            def build(
                size: int, piece: str = piece, fields: Callable[[str], Object] = fields
            ) -> Object:
                text = piece * (size * (LONG // FACTOR) // len(piece))
                return booster_object("demo", {**backend(), **fields(text)})

            yield f"{name}, {piece!r} repeated", build


def shapes() -> Iterator[tuple[str, Build]]:
    """Yields objects with many parts."""

    def backends(size: int) -> Object:
        env = [{"name": f"V{n}", "value": "x" * 100} for n in range(650)]
        many = [backend(f"b{n}", env=env, minReplicas=1, maxReplicas=2) for n in range(4 * size)]
        return booster_object("demo", *many, autoscalingPolicy=policy())

    def variables(size: int) -> Object:
        env = [{"name": f"V{n}", "value": "x"} for n in range(1000 * size)]
        return booster_object("demo", backend(env=env))

    def arguments(size: int) -> Object:
        config = {f"argument-{n}": n for n in range(1000 * size)}
        return booster_object("demo", backend(workers=[worker(config=config)]))

    yield "backends", backends
    yield "environment variables", variables
    yield "engine arguments", arguments


def least_ms(obj: Object, runs: int) -> float:
    """Returns the CPU time of one validation, the minimum of several runs, in milliseconds."""
    used = []
    for _ in range(runs):
        begin = time.process_time_ns()
        validate(obj, Context())
        used.append(time.process_time_ns() - begin)
    return min(used) / 1e6


def main() -> int:
    """Measures every case; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--runs", type=int, default=5, help="of each object")
    runs = parser.parse_args().runs
    code = 0
    print(f"{'':<32}{'small, ms':>12}{'x 4, ms':>12}{'ratio':>8}")
    for name, build in (*shapes(), *texts()):
        small, large = (least_ms(build(size), runs) for size in (1, FACTOR))
        ratio = large / small
        print(f"{name:<32}{small:>12.3f}{large:>12.3f}{ratio:>8.1f}")
        if ratio > MOST:
            print(f"{name}: {ratio:.1f} times the cost, at most {MOST:.0f}", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
