"""Path templates: their grammar, their variable types, and how the paths they match relate.

Owns policy language §4 "Paths" as far as one template goes, and the small algebra (contains, overlaps) that
shares need. Matching many templates at once is `policy.router`'s, faults between them `policy.crossing`'s.
A literal is written as the decoded text that a request's segment must equal, and is held to the rules that
request segments are held to (`model.path`), so that every literal can be met.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Final
from urllib.parse import quote

from authz.model.errors import Refused
from authz.model.path import parse_path
from authz.policy.compiled import Literal, PathTemplate, Variable, VariableType
from authz.policy.faults import FaultCode, Faults
from authz.policy.values import Text

MAX_TEMPLATE: Final = 2048
"""Characters; a request target has at most 8 KiB."""

PATTERNS: Final = {
    VariableType.INT: re.compile(r"0|[1-9][0-9]{0,17}"),
    VariableType.UUID: re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"),
    VariableType.SLUG: re.compile(r"[a-z0-9]+(?:-[a-z0-9]+)*"),
}
"""Whole-segment patterns (used with `fullmatch`); a plain variable takes any segment."""

_NARROWER: Final = {
    VariableType.TEXT: frozenset(VariableType),
    VariableType.SLUG: frozenset({VariableType.SLUG, VariableType.INT, VariableType.UUID}),
    VariableType.INT: frozenset({VariableType.INT}),
    VariableType.UUID: frozenset({VariableType.UUID}),
}
"""By type: the types whose every value it takes. Two types share values exactly when one takes the other's."""

_VARIABLE: Final = re.compile(r"\{([a-z_][a-z0-9_]*)(?::(int|uuid|slug))?\}")
_REST: Final = "**"
_UNRESERVED: Final = "!$&'()*+,=:@~-._"

Part = Literal | Variable


class TemplateError(Exception):
    """A template breaks a rule: `rule` names it, `hint` may say what to write instead."""

    def __init__(self, rule: str, hint: str | None = None) -> None:
        super().__init__(rule)
        self.rule = rule
        self.hint = hint


def parse_template(text: str) -> PathTemplate:
    """Read one template; raises `TemplateError`."""
    if not text.startswith("/"):
        raise TemplateError("a path template begins with '/'")
    if len(text) > MAX_TEMPLATE:
        raise TemplateError(f"a path template has at most {MAX_TEMPLATE} characters")
    parts = text[1:].split("/")
    rest = parts[-1] == _REST
    segments = tuple(
        _segment(part, last=not rest and index == len(parts) - 1)
        for index, part in enumerate(parts[:-1] if rest else parts)
    )
    names = [part.name for part in segments if isinstance(part, Variable)]
    if len(set(names)) != len(names):
        raise TemplateError("a path template uses each variable name once")
    return PathTemplate(segments, rest)


def read_template(text: Text, faults: Faults, policy: str = "") -> PathTemplate | None:
    """Read a template that somebody wrote; None when a fault was added."""
    try:
        return parse_template(text.value)
    except TemplateError as error:
        faults.add(text.place, FaultCode.PATH_TEMPLATE, error.rule, policy=policy, help=error.hint)
        return None


def format_template(template: PathTemplate) -> str:
    """The template as it is written."""
    parts = [format_part(part) for part in template.segments]
    return "/" + "/".join([*parts, _REST] if template.rest else parts)


def type_test(type_: VariableType) -> Callable[[str], object] | None:
    """The test that a segment must pass to bind a variable of this type; None when any does."""
    pattern = PATTERNS.get(type_)
    return None if pattern is None else pattern.fullmatch


def takes(variable: Variable, segment: str) -> bool:
    """Whether the variable may bind the segment; the empty one after a trailing slash is no segment (§4)."""
    pattern = PATTERNS.get(variable.type)
    return segment != "" and (pattern is None or pattern.fullmatch(segment) is not None)


def covers(wide: Part, narrow: Part) -> bool:
    """Whether `wide` takes every segment that `narrow` takes."""
    if isinstance(wide, Literal):
        return isinstance(narrow, Literal) and wide.text == narrow.text
    if isinstance(narrow, Literal):
        return takes(wide, narrow.text)
    return narrow.type in _NARROWER[wide.type]


def contains(wide: PathTemplate, narrow: PathTemplate) -> bool:
    """Whether `wide` matches every path that `narrow` matches."""
    count = len(wide.segments)
    if not all(map(covers, wide.segments, narrow.segments)):
        return False
    if wide.rest:
        return len(narrow.segments) >= count
    return len(narrow.segments) == count and not narrow.rest


def overlaps(one: PathTemplate, other: PathTemplate) -> bool:
    """Whether a single path matches both."""
    if not all(covers(a, b) or covers(b, a) for a, b in zip(one.segments, other.segments, strict=False)):
        return False
    if len(one.segments) == len(other.segments):
        return True
    shorter = min(one, other, key=lambda template: len(template.segments))
    return shorter.rest


def _segment(part: str, *, last: bool) -> Part:
    variable = _VARIABLE.fullmatch(part)
    if variable is not None:
        name, type_ = variable.groups()
        return Variable(name, VariableType(type_ or "text"))
    _check_literal(part, last=last)
    return Literal(part)


def _check_literal(part: str, *, last: bool) -> None:
    if not part and not last:
        raise TemplateError("a path template has no empty segment")
    if "{" in part or "}" in part:
        raise TemplateError(f"`{part}` is no variable `{{name}}` or `{{name:int|uuid|slug}}` (a whole segment)")
    if "*" in part:
        raise TemplateError(
            f"`{part}` is no segment: `/**` stands once, at the end",
            "Use `{name}` for one segment, a trailing `/**` for the rest.",
        )
    if "%" in part:
        raise TemplateError("a literal holds no '%'", "Write the decoded text: `Jürgen`, not `J%C3%BCrgen`.")
    try:
        parse_path("/" + quote(part, safe=_UNRESERVED), MAX_TEMPLATE * 12)
    except (Refused, UnicodeEncodeError) as error:
        rule = error.detail if isinstance(error, Refused) else "the text is not Unicode"
        raise TemplateError(f"no request can match this literal: {rule}") from None


def format_part(part: Part) -> str:
    """The part as it is written in a policy."""
    if isinstance(part, Literal):
        return part.text
    return f"{{{part.name}}}" if part.type is VariableType.TEXT else f"{{{part.name}:{part.type.value}}}"
