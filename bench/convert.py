"""Measures a conversion from the stored object: canonical form, drafts of the children, children.

Each column includes the one before it. Admission needs drafts; labels, owner and revision are for
children that are sent. Limits: a typical ModelBooster with two backends takes less than 1 ms, one
with sixteen less than 10 ms; the canonical form takes at most half of the whole. Prints a table;
ends with 1 if a limit is broken.

    python -m bench.convert [--seconds 2]
"""

from __future__ import annotations

import argparse
import statistics
import sys
import time
from collections.abc import Callable

from app.apis.kinds import Profile
from app.apis.modelbooster import ModelBooster
from app.convert import child_drafts, desired_children
from app.convert.options import Options
from app.model.canonical import canonical
from app.model.forms import Model
from app.values.meta import Object
from tests.builders import backend, disaggregated, lora, policy, stored_object, worker

LIMITS_MS = {"two backends": 1.0, "sixteen backends": 10.0}
MEANING_SHARE = 0.5
"""The part of a conversion that parsing and the canonical form may take."""

OPTIONS = Options()


def typical(name: str, **fields: object) -> Object:
    """A typical backend: a cache, credentials, resources, some arguments."""
    config = {
        "served-model-name": "qwen3-8b",
        "max-model-len": 32768,
        "gpu-memory-utilization": 0.9,
        "tensor-parallel-size": 2,
        "enable-prefix-caching": "",
    }
    resources = {"limits": {"nvidia.com/gpu": "2", "memory": "64Gi"}, "requests": {"cpu": "8"}}
    return backend(
        name,
        cacheURI="hostpath:///var/cache/models",
        envFrom=[{"secretRef": {"name": "hugging-face"}}],
        env=[{"name": "HF_ENDPOINT", "value": "https://hf.example"}],
        workers=[worker(config=config, resources=resources)],
        **{"minReplicas": 1, "maxReplicas": 4, "scalingCost": 10, **fields},
    )


def cases() -> dict[str, Object]:
    """The ModelBoosters that are measured."""
    two = [typical("b0", loraAdapters=[lora("sql")]), typical("b1", routeWeight=50)]
    sixteen = [typical(f"b{n}", loraAdapters=[lora(f"a{n % 8}")]) for n in range(16)]
    return {
        "least": stored_object("demo"),
        "two backends": stored_object("demo", *two, autoscalingPolicy=policy()),
        "disaggregated": stored_object("demo", disaggregated()),
        "sixteen backends": stored_object("demo", *sixteen, autoscalingPolicy=policy()),
    }


def median_ms(work: Callable[[], object], seconds: float) -> float:
    """Returns the median duration of ``work`` over many runs, in milliseconds."""
    times: list[int] = []
    end = time.perf_counter() + seconds
    while len(times) < 5 or time.perf_counter() < end:
        # CPU time of the process: other load on the machine does not count.
        begin = time.process_time_ns()
        work()
        times.append(time.process_time_ns() - begin)
    return statistics.median(times) / 1e6


def main() -> int:
    """Measures every case; returns the exit code."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seconds", type=float, default=2, help="per figure")
    seconds = parser.parse_args().seconds
    print(f"{'ms, median':<18}{'meaning':>10}{'drafts':>10}{'children':>10}{'limit':>8}")
    code = 0
    for name, obj in cases().items():

        def meaning(obj: Object = obj) -> Model:
            return canonical(ModelBooster.model_validate(obj))

        def said(of: Callable[[], Model] = meaning) -> object:
            return child_drafts(of(), Profile.B, OPTIONS)

        def whole(of: Callable[[], Model] = meaning) -> object:
            return desired_children(of(), Profile.B, OPTIONS)

        parts = [median_ms(work, seconds) for work in (meaning, said, whole)]
        took, limit = parts[-1], LIMITS_MS.get(name)
        print(f"{name:<18}{''.join(f'{part:>10.3f}' for part in parts)}{limit or '':>8}")
        if limit and took > limit:
            print(f"{name}: {took:.3f} ms is more than {limit} ms", file=sys.stderr)
            code = 1
        if (share := parts[0] / took) > MEANING_SHARE:
            print(f"{name}: its meaning takes {share:.2f} of the whole", file=sys.stderr)
            code = 1
    return code


if __name__ == "__main__":
    sys.exit(main())
