"""Tells which values of a command are secrets, and keeps them out of everything that is printed."""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from app.values.meta import Object

_NAME = re.compile(
    r"(?:^|_)(?:TOKEN|KEY|SECRET|PASSWORD|PASSWD|PASSPHRASE|PASS|PWD|CREDENTIALS?|CREDS?|AUTH)(?:$|_ID$|_HERE$)"
    r"|^(?:HF|HUGGING_?FACE_HUB|MODELSCOPE|WANDB|AWS|AZURE|GCP)_\w*(?:TOKEN|KEY|SECRET)\w*$",
    re.ASCII,
)
_VALUE = re.compile(
    r"(?<![\w-])(?:hf_[A-Za-z0-9]{20,}|AKIA[A-Z0-9]{12,}"
    r"|(?:sk|ghp|gho|glpat|nvapi)[-_][A-Za-z0-9_-]{16,})(?![\w-])",
    re.ASCII,
)
_CREDENTIALS = re.compile(r"://[^/\s:@]*:[^/\s@]+@")
_FIELD = re.compile(
    r"(?:.*[._-])?(?:token|(?:api|access|secret|auth)[_-]?(?:key|token)|password|passwd|secret"
    r"|passphrase|credentials?)",
    re.IGNORECASE,
)
"""Names of fields in the objects of arguments. Special tokens of a model are no secrets."""
_SPECIAL = re.compile(
    r"(?:bos|eos|pad|unk|sep|cls|mask|image|audio|video|stop|special)_token", re.IGNORECASE
)


def is_secret(name: str, value: str | None) -> bool:
    """Returns whether a variable holds a secret, by its name or by its value."""
    if _NAME.search(name.upper()):
        return True
    return value is not None and looks_secret(value)


def looks_secret(value: str) -> bool:
    """Returns whether a value holds a token of a well-known form, or a URL with a password."""
    return _VALUE.search(value) is not None or _CREDENTIALS.search(value) is not None


def is_secret_field(name: str, value: object) -> bool:
    """Returns whether a field of an object holds a secret, by its name."""
    if not isinstance(value, str) or not value:
        return False
    return bool(_FIELD.fullmatch(name)) and not _SPECIAL.fullmatch(name)


def without_secrets(value: str, instead: str) -> str:
    """Returns a text with another one in place of its secrets."""
    return instead if _CREDENTIALS.search(value) else _VALUE.sub(instead, value)


@dataclass(slots=True)
class SecretKeys:
    """The keys of one Secret that the manifest reads.

    Args:
        name: name of the Secret.
        namespace: its namespace; None for the current one.
        keys: names of the keys, which are names of variables as well.
    """

    name: str
    namespace: str | None
    keys: list[str] = field(default_factory=list)

    def variable(self, name: str) -> Object:
        """Returns an entry of ``env`` that reads the Secret, and notes its key."""
        if name not in self.keys:
            self.keys.append(name)
        return {"name": name, "valueFrom": {"secretKeyRef": {"name": self.name, "key": name}}}

    def command(self) -> str:
        """Returns the command that creates the Secret from variables of the user's shell."""
        words = [f"kubectl create secret generic {self.name}"]
        if self.namespace:
            words.append(f"--namespace={self.namespace}")
        words += [f'--from-literal={key}="${key}"' for key in self.keys]
        return " ".join(words)
