"""What a ModelBooster must meet beyond its schema.

The webhook, the controller and the command line call ``validate`` or ``validate_and_convert``;
``rules`` lists every rule.
"""

from app.validation.context import Context, Lookup
from app.validation.verdict import Verdict, validate, validate_and_convert

__all__ = ["Context", "Lookup", "Verdict", "validate", "validate_and_convert"]
