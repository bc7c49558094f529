"""Reads a piece of shell text as people paste it: continued lines, comments, variables, operators.

The text is never run. A variable that the text itself sets is replaced by its value; any other
variable or command substitution stays in its word, marked, because its value is not known here.
"""

from __future__ import annotations

import re
import shlex
from collections.abc import Mapping
from dataclasses import dataclass, field

from app.errors import UsageError
from modelbooster.commandline.secrets import without_secrets

_REF, _QUOTED_REF, _END = "\ue000", "\ue001", "\ue002"
"""Private characters around the number of a variable in the text that shlex splits."""

_UNKNOWN, _UNKNOWN_END = "\ue003", "\ue004"
"""Private characters around a variable in a word, if its value is not known."""

_PRIVATE = re.compile("[\x00\ue000-\ue0ff]")

_OPERATORS = "();<>|&"
_HIDDEN = {character: chr(0xE010 + at) for at, character in enumerate(_OPERATORS)}
"""Operators inside quotes are text; shlex would not tell them from operators."""
_SHOWN = str.maketrans({hidden: character for character, hidden in _HIDDEN.items()})

_PROMPT = re.compile(r"^[ \t]*(?:\([\w.-]+\)[ \t]*)?(?:[\w.-]+@[\w.-]+[^\s$#]*)?[$%][ \t]+", re.M)
_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.ASCII | re.DOTALL)
_NAMED = re.compile(r"\{(\w+)(?::?[-=]([^}]*))?\}|(\w+)|(\{[^}]*\}?)", re.ASCII)
_PLACEHOLDER = re.compile(r"<[A-Za-z][\w .:/-]*>", re.ASCII)
_REFERENCE = re.compile(f"([{_REF}{_QUOTED_REF}])(\\d+){_END}")
_MARKS = re.compile(f"[{_UNKNOWN}{_UNKNOWN_END}]")


@dataclass(frozen=True, slots=True)
class Command:
    """One simple command of the text.

    Args:
        words: the program and its arguments, without quotes.
        environment: the variables that the text sets for the program.
    """

    words: list[str]
    environment: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class _Reference:
    """A variable of the text, or something else whose value only the shell knows.

    Args:
        name: of the variable; empty for a command substitution or a placeholder.
        default: the value if it is not set, as ``${NAME:-default}`` says; None without one.
        text: as written.
    """

    name: str
    default: str | None
    text: str


def is_known(word: str) -> bool:
    """Returns whether a word holds no variable whose value is unknown."""
    return _UNKNOWN not in word


def written(word: str) -> str:
    """Returns a word as the user wrote it, with the names of unknown variables."""
    return _MARKS.sub("", word)


def shown(word: str) -> str:
    """Returns a word for messages: as the user wrote it, without what looks like a secret."""
    return without_secrets(written(word), "***")


def unknown_in(word: str) -> str:
    """Returns the first variable of a word whose value is unknown; empty if there is none."""
    return word.partition(_UNKNOWN)[2].partition(_UNKNOWN_END)[0]


def read_commands(text: str, variables: Mapping[str, str] | None = None) -> list[Command]:
    """Returns the simple commands of a text, in their order.

    Args:
        text: what the user pasted.
        variables: variables that are set already.

    Raises:
        UsageError: a quote is not closed.
    """
    scanned, references = _scanned(_PROMPT.sub("", _PRIVATE.sub("", text)))
    lexer = shlex.shlex(scanned, posix=True, punctuation_chars=_OPERATORS)
    lexer.whitespace_split = True
    lexer.commenters = ""
    try:
        tokens = list(lexer)
    except ValueError as exc:
        raise UsageError(f"the command cannot be read: {str(exc).lower()}") from None
    known = dict(variables or {})
    exported: dict[str, str] = {}
    found = []
    for words in _simple_commands(tokens):
        words = [word for raw in words for word in _expanded(raw, references, known)]
        own: dict[str, str] = {}
        while words and (match := _ASSIGNMENT.fullmatch(words[0])):
            own[match[1]] = match[2]
            words = words[1:]
        if not words:
            known |= own
        elif words[0] in ("export", "declare", "set"):
            for word in words[1:]:
                if match := _ASSIGNMENT.fullmatch(word):
                    known[match[1]] = exported[match[1]] = match[2]
                elif word in known:
                    exported[word] = known[word]
        else:
            found.append(Command(words, {**exported, **own}))
    return found


