"""Makes ``docs/catalogue.md`` of the catalogue, its parameters, its devices and its memory."""
# ruff: noqa: E501 - the lines of the page are as long as those of other pages

from __future__ import annotations

import inspect
from collections.abc import Iterable, Iterator

from app.catalog import memory
from app.catalog.devices import DEVICES
from app.catalog.images import IMAGES, image_of, release_in
from app.catalog.layouts import layout_of
from app.catalog.memory import gib, memory_of
from app.catalog.parameters import PARAMETERS
from app.catalog.schema import ModelFacts
from app.catalog.templates import Template, engines_of, find_template, templates
from app.engines.names import LABELS
from tools.catalog.figures import TOLERANCE, Figure, figures

_HEAD = """\
<!-- Generated from app/catalog and tools/catalog by "make generate". Do not edit. -->
# The catalogue

The catalogue describes {models} models, with {templates} templates: where a model comes from, how much memory it needs, which
engines serve it, on which devices, and where each fact comes from. A template becomes a ModelBooster:

```sh
model-booster get templates                                            # all of them
model-booster create Qwen/Qwen3-32B --gpu h100                         # prints a ModelBooster for your devices
model-booster create manifest -t Qwen/Qwen3-32B --set maxModelLen=8192 --dry-run
```

A test renders every template with every profile, engine and kthena release, and shows the result to our admission, to a real API
server, and to kthena's own definitions ([test_catalog.py](../tests/component/test_catalog.py)). Nothing in it was run on the
devices themselves.

What a template guarantees, unlike those of kthena's first releases:

- A pinned image whose release serves the model, and arguments that this release takes.
- Tensor parallel size x pipeline parallel size = devices x pods.
- Weights, KV cache and overhead fit into the devices ([below](#memory)).
- Names without dots that leave room for the names of pods; twins for other devices have names of their own.
- The engine serves the model under the name that clients send.
- Models that are gated get their token from a Secret.
"""

_MEMORY = """\
## Memory

`memory_of` in [app/catalog/memory.py](../app/catalog/memory.py) adds up what the fullest device of an engine holds. The test of
the catalogue, `create`, and a [warning of admission](validation.md#models-fit-their-devices) use it.

{docstring}

Constants: {context} for the context of a device, {communication} more if an engine has several, {graphs} for graphs, {images} for
models that take images or sound; {sampler} bytes of each entry of the vocabulary and sequence; {factor} x `hidden` elements of each
token of a batch. MXFP4 weights take {padding:.0%} more on the device than in the file. Templates set 256 sequences and, for vLLM,
`gpu-memory-utilization` 0.9: everything must fit into 90 % of the device. For SGLang they set `mem-fraction-static` 0.85: weights and KV cache
must fit into 85 %; the rest holds the activations.

For example {example} with vLLM:

```
{lines}
```

Layers with a sliding window save memory only if the engine gives back what is out of sight. vLLM before 0.21.0 does not do so while
it publishes KV-cache events, which the operator turns on (`kv-events-config: null` turns it off). Models with layers that have a
state do not even start there; the webhook warns of that. Prefill and decode in pods of their own keep every token, too. SGLang reserves
room for all tokens in such layers, or for 0.8 of them (`swa-full-tokens-ratio`), so fewer requests of a profile fit.

### Compared with logs

What engines logged of {models} models, and what is computed for the same arguments. Weights differ by at most {weights:.0%}, and so
does the size of a token or request in the KV cache ({tokens:.0%}). Memory for the KV cache differs by at most {kv:.0%} of the device; less is computed
than there is, because the overhead is rounded up. A test holds all of this.
"""

_DEVICES = """\
## Devices

The memory is what a process can use, as engines report it; drivers keep some of what is printed on the device. `create --gpu` takes
the names; `create` without it reads the labels of the nodes, and the webhook a required node affinity with such a label. A MIG resource
(`nvidia.com/mig-3g.40gb`) tells its memory. If nothing tells the device, the webhook assumes the largest one of its vendor.
"""

