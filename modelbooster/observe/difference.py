"""What applying files would change in a cluster: children, and which pods restart."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from app.apis.kinds import (
    DEFAULT_RELEASE,
    MANAGED_BY,
    MODEL_BOOSTER,
    MODEL_SERVING,
    PROFILES,
    WORKLOAD,
    read_kthena_release,
)
from app.convert.options import Options
from app.errors import ApiError
from app.installed import Detector, Installed
from app.validation import Context
from app.values.meta import Key, Object, key_of
from app.values.untyped import as_dict
from modelbooster.observe.access import Cluster
from modelbooster.observe.reading import explained
from modelbooster.offline.answers import Answer, answers, is_booster
from modelbooster.offline.documents import Document
from modelbooster.offline.preview import Preview, previews
from modelbooster.offline.waiting import Comparison, Effect, compare


@dataclass(frozen=True, slots=True)
class Difference:
    """What changes for one ModelBooster.

    Args:
        preview: the changes to its children.
        stored: its stored ModelServings, compared with what the operator would write today; None
            if the cluster does not have the ModelBooster.
        is_changed: whether its spec changes.
    """

    preview: Preview
    stored: Comparison | None
    is_changed: bool

    def text(self) -> str:
        """Returns the difference as text; ``""`` if there is none."""
        if not self.is_changed:
            return ""
        lines = self.preview.text().splitlines()
        if self.stored is None:
            lines[0] = f"{lines[0].removesuffix(':')} is new:"
        elif not self.preview.changes:
            lines[1:] = ["  its spec changes, but no child does"]
        for serving in self.stored.servings if self.stored else ():
            if serving.effect is Effect.WAITS:
                lines.append(
                    f"  ModelServing {serving.name} keeps an older template now; a restart of its "
                    "pods brings the newer one too"
                )
        return "".join(line + "\n" for line in lines)

    def summary(self) -> Object:
        """Returns the difference as JSON, in a stable format for other tools."""
        return {**self.preview.summary(), "new": self.stored is None, "changed": self.is_changed}


@dataclass(frozen=True, slots=True)
class Compared:
    """Files, compared with a cluster.

    Args:
        answers: what the webhook would answer to each document.
        differences: what changes; none if a document is refused.
    """

    answers: tuple[Answer, ...]
    differences: tuple[Difference, ...]

    @property
    def allowed(self) -> bool:
        """Whether every document is allowed."""
        return all(answer.allowed for answer in self.answers)


async def compare_files(
    cluster: Cluster,
    documents: Sequence[Document],
    options: Options,
    release: str | None,
    note: Callable[[str], None],
) -> Compared:
    """Compares the ModelBoosters of files with those of a cluster.

    Args:
        cluster: the cluster, with the namespace of documents that name none.
        documents: the documents of the files.
        options: settings of conversion.
        release: kthena release of the children; None for the installed one.
        note: called with the reason for each document that is left out.

    Raises:
        NotInstalled, NotAllowed: the cluster cannot be read.
    """
    wanted = {_key(document, cluster.namespace) for document in documents}
    try:
        installed = await Detector(cluster.kube, namespace=options.kthena_namespace).detect()
        boosters, servings = await _stored(cluster, {key.namespace for key in wanted})
    except ApiError as exc:
        raise explained(exc) from exc
    context = _context(options, release, installed)
    present = [Document("the cluster", obj) for obj in boosters if key_of(obj) in wanted]
    before = answers(present, context, note=note, stored=True)
    after = answers(
        documents,
        context,
        namespace=cluster.namespace,
        note=note,
        replaced={answer.key: answer.object for answer in before},
    )
    if not all(answer.allowed for answer in after):
        return Compared(tuple(after), ())
    found = previews([answer for answer in before if answer.allowed], after)
    return Compared(tuple(after), tuple(_difference(p, before, after, servings) for p in found))


def _key(document: Document, namespace: str) -> Key:
    metadata = as_dict(document.object.get("metadata")) if is_booster(document.object) else {}
    return Key(str(metadata.get("namespace") or namespace), str(metadata.get("name", "")))


async def _stored(cluster: Cluster, namespaces: Iterable[str]) -> tuple[list[Object], list[Object]]:
    """Returns the ModelBoosters and ModelServings of namespaces."""
    boosters: list[Object] = []
    servings: list[Object] = []
    for namespace in sorted(namespaces):
        boosters += (await cluster.kube.list(MODEL_BOOSTER, namespace=namespace)).items
        selector = f"{MANAGED_BY}={WORKLOAD}"
        found = await cluster.kube.list(MODEL_SERVING, namespace=namespace, label_selector=selector)
        servings += found.items
    return boosters, servings


def _context(options: Options, release: str | None, installed: Installed) -> Context:
    """Returns what validation and conversion depend on, for the installed kthena."""
    chosen = read_kthena_release(release) if release else installed.release
    profile = PROFILES[release] if release else installed.profile or PROFILES[DEFAULT_RELEASE]
    return Context(options=replace(options, kthena_release=chosen), profile=profile)


def _difference(
    preview: Preview, before: Sequence[Answer], after: Sequence[Answer], servings: Sequence[Object]
) -> Difference:
    old = next((answer for answer in before if answer.key == preview.key), None)
    new = next((answer for answer in after if answer.key == preview.key), None)
    if old is None or new is None:
        return Difference(preview, None, is_changed=True)
    changed = bool(preview.changes) or old.object.get("spec") != new.object.get("spec")
    return Difference(preview, compare(old, servings), changed)
