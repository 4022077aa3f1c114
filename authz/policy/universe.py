"""The values that can tell two requirements apart: for each claim, reference and address, finitely many.

For every field the values that either side mentions, and one of each kind that nobody mentions: two callers who agree
in all of them get the same answer from both sides. What two references can both hold is closed under comparison, so
that "the same value in both" is among the cases. Pure data: what an answer is, is `policy.encode`'s.
"""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

from authz.model.errors import Refused
from authz.model.issuer import ClaimPath, TrustSettings
from authz.model.path import fold, parse_path
from authz.model.spiffe import SpiffeId
from authz.policy.asks import SUBJECT, Ask, Operator, Reading, Source
from authz.policy.compiled import VariableType
from authz.policy.document import SourceRequirement, WorkloadRequirement
from authz.policy.templates import PATTERNS
from authz.policy.workload_conditions import SpiffePattern

MAX_ROUNDS: Final = 6
"""Rounds of carrying values between references; more are needed only by references that nest affixes."""
MAX_IDS: Final = 400
"""Workload identities in one question."""

_SCOPE: Final = re.compile(r"[\x21\x23-\x5b\x5d-\x7e]+")
_UNRESERVED: Final = re.compile(r"[A-Za-z0-9._~-]+")


class Shape:
    """What a claim can be besides a scalar; compared by identity."""

    def __init__(self, name: str) -> None:
        self._name = name

    def __repr__(self) -> str:
        return self._name


MISSING: Final = Shape("missing")
ARRAY: Final = Shape("array")
OBJECT: Final = Shape("object")
FOREIGN: Final = Shape("foreign")
"""An array's element that no operator can compare."""


@dataclass(frozen=True, slots=True)
class Part:
    """One segment of a path (or label of a host): exactly `text`, or, where `kind` is given, any text of that kind
    beside `others` (folded), of which `text` is one. `types` are those that tell kinds apart here."""

    text: str
    kind: VariableType | None = None
    types: frozenset[VariableType] = frozenset()
    others: frozenset[str] = frozenset()

    def takes(self, text: str) -> bool:
        if self.kind is None:
            return text == self.text
        return fold(text) not in self.others and kind_of(text, self.types) is self.kind and is_segment(text)


_KINDS: Final = (VariableType.INT, VariableType.UUID, VariableType.SLUG)
"""Narrower kinds first."""


def kind_of(text: str, types: frozenset[VariableType]) -> VariableType:
    """The narrowest of the types that takes the text; plain text takes all."""
    for kind in _KINDS:
        if kind in types and PATTERNS[kind].fullmatch(text):
            return kind
    return VariableType.TEXT


def is_segment(text: str) -> bool:
    """Whether a path segment can hold the text as it is (others would need encoding in the witness)."""
    if not _UNRESERVED.fullmatch(text):
        return False
    try:
        return parse_path(f"/{text}", 8192).segments == (text,)
    except Refused:
        return False


def typed(value: object) -> tuple[type, object]:
    """A key under which `1`, `True` and `1.0` are three values."""
    return type(value), value