_PARAMETERS = """\
## Parameters

`--set name=value` sets one, `-f FILE` several; later ones win, and mappings are merged. Values of `--set` are YAML: `8192` is a number,
`true` is a truth value, `[a, b]` a list, and quotes make a text. `config.seed=1` sets a part of an object, `loraAdapters[0].name=a` a part of a list, and a
backslash hides a dot or comma. `0`, `false` and `""` are values; `null` is none. An unknown name is an error that names the nearest one.

The names are those of kthena's templates, with ours added. Some defaults differ on purpose: `owner` and `annotationName` are absent; `backendName` is
the engine, which leaves room for the names of pods; there is one replica and no autoscaling until `minReplicas` is below `maxReplicas`;
`targetValue` is 5, because kthena's router refuses requests from 10 waiting on; NPU and prefill/decode twins have names of their own.
"""


def page() -> Iterator[str]:
    """Yields the lines of the page."""
    every = list(templates())
    models = [template.model for template in every if template.variant is None]
    yield _HEAD.format(models=len(models), templates=len(every))
    yield ""
    yield from _table(
        ("template", "parameters", "weights", "context", "profiles (the best first)", "engines"),
        (_row(template) for template in every),
    )
    yield ""
    yield from _memory()
    yield ""
    yield from _figures(list(figures()))
    yield ""
    yield _DEVICES
    yield from _table(
        ("name", "device", "memory", "resource", "also"),
        (
            (f"`{d.name}`", d.title, gib(d.memory), f"`{d.resource}`", ", ".join(d.other_names))
            for d in DEVICES
            if d.memory
        ),
    )
    yield ""
    yield "Images: " + "; ".join(
        f"{LABELS[engine]} for `{resource}`: `{image}`"
        for (engine, resource), image in IMAGES.items()
    )
    yield ""
    yield _PARAMETERS
    yield from _table(
        ("name", "type", "default", "meaning"),
        ((f"`{p.name}`", p.type, p.default, p.meaning) for p in PARAMETERS),
    )
    yield ""
    yield "## Models"
    for model in models:
        yield ""
        yield from _model(model)


def _table(head: tuple[str, ...], rows: Iterable[tuple[str, ...]]) -> Iterator[str]:
    yield f"| {' | '.join(head)} |"
    yield f"|{'---|' * len(head)}"
    for row in rows:
        yield f"| {' | '.join(cell.replace('|', chr(92) + '|') for cell in row)} |"


def _row(template: Template) -> tuple[str, ...]:
    model = template.model
    active = f", {_count(model.active_parameters)} active" if model.active_parameters else ""
    return (
        f"[{template.name}](#{_anchor(model.name)})",
        f"{_count(model.parameters)}{active}",
        f"{gib(model.weights.bytes)} {model.weights.precision.upper()}",
        f"{model.context:,}",
        ", ".join(profile.name for profile in template.profiles),
        ", ".join(LABELS[engine] for engine in template.engines),
    )


def _count(number: int) -> str:
    billions = number / 1e9
    return f"{billions:.0f}B" if billions >= 100 else f"{billions:.1f}B"


def _anchor(title: str) -> str:
    kept = "".join(c for c in title.lower() if c.isalnum() or c in "-_ ")
    return kept.replace(" ", "-")


def _memory() -> Iterator[str]:
    template = find_template("Qwen/Qwen3-32B")
    profile = template.profiles[0]
    of = release_in("vllm", image_of(template.model, profile, "vllm"))
    breakdown = memory_of(template.model, layout_of(template, profile, "vllm", of))
    text = inspect.getdoc(memory) or ""
    yield _MEMORY.format(
        docstring=text[text.index("* **Weights**") :].replace("``", "`"),
        context=f"{memory.CONTEXT_BYTES / memory.GIB:g} GiB",
        communication=f"{memory.COMMUNICATION_BYTES / memory.GIB:g} GiB",
        graphs=f"{memory.GRAPH_BYTES / memory.GIB:g} GiB",
        images=f"{memory.IMAGE_BYTES / memory.GIB:g} GiB",
        sampler=memory.SAMPLER_BYTES,
        factor=memory.LAYER_FACTOR,
        padding=memory.PADDING["mxfp4"] - 1,
        example=f"{template.name} on {profile.name}",
        lines="\n".join(breakdown.lines()),
        models=len({figure.model for figure in figures()}),
        **TOLERANCE,
    )


