"""What an Envoy serves, as plain values: domains and path matches, and how they meet a policy's hosts and templates.

Owns Envoy's matching rules as far as they can be decided without a request: exact domains before the longest suffix
before the longest prefix before `*`; of a virtual host's routes the first that matches. Regular expressions are not
decided. Paths are compared in the spelling that authz accepts (each octet encoded only where it must be).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from enum import Enum
from typing import Final
from urllib.parse import unquote

from authz.policy.compiled import Literal, PathTemplate, Variable, VariableType
from authz.policy.hosts import DEFAULT_PORTS, AnyPort, HostKind, HostPattern
from authz.policy.templates import takes

_BEGINNINGS: Final = {
    VariableType.TEXT: None,
    VariableType.INT: frozenset("0123456789"),
    VariableType.UUID: frozenset("0123456789abcdef-"),
    VariableType.SLUG: frozenset("0123456789abcdefghijklmnopqrstuvwxyz-"),
}
"""What the beginning of a variable's value is made of; None: of anything."""


class How(Enum):
    """How a route matches paths; UNDECIDABLE: by a regular expression or an extension."""

    PREFIX = "prefix"
    PATH = "path"
    SEPARATED = "path_separated_prefix"
    CONNECT = "connect_matcher"
    UNDECIDABLE = "safe_regex"


@dataclass(frozen=True, slots=True, kw_only=True)
class PathMatch:
    """`text` is the prefix, the path or the expression; `conditional`: headers, query or the like decide as well."""

    how: How
    text: str
    folded: bool = False
    conditional: bool = False

    def __str__(self) -> str:
        return f"{self.how.value} {self.text}".rstrip()

    def shadows(self, later: PathMatch) -> bool:
        """Whether every path of `later` is taken by this one before."""
        if self.conditional or self.folded != later.folded or later.how in (How.UNDECIDABLE, How.CONNECT):
            return False
        if self.how is How.PREFIX:
            return later.text.startswith(self.text)
        if self.how is How.SEPARATED:
            same = later.text == self.text and later.how is not How.PREFIX  # The prefix /a takes /ab as well.
            return same or later.text.startswith(self.text.rstrip("/") + "/")
        return self.how is How.PATH and later.how is How.PATH and self.text == later.text

    def meets(self, template: PathTemplate) -> bool | None:
        """Whether some path fits both; None when that can't be decided."""
        if self.how is How.UNDECIDABLE:
            return None
        if self.how is How.CONNECT:
            return False
        if self.how is How.PREFIX:
            return _begins(template, self.text, folded=self.folded)
        exact = _is(template, self.text, folded=self.folded)
        if self.how is How.PATH:
            return exact
        return exact or _begins(template, self.text.rstrip("/") + "/", folded=self.folded)


@dataclass(frozen=True, slots=True, kw_only=True)
class Served:
    """One route. `place` and `host` say where it and its virtual host stand; `domains` are the host's, as written;
    `asked`: ext_authz is in force for it; `refused`: it only answers with an error of Envoy's own."""

    place: str
    host: str
    domains: tuple[str, ...]
    match: PathMatch
    asked: bool
    refused: bool = False


def reached(pattern: HostPattern, domains: Iterable[str], *, any_port: bool) -> frozenset[str]:
    """The domains, out of those of one route configuration, that take requests for a policy's host."""
    met = [each for each in domains if domain_meets(each, pattern, any_port=any_port)]
    if pattern.kind is not HostKind.EXACT:
        return frozenset(met)
    best = min((_rank(each) for each in met), default=None)
    return frozenset(each for each in met if _rank(each) == best)


def domain_meets(domain: str, pattern: HostPattern, *, any_port: bool) -> bool:
    """Whether some request's host fits a domain of Envoy's and a policy's host."""
    if domain == "*":
        return True
    name, colon, port = domain.lower().rpartition(":")
    if not colon or not (port.isdigit() or port == "*"):
        name, port = domain.lower(), ""
    if not any_port and port != "*" and not _port_meets(int(port) if port else None, pattern):
        return False
    return _name_meets(name, pattern.name, pattern.kind)


def _rank(domain: str) -> tuple[int, int]:
    """Envoy's order among domains, the first to be looked at first."""
    if domain == "*":
        return 3, 0
    if domain.startswith("*"):
        return 1, -len(domain)
    return (2, -len(domain)) if domain.endswith("*") else (0, 0)


def _port_meets(port: int | None, pattern: HostPattern) -> bool:
    if pattern.port is AnyPort.ANY:
        return True
    if pattern.port is None:
        return port in DEFAULT_PORTS
    return port == pattern.port


def _name_meets(name: str, own: str, kind: HostKind) -> bool:
    if kind is HostKind.EXACT:
        return _taken(name, own)
    if name.endswith("*"):
        # Some name begins so and ends so, unless the fixed beginning already has the wrong end.
        return True
    if name.startswith("*"):
        suffix, dotted = name[1:], f".{own}"
        if dotted.endswith(suffix):
            return True
        between = suffix.removesuffix(dotted)
        return suffix.endswith(dotted) and (kind is HostKind.LABELS or "." not in between)
    label, dot, rest = name.partition(".")
    if kind is HostKind.ONE_LABEL:
        return bool(label and dot) and rest == own
    return name.endswith(f".{own}") and name != f".{own}"


def _taken(domain: str, host: str) -> bool:
    if domain.startswith("*"):
        return host.endswith(domain[1:]) and len(host) > len(domain) - 1
    if domain.endswith("*"):
        return host.startswith(domain[:-1]) and len(host) > len(domain) - 1
    return domain == host


def _is(template: PathTemplate, path: str, *, folded: bool) -> bool:
    segments = _split(path)
    if len(segments) < len(template.segments) or (len(segments) > len(template.segments) and not template.rest):
        return False
    return all(_whole(part, text, folded) for part, text in zip(template.segments, segments, strict=False))


def _begins(template: PathTemplate, prefix: str, *, folded: bool) -> bool:
    """Whether some path of the template begins with the prefix, which may end within a segment."""
    if not prefix.startswith("/"):
        return not prefix
    *whole, last = _split(prefix)
    parts = template.segments
    if len(whole) >= len(parts) and not template.rest:
        return False
    if not all(_whole(part, text, folded) for part, text in zip(parts, whole, strict=False)):
        return False
    return len(whole) >= len(parts) or _beginning(parts[len(whole)], last, folded)


def _split(path: str) -> tuple[str, ...]:
    return tuple(unquote(segment) for segment in path.removeprefix("/").split("/"))


def _whole(part: Literal | Variable, text: str, folded: bool) -> bool:
    if isinstance(part, Variable):
        return takes(part, text)
    return part.text.lower() == text.lower() if folded else part.text == text


def _beginning(part: Literal | Variable, text: str, folded: bool) -> bool:
    if isinstance(part, Literal):
        return part.text.lower().startswith(text.lower()) if folded else part.text.startswith(text)
    letters = _BEGINNINGS[part.type]
    return letters is None or letters.issuperset(text.lower() if folded else text)


def unshadowed(routes: Iterable[Served]) -> Iterator[Served]:
    """The routes of one virtual host without those that an earlier one always takes."""
    before: list[PathMatch] = []
    for route in routes:
        if not any(match.shadows(route.match) for match in before):
            yield route
        before.append(route.match)
