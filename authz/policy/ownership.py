"""Who owns which destination and which part of which host (policy language §4 "Which policy", §6).

Owns the platform's side of binding (`Guardrails.bind`, `destinations`, `hosts`), read into a `Land`, and the
single rule for a claim of one policy against it. Claims of policies against each other are weighed by
`policy.link`, which knows the last good set.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import combinations
from typing import Final

from authz.model.spiffe import SpiffeId, SpiffeIdError
from authz.policy.compiled import Literal, PathTemplate
from authz.policy.document import Bind, GuardrailsDocument
from authz.policy.faults import FaultCode, Faults, Place
from authz.policy.hosts import HostError, HostKind, HostPattern, parse_host
from authz.policy.index import DNS, SPIFFE, Shares
from authz.policy.templates import contains, overlaps, read_template
from authz.policy.values import Text

_NO_GUARDRAILS: Final = GuardrailsDocument(place=Place(""))


@dataclass(frozen=True, slots=True)
class Division:
    """A host that the platform divided: each policy's share, and the narrower shares of others inside it."""

    pattern: HostPattern
    shares: Mapping[str, PathTemplate]
    narrower: Mapping[str, tuple[PathTemplate, ...]]
    lookup: Shares

    def holds(self, policy: str, template: PathTemplate) -> bool:
        """Whether a route of the policy stays inside its share and outside the narrower ones."""
        share = self.shares.get(policy)
        return (
            share is not None
            and contains(share, template)
            and not any(contains(narrow, template) for narrow in self.narrower[policy])
        )

    def touches_others(self, policy: str, template: PathTemplate) -> bool:
        """Whether a path of the template belongs to another policy's share."""
        return any(
            overlaps(share, template)
            for other, share in self.shares.items()
            if other != policy and not (policy in self.shares and contains(share, self.shares[policy]))
        )


@dataclass(frozen=True, slots=True)
class Land:
    """What the platform gave to whom. `destinations` None: it didn't say."""

    bind: Bind
    destinations: Mapping[str, frozenset[str]] | None = None
    divisions: Mapping[HostPattern, Division] = field(default_factory=dict)

    def entries_of(self, policy: str) -> frozenset[str]:
        """The destinations given to a policy."""
        return frozenset(entry for entry, names in (self.destinations or {}).items() if policy in names)

    def given(self) -> frozenset[str]:
        """Every policy with a share of a host."""
        return frozenset(name for division in self.divisions.values() for name in division.shares)

    def withholds(self, pattern: HostPattern, policy: str) -> HostPattern | None:
        """The divided host that this entry would take from its owners; None when the policy may write it."""
        own = self.divisions.get(pattern)
        if own is not None and policy in own.shares:
            return None
        return next((other for other in self.divisions if other.meets(pattern)), None)


def read_land(
    guardrails: GuardrailsDocument | None, *, count: int, destined: bool, second: Place, faults: Faults
) -> Land:
    """Read the platform's side. `count` is the number of policies; `destined` says whether the only one has
    destinations of its own; `second` is where a second policy stands. Faults are the platform's."""
    document = guardrails or _NO_GUARDRAILS
    bind = document.bind
    if bind is None:
        if count > 1:
            place = second if guardrails is None else document.place
            faults.add(place, FaultCode.BIND_MISSING, "several policies, and nothing says what binds them")
        bind = Bind.DESTINATION if destined or document.destinations is not None else Bind.HOST
    if bind is Bind.HOST and document.destinations is not None:
        faults.add(
            document.place,
            FaultCode.DESTINATION_UNEXPECTED,
            "`destinations` has no meaning with `bind: host`",
            help="Remove `destinations`, or bind by destination.",
        )
    return Land(bind, _destinations(document, faults), _divisions(document, faults))