@dataclass(slots=True)
class Universe:
    """Collects what is asked, then answers which values matter."""

    parts: Mapping[int, Part]
    label: Part | None
    now: float
    scalars: dict[ClaimPath, dict[tuple[type, object], object]] = field(default_factory=dict)
    readings: dict[ClaimPath, set[Reading]] = field(default_factory=dict)
    operators: dict[ClaimPath, set[Operator]] = field(default_factory=dict)
    sources: dict[Source, dict[str, None]] = field(default_factory=dict)
    exact: bool = True
    _asks: dict[Ask, None] = field(default_factory=dict)

    def add(self, ask: Ask) -> None:
        if ask in self._asks:
            return
        self._asks[ask] = None
        self.mention(ask.path, ask.reading, ask.operator)
        for wanted in ask.wanted:
            if wanted.source is None:
                value = wanted.resolve(None, text=ask.operator is Operator.HOLDS)
                if value is not None:
                    self._note(ask.path, value)
            elif wanted.source.kind == "claim":
                assert isinstance(wanted.source.key, tuple)
                self.mention(wanted.source.key, Reading.RAW, Operator.EQUALS)
            else:
                self.sources.setdefault(wanted.source, dict.fromkeys(self._fresh(wanted.source)))
        if ask.operator is Operator.WITHIN:
            latest, earliest = self.now + ask.skew, self.now - ask.seconds
            for at in (earliest, earliest - 1, latest, latest + 1):
                self._note(ask.path, at)

    def mention(self, path: ClaimPath, reading: Reading, operator: Operator) -> None:
        self.scalars.setdefault(path, {})
        self.readings.setdefault(path, set()).add(reading)
        self.operators.setdefault(path, set()).add(operator)

    def note(self, path: ClaimPath, value: object) -> None:
        """A value that something else than an ask compares the claim with, or the elements of a list."""
        listed = isinstance(value, list)
        self.mention(path, Reading.RAW, Operator.CONTAINS if listed else Operator.EQUALS)
        for one in value if isinstance(value, list) else [value]:
            self._note(path, one)

    def _note(self, path: ClaimPath, value: object) -> bool:
        known = self.scalars[path]
        if not isinstance(value, str | bool | int | float) or typed(value) in known:
            return False
        known[typed(value)] = value
        return True

    # --- closing

    def close(self) -> None:
        """Add the values that nobody mentions, then carry values along references until nothing new comes."""
        for path in self.scalars:
            self._add_fresh(path)
        for _ in range(MAX_ROUNDS):
            if not sum(self._carry(ask) for ask in self._asks):
                break
        else:
            self.exact = False
        reserved = {path[0] for path in self.scalars} & {"iss", "aud", "exp", "iat", "nbf"}
        self.exact = self.exact and not reserved

    def _carry(self, ask: Ask) -> bool:
        changed = False
        for wanted in ask.wanted:
            source = wanted.source
            if source is None:
                continue
            for value in list(self.values_of(source)):
                resolved = [wanted.resolve(value, text=ask.operator is Operator.HOLDS)]
                if wanted.number:
                    resolved.append(value)
                for one in resolved:
                    changed = (one is not None and self._note(ask.path, one)) or changed
            for value in list(self.scalars[ask.path].values()):
                inner = wanted.unwrap(value)
                changed = (isinstance(inner, str) and self._offer(source, inner)) or changed
        return changed

    def values_of(self, source: Source) -> Iterable[object]:
        """What the source can hold; a claim also holds what is no scalar, which never compares."""
        if source.kind == "claim":
            assert isinstance(source.key, tuple)
            return self.scalars[source.key].values()
        return self.sources[source]

    def _offer(self, source: Source, text: str) -> bool:
        if source.kind == "claim":
            assert isinstance(source.key, tuple)
            return self._note(source.key, text)
        if text in self.sources[source] or not self._can_hold(source, text):
            return False
        self.sources[source][text] = None
        return True

    def _can_hold(self, source: Source, text: str) -> bool:
        if source.kind == "segment":
            assert isinstance(source.key, int)
            return self.parts[source.key].takes(text)
        if source.kind == "host":
            return self.label is not None and self.label.takes(text) and text == text.lower() and "." not in text
        if source.kind == "header":
            return text.isprintable() and text.isascii() and "," not in text and text == text.strip() != ""
        return re.fullmatch(r"[A-Za-z0-9._-]+", text) is not None and text not in (".", "..")

    def _fresh(self, source: Source) -> Iterator[str]:
        if source.kind == "segment":
            assert isinstance(source.key, int)
            yield self.parts[source.key].text
        elif source.kind == "host":
            if self.label is not None:
                yield self.label.text
        elif source.kind == "header":
            yield f"some-{source.key}"
        else:
            yield "some-segment"

    def _add_fresh(self, path: ClaimPath) -> None:
        """One value of each type that nobody mentions."""
        known = self.scalars[path]
        types = {kind for kind, _ in known}
        if types <= {int, float} and types and self.readings[path] == {Reading.TIME}:
            return
        if str in types or not types or self.readings[path] - {Reading.RAW, Reading.TIME}:
            self._note(path, _unused_text(path, known))
        if int in types:
            self._note(path, 1 + max(abs(value) for _, value in known if isinstance(value, int)))
        if float in types:
            self._note(path, 0.5 + max(abs(value) for _, value in known if isinstance(value, float)))
        if bool in types:
            self._note(path, True)
            self._note(path, False)

    # --- what a claim can be

    def shapes(self, path: ClaimPath) -> Iterator[object]:
        """The values of the claim itself, MISSING first; a token always has a subject."""
        readings = self.readings[path]
        if path != SUBJECT:
            yield MISSING
        if readings - {Reading.TEXTS, Reading.SCOPES}:
            values = list(self.scalars[path].values())
            yield from reversed(values) if path == SUBJECT else values
        if path != SUBJECT and (self.holds_elements(path) or Reading.RAW in readings):
            yield ARRAY
        if path != SUBJECT and Reading.RAW in readings:
            yield OBJECT

    def holds_elements(self, path: ClaimPath) -> bool:
        return bool(
            self.readings[path] & {Reading.TEXTS, Reading.SCOPES}
            or self.operators[path] & {Operator.ANY, Operator.CONTAINS}
        )

    def elements(self, path: ClaimPath) -> Iterator[object]:
        """What an array in the claim can hold, each independently of the others."""
        if path == SUBJECT or not self.holds_elements(path):
            return
        readings = self.readings[path]
        for value in self.scalars[path].values():
            if Reading.RAW in readings or (
                isinstance(value, str) and (readings != {Reading.SCOPES} or is_scope(value))
            ):
                yield value
        if Reading.RAW in readings:
            yield FOREIGN