_KINDS = {
    "weights": "weights, GiB",
    "kv": "memory for the KV cache, GiB",
    "tokens": "tokens in that memory",
    "requests": "requests in that memory",
}


def _figures(found: list[Figure]) -> Iterator[str]:
    def number(figure: Figure, value: float) -> str:
        return f"{value:,.0f}" if figure.kind == "tokens" else f"{value:,.2f}"

    yield from _table(
        ("model", "engine", "devices", "what", "logged", "computed", "difference", "source"),
        (
            (
                f.model.partition("/")[2],
                f.engine,
                f.place,
                _KINDS[f.kind],
                number(f, f.logged),
                number(f, f.computed),
                f"{f.difference:+.1%}" + (" of the device" if f.kind == "kv" else ""),
                (f"[log]({f.source})" if f.source.startswith("https:") else f.source)
                + (f" ({f.note})" if f.note else ""),
            )
            for f in found
        ),
    )


def _model(model: ModelFacts) -> Iterator[str]:
    yield f"### {model.name}"
    yield ""
    gated = "gated: the download needs a token" if model.gated else "not gated"
    at = "" if model.revision == "main" else f" at `{model.revision}`"
    yield (
        f"{model.title}. Repository [{model.repository}](https://huggingface.co/{model.repository})"
        f"{at}, {gated}; license {model.license}; `{model.architecture}`; "
        f"{', '.join(model.modalities)}."
    )
    yield ""
    yield f"KV cache: {_cache(model)}."
    yield ""
    yield "Engines: " + "; ".join(
        f"{LABELS[name]} from {served.since} on"
        + (f" with `{_arguments(served.arguments)}`" if served.arguments else "")
        for name, served in model.engines.items()
    )
    yield ""
    yield from _table(
        ("template", "profile", "context", "requests", "engine", "weights", "KV cache", "left"),
        (row for t in _templates_of(model) for row in _profiles(t)),
    )
    yield ""
    yield "Sources: " + "; ".join(
        f"{', '.join(source.facts)}: <{source.url}>" + (f" ({source.note})" if source.note else "")
        for source in model.sources
    )


def _templates_of(model: ModelFacts) -> Iterator[Template]:
    yield Template(model)
    for variant in model.variants:
        yield Template(model, variant)


def _arguments(arguments: dict[str, object]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in arguments.items())


def _cache(model: ModelFacts) -> str:
    of = model.attention
    if of.latent_size:
        kind = f"latent attention, {of.latent_size} + {of.rope_size} elements of a token"
    else:
        kind = f"{of.kv_heads} KV heads of {of.head_size} elements ({of.heads} query heads)"
    more = f", {of.index_bytes} bytes for the indexer" if of.index_bytes else ""
    text = f"{model.kv_layers} layers, {kind}{more}"
    if model.sliding:
        text += f"; {model.sliding.layers} of them keep {model.sliding.window:,} tokens"
    if model.state:
        text += f"; {model.state.layers} layers with a state of {model.state.bytes / 2**20:.1f} MiB"
    return text


def _profiles(template: Template) -> Iterator[tuple[str, ...]]:
    for profile in template.profiles:
        for engine in engines_of(template, profile):
            of = release_in(engine, image_of(template.model, profile, engine))
            found = memory_of(template.model, layout_of(template, profile, engine, of))
            yield (
                template.name.partition("/")[2],
                profile.name,
                f"{profile.context:,}",
                str(found.layout.concurrency),
                LABELS[engine],
                gib(found.weights),
                gib(found.kv_needed),
                gib(found.kv_available - found.kv_needed),
            )