def parse_destination(text: str) -> str | None:
    """An entry of `at` or `destinations` as requests are compared with it (`index.destination_of`); None when it
    is neither a SPIFFE ID nor `dns:NAME`."""
    if text.startswith(SPIFFE):
        try:
            return str(SpiffeId.parse(text))
        except SpiffeIdError:
            return None
    if not text.startswith(DNS):
        return None
    try:
        pattern = parse_host(text[len(DNS) :]).pattern
    except HostError:
        return None
    return text if pattern.port is None and pattern.kind is not HostKind.ONE_LABEL else None


def read_destination(text: Text, faults: Faults, policy: str = "") -> str | None:
    """Read an entry that somebody wrote; None when a fault was added."""
    entry = parse_destination(text.value)
    if entry is None:
        faults.add(
            text.place,
            FaultCode.DESTINATION_INVALID,
            "a destination is a workload's SPIFFE ID or `dns:NAME`",
            policy=policy,
        )
    return entry


def _destinations(document: GuardrailsDocument, faults: Faults) -> Mapping[str, frozenset[str]] | None:
    if document.destinations is None:
        return None
    found: dict[str, frozenset[str]] = {}
    for text, policies in document.destinations.items():
        place = document.destination_places.get(text, document.place)
        entry = read_destination(Text(text, place), faults)
        if entry is not None:
            found[entry] = frozenset(policy.value for policy in policies)
    return found


def _divisions(document: GuardrailsDocument, faults: Faults) -> Mapping[HostPattern, Division]:
    found: dict[HostPattern, Division] = {}
    by_name: dict[tuple[HostKind, str], list[HostPattern]] = {}
    for text, written in document.hosts.items():
        place = document.host_places.get(text, document.place)
        try:
            pattern = parse_host(text).pattern
        except HostError as error:
            faults.add(place, FaultCode.HOST_PATTERN, str(error))
            continue
        same = by_name.setdefault((pattern.kind, pattern.name), [])
        if any(pattern.meets(other) for other in same):
            faults.add(place, FaultCode.SHARE_INVALID, f"the host `{text}` is divided twice")
        same.append(pattern)
        found[pattern] = _division(pattern, written, faults)
    return found


def _division(pattern: HostPattern, written: Mapping[str, Text], faults: Faults) -> Division:
    shares = {
        policy: template for policy, text in written.items() if (template := read_template(text, faults)) is not None
    }
    for policy, template in shares.items():
        _check_start(written[policy], template, faults, sole=len(written) == 1)
    narrower: dict[str, list[PathTemplate]] = {policy: [] for policy in shares}
    for one, other in _neighbours(shares):
        _compare(one, other, shares, written, narrower, faults)
    return Division(pattern, shares, {name: tuple(inner) for name, inner in narrower.items()}, Shares(shares))


def _check_start(text: Text, template: PathTemplate, faults: Faults, *, sole: bool) -> None:
    """A sole share may be the whole host (`/**`): it is given, not divided."""
    whole = sole and not template.segments
    if not whole and not (template.segments and isinstance(template.segments[0], Literal)):
        faults.add(text.place, FaultCode.SHARE_INVALID, f"the share `{text.value}` doesn't start with a literal")


def _neighbours(shares: Mapping[str, PathTemplate]) -> Iterable[tuple[str, str]]:
    """Pairs that could overlap: shares with the same first literal."""
    groups: dict[object, list[str]] = {}
    for policy, template in shares.items():
        groups.setdefault(template.segments[:1], []).append(policy)
    for group in groups.values():
        yield from combinations(group, 2)


def _compare(
    one: str,
    other: str,
    shares: Mapping[str, PathTemplate],
    written: Mapping[str, Text],
    narrower: dict[str, list[PathTemplate]],
    faults: Faults,
) -> None:
    wide, narrow = contains(shares[one], shares[other]), contains(shares[other], shares[one])
    if wide is not narrow:
        narrower[one if wide else other].append(shares[other if wide else one])
    elif wide or overlaps(shares[one], shares[other]):
        text = written[other]
        faults.add(
            text.place,
            FaultCode.SHARE_INVALID,
            f"the share `{text.value}` of `{other}` overlaps `{written[one].value}` of `{one}`",
        )
