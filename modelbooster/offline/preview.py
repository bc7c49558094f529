"""Previews the effect of an edit without a cluster: ``model-booster render --diff``."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from app.convert.diff import ChildDiff, child_diffs, restarting_backends
from app.values.meta import Key, Object
from modelbooster.offline.answers import NO_UID, Answer, desired


@dataclass(frozen=True, slots=True)
class Preview:
    """The changes to the children of one ModelBooster."""

    key: Key
    changes: tuple[ChildDiff, ...]

    def text(self) -> str:
        """Returns the preview as text; the last line tells which backends restart."""
        lines = [f"ModelBooster {self.key}:"]
        lines += [f"  {line}" for change in self.changes for line in str(change).splitlines()]
        restarting = restarting_backends(self.changes)
        if not self.changes:
            lines.append("  nothing changes")
        elif restarting:
            lines.append(f"  pods restart: backend {', '.join(restarting)}")
        else:
            lines.append("  no pod restarts")
        return "".join(line + "\n" for line in lines)

    def summary(self) -> Object:
        """Returns the preview as JSON, in a stable format for other tools."""
        return {
            "namespace": self.key.namespace,
            "name": self.key.name,
            "restarts": restarting_backends(self.changes),
            "changes": [
                {
                    "verb": change.action,
                    "kind": change.kind,
                    "name": change.name,
                    "backend": change.backend,
                    "restarts": change.restarts,
                    "edits": [edit.summary() for edit in change.fields],
                }
                for change in self.changes
            ],
        }


def previews(old: Sequence[Answer], new: Sequence[Answer]) -> Iterator[Preview]:
    """Yields the changes to each ModelBooster in either of two inputs.

    A ModelBooster only in the first input is deleted, one only in the second is created. Refused
    ones have no children, so check for refusals first.
    """
    before, after = _by_key(old), _by_key(new)
    for key in {**before, **after}:
        was, becomes = before.get(key), after.get(key)
        # Labels and selectors contain the uid. A file may lack the uid that the cluster has.
        uid = next((a.model.uid for a in (was, becomes) if a and a.model and a.model.uid), NO_UID)
        found = child_diffs(
            desired(was, uid) if was else [], desired(becomes, uid) if becomes else []
        )
        yield Preview(key, tuple(found))


def _by_key(answers: Sequence[Answer]) -> dict[Key, Answer]:
    return {Key(a.model.namespace, a.model.name): a for a in answers if a.model is not None}