def is_scope(value: object) -> bool:
    """Whether a scope list can hold it (RFC 6749 §3.3)."""
    return isinstance(value, str) and _SCOPE.fullmatch(value) is not None


def _unused_text(path: ClaimPath, known: Mapping[tuple[type, object], object]) -> str:
    text = "someone" if path == SUBJECT else f"other-{re.sub('[^a-z0-9]+', '-', path[-1].lower()).strip('-')}"
    while typed(text) in known:
        text += "-x"
    return text


# --- addresses and workloads -----------------------------------------------------------------------------


def addresses(requirements: Iterable[SourceRequirement]) -> tuple[str, ...]:
    """One address of each part into which the networks divide all addresses; "" for an unknown one."""
    found: dict[str, None] = {"": None, "0.0.0.0": None, "::": None}  # noqa: S104 - the lowest of each family
    networks = {ipaddress.ip_network(cidr, strict=False) for one in requirements for cidr in one.cidrs}
    for network in sorted(networks, key=str):
        first, last = int(network.network_address), int(network.broadcast_address)
        limit = (1 << network.max_prefixlen) - 1
        kind = type(network.network_address)
        for number in (first, last + 1):
            if 0 <= number <= limit:
                found[str(kind(number))] = None
    return tuple(found)


def workload_ids(
    requirements: Iterable[WorkloadRequirement], trusts: Iterable[TrustSettings], segments: Mapping[int, Iterable[str]]
) -> tuple[tuple[SpiffeId, ...], bool]:
    """Identities that tell the requirements apart, and whether they are all there are. `segments` are texts that a
    reference compares the segment of that number with."""
    wanted, settings = tuple(requirements), tuple(trusts)
    patterns = {SpiffePattern.parse(text.value) for one in wanted for text in one.spiffe}
    roles = {text.value for one in wanted for text in one.roles}
    for trust in settings:
        for named, held in trust.roles.items():
            if held & roles:
                patterns.add(SpiffePattern(named.trust_domain, named.path, False))
        patterns |= {SpiffePattern(one.trust_domain, one.path, False) for one in trust.trusted_proxies}
    domains = {domain for trust in settings for domain in trust.domains}
    patterns |= {SpiffePattern(domain, (), True) for domain in domains}
    closed, complete = _closed(patterns)
    longest = max((len(pattern.segments) for pattern in closed), default=0)
    found: dict[SpiffeId, None] = {}
    for pattern in sorted(closed, key=lambda one: (one.rest, str(one))):
        for path in _instances(pattern, longest, segments):
            found[SpiffeId(pattern.trust_domain, path)] = None
            if len(found) > MAX_IDS:
                return tuple(found), False
    return tuple(found), complete


def _closed(patterns: set[SpiffePattern]) -> tuple[set[SpiffePattern], bool]:
    """The patterns with everything that several of them have in common."""
    closed, fresh = set(patterns), set(patterns)
    while fresh:
        met = {both for one in fresh for other in closed if (both := _meet(one, other)) is not None} - closed
        closed |= met
        fresh = met
        if len(closed) > MAX_IDS:
            return closed, False
    return closed, True


def _meet(one: SpiffePattern, other: SpiffePattern) -> SpiffePattern | None:
    """The pattern of what both match."""
    if one.trust_domain != other.trust_domain:
        return None
    short, long = sorted((one, other), key=lambda pattern: len(pattern.segments))
    if len(short.segments) == len(long.segments):
        # A trailing `/**` stands for one or more segments.
        if short.rest is not long.rest:
            return None
    elif not short.rest:
        return None
    segments: list[str | None] = []
    for index, segment in enumerate(long.segments):
        mine = short.segments[index] if index < len(short.segments) else None
        if mine is not None and segment is not None and mine != segment:
            return None
        segments.append(segment if mine is None else mine)
    return SpiffePattern(one.trust_domain, tuple(segments), long.rest)


def _instances(
    pattern: SpiffePattern, longest: int, segments: Mapping[int, Iterable[str]]
) -> Iterator[tuple[str, ...]]:
    """Paths that match the pattern and, of the patterns that don't contain it, none."""
    own = pattern.segments
    lengths = range(len(own) + 1, max(longest, len(own)) + 2) if pattern.rest else (len(own),)
    for length in lengths:
        free = [index for index in range(length) if index >= len(own) or own[index] is None]
        path = [
            own[index] if index < len(own) and own[index] is not None else f"any-{index + 1}" for index in range(length)
        ]
        filled = [segment or "" for segment in path]
        yield tuple(filled)
        for index in free:
            for text in segments.get(index + 1, ()):
                yield (*filled[:index], text, *filled[index + 1 :])
