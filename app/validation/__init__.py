"""What a ModelBooster must meet beyond its schema.

``judge`` and ``accepted`` are the one way in, for webhook, controller and command line; ``rules``
lists every rule.
"""

from app.validation.context import Context, Lookup
from app.validation.verdict import Verdict, accepted, judge

__all__ = ["Context", "Lookup", "Verdict", "accepted", "judge"]
