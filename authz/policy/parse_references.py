"""References in values: `{path.NAME}` and its kin, and the escapes around them (policy language §5, References).

Owns the grammar and which reference may stand where. Whether a variable exists, and whether a claim path needs
an alias, is settled when the route is linked.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from enum import Flag, auto
from typing import Final

from authz.policy.faults import FaultCode
from authz.policy.parse_values import MAX_TEXT, Reading
from authz.policy.suggest import closest
from authz.policy.values import (
    HostVariable,
    PathVariable,
    Reference,
    RequestHeader,
    UserClaim,
    UserSubject,
    Value,
    WorkloadSegment,
)
from authz.policy.yaml_tree import Node, Scalar, show


class Permitted(Flag):
    """What may stand in a value."""

    REFERENCES = auto()
    REQUEST_HEADER = auto()
    LITERAL_TYPES = auto()
    """JSON scalars other than text: true, 42."""


_VARIABLE: Final = re.compile(r"[A-Za-z_][A-Za-z0-9_]{0,63}")
_NUMBER: Final = re.compile(r"[1-9][0-9]{0,2}")
_TOKEN: Final = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]{1,128}")
"""A header name (RFC 9110 §5.6.2)."""
_CLAIM: Final = re.compile(r"[^{}.]+(?:\.[^{}.]+)*")

_KINDS: Final[tuple[tuple[str, re.Pattern[str], Callable[[str], Reference]], ...]] = (
    ("path.", _VARIABLE, PathVariable),
    ("host.", _VARIABLE, HostVariable),
    ("user.claims.", _CLAIM, UserClaim),
    ("workload.path.", _NUMBER, lambda text: WorkloadSegment(int(text))),
    ("request.header.", _TOKEN, lambda text: RequestHeader(text.lower())),
)
_KNOWN: Final = ("path.NAME", "host.NAME", "user.sub", "user.claims.NAME", "workload.path.N", "request.header.NAME")
_PARTS: Final = re.compile(r"\{\{|\}\}|\{([^{}]*)\}|[{}]|[^{}]+")
"""Escapes, one reference, a brace that stands alone, other text."""


class _ReferenceError(Exception):
    """The value breaks the grammar of references; the message says how. `unknown` is a reference that isn't one."""

    def __init__(self, message: str, unknown: str = "") -> None:
        super().__init__(message)
        self.unknown = unknown


def read_value(reading: Reading, node: Node, what: str, permitted: Permitted) -> Value:
    """A scalar, or text around one reference. An unreadable one is a fault, and a value that equals nothing."""
    place = reading.place(node)
    literal = node.value if type(node) is Scalar else None
    if type(literal) in (bool, int, float) and Permitted.LITERAL_TYPES in permitted:
        return Value(place, literal=literal)
    if type(literal) is not str:
        wanted = "text, a number, true or false" if Permitted.LITERAL_TYPES in permitted else "text"
        reading.wrong_type(node, what, wanted)
        return Value(place)
    if not literal or len(literal) > MAX_TEXT:
        reading.fault(node, FaultCode.VALUE_INVALID, f"{what} has 1 to {MAX_TEXT} characters")
        return Value(place)
    if "{" not in literal and "}" not in literal:
        return Value(place, literal=literal)
    try:
        before, reference, after = _split(literal)
        _check(reference, permitted)
    except _ReferenceError as error:
        hint = _hint(error.unknown) if error.unknown and reading.may_suggest() else ""
        reading.fault(node, FaultCode.REFERENCE_INVALID, f"{what}: {error}{hint}")
        return Value(place)
    if reference is None:
        return Value(place, literal=before)
    return Value(place, reference=reference, prefix=before, suffix=after)


def refuse_braces(reading: Reading, node: Node, what: str, text: str) -> None:
    """For text where no reference may stand: one that looks like it is a mistake, not a literal."""
    if "{" in text or "}" in text:
        reading.fault(node, FaultCode.REFERENCE_INVALID, f"{what}: references don't stand here")


def _split(text: str) -> tuple[str, Reference | None, str]:
    """Text before the reference, the reference, text after it; escapes are resolved."""
    sides = ["", ""]
    reference: Reference | None = None
    for part in _PARTS.finditer(text):
        word = part.group()
        if part.group(1) is not None:
            if reference is not None:
                raise _ReferenceError("one reference to a value")
            reference = _reference(part.group(1))
        elif word in ("{", "}"):
            raise _ReferenceError(f"a lone `{word}`; write `{word}{word}` for the character itself")
        else:
            sides[reference is not None] += {"{{": "{", "}}": "}"}.get(word, word)
    return sides[0], reference, sides[1]


def _reference(text: str) -> Reference:
    if text == "user.sub":
        return UserSubject()
    for prefix, grammar, make in _KINDS:
        if text.startswith(prefix):
            rest = text[len(prefix) :]
            if not grammar.fullmatch(rest) or not rest.isprintable():
                raise _ReferenceError(f"{show(rest)} can't stand behind `{prefix}`")
            return make(rest)
    raise _ReferenceError(f"there is no reference {show('{' + text + '}')}", unknown=text)


def _hint(text: str) -> str:
    match = _by_first_word(text) or closest(text, _KNOWN)
    return f"; did you mean `{{{match}}}`?" if match else f"; there are {', '.join(_KNOWN)}"


def _by_first_word(text: str) -> str | None:
    """`{paths.order_id}` is meant as `{path.NAME}`: compare the words before the last dot, or a bare name."""
    head, dot, last = text.rpartition(".")
    if not dot:
        return f"path.{text}" if _VARIABLE.fullmatch(text) else None
    heads = {prefix[:-1]: prefix for prefix, _, _ in _KINDS}
    match = closest(head, heads)
    return heads[match] + last if match and last.isprintable() and len(last) < MAX_TEXT else None


def _check(reference: Reference | None, permitted: Permitted) -> None:
    if reference is None:
        return
    if Permitted.REFERENCES not in permitted:
        raise _ReferenceError("references don't stand here")
    if isinstance(reference, RequestHeader) and Permitted.REQUEST_HEADER not in permitted:
        raise _ReferenceError(
            "`{request.header.NAME}` stands only in `claims` with `equals` or `contains`, outside `not`"
        )