def _simple_commands(tokens: list[str]) -> list[list[str]]:
    """Returns the words of each simple command, without redirections."""
    found: list[list[str]] = [[]]
    skip = False
    for token in tokens:
        is_operator = bool(token) and set(token) <= set(_OPERATORS)
        if skip and not is_operator:
            skip = False
        elif not is_operator:
            found[-1].append(token.translate(_SHOWN))
        elif "<" in token or ">" in token:
            skip = True
        else:
            skip = False
            found.append([])
    joined: list[list[str]] = []
    for words in filter(None, found):
        # A pasted command often lacks the backslash at the end of a line.
        if joined and words[0].startswith("-"):
            joined[-1] += words
        else:
            joined.append(words)
    return joined


def _scanned(text: str) -> tuple[str, list[_Reference]]:
    """Returns the text for shlex: one line, without comments, with numbers for variables."""
    out: list[str] = []
    references: list[_Reference] = []
    quote, at, at_start = "", 0, True
    text = text.replace("\r\n", "\n")
    while at < len(text):
        char = text[at]
        rest = text[at:]
        if quote == "'":
            quote = "" if char == "'" else quote
            out.append(_HIDDEN.get(char, char))
            at += 1
            continue
        if continued := re.match(r"[\\^`][ \t]*\n", rest):
            out.append(" ")
            at += continued.end()
            at_start = True
        elif char == "\\":
            escaped = text[at + 1 : at + 2]
            plain = bool(quote) and escaped in ("$", "`")
            out.append(escaped if plain else char + _HIDDEN.get(escaped, escaped))
            at += 2
            at_start = False
        elif char in "$`" or (not quote and _PLACEHOLDER.match(rest)):
            reference = _reference(rest)
            if reference is None:
                out.append(char)
                at += 1
            else:
                mark = _QUOTED_REF if quote else _REF
                out.append(f"{mark}{len(references)}{_END}")
                references.append(reference)
                at += len(reference.text)
            at_start = False
        elif quote:
            quote = "" if char == '"' else quote
            out.append(_HIDDEN.get(char, char))
            at += 1
        elif at_start and char == "#":
            end = text.find("\n", at)
            at = len(text) if end < 0 else end
        elif at_start and (number := re.match(r"\d(?=[<>])", rest)):
            at += number.end()
        else:
            quote = char if char in "'\"" else ""
            out.append(" ; " if char == "\n" else char)
            at_start = char.isspace() or char in _OPERATORS
            at += 1
    return "".join(out), references


def _reference(rest: str) -> _Reference | None:
    """Returns what stands at the beginning of a text for something that the shell replaces."""
    if rest[0] == "`":
        end = rest.find("`", 1)
        return _Reference("", None, rest[: end + 1] if end > 0 else rest)
    if rest[0] == "<":
        match = _PLACEHOLDER.match(rest)
        return _Reference("", None, match[0]) if match else None
    if rest.startswith("$("):
        depth = 0
        for at, char in enumerate(rest):
            depth += (char == "(") - (char == ")")
            if char == ")" and depth == 0:
                return _Reference("", None, rest[: at + 1])
        return _Reference("", None, rest)
    match = _NAMED.match(rest, 1)
    if match is None:
        return None
    default = None if match[2] is None else match[2].strip("\"'")
    return _Reference(match[1] or match[3] or "", default, rest[: match.end()])


def _expanded(word: str, references: list[_Reference], known: Mapping[str, str]) -> list[str]:
    """Returns a word with the values of its variables; an unquoted one may become several."""

    def value(match: re.Match[str]) -> str:
        reference = references[int(match[2])]
        found = known.get(reference.name)
        if found is None:
            found = reference.default
        return f"{_UNKNOWN}{reference.text}{_UNKNOWN_END}" if found is None else found

    whole = _REFERENCE.fullmatch(word)
    text = _REFERENCE.sub(value, word)
    return text.split() if whole and whole[1] == _REF and is_known(text) else [text]
