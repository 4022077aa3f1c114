"""One policy on its way into the set: its newest text, else its last good text, else nothing but its hosts (§1).

A newest text (FRESH) has to fit wholly. A last good text is fitted to the new platform documents as far as it
goes: hosts, destinations and routes that no longer fit are taken out of it and answer 503. What is left of a
policy with neither (UNAVAILABLE) are the hosts that it claims, so that nobody else takes them over. Policies
against each other are weighed by `policy.clashes`.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from enum import Enum
from typing import Protocol

from authz.policy.compiled import CompiledRoute, PathTemplate, Usage
from authz.policy.document import Bind, FaultyPolicy, RouteDeclaration, RoutePolicyDocument
from authz.policy.faults import Fault, FaultCode, Faults, Place, Severity
from authz.policy.hosts import HostEntry, HostPattern, read_host
from authz.policy.ownership import Division, Land, read_destination
from authz.policy.templates import read_template
from authz.policy.values import Text


class PolicyStatus(Enum):
    """What of a policy is in force: its newest text, its last good text, or nothing (503)."""

    FRESH = "fresh"
    LAST_GOOD = "last_good"
    UNAVAILABLE = "unavailable"


class Compiler(Protocol):
    """Makes routes of declarations; `policy.load` supplies the language's own."""

    def compile(
        self,
        policy: RoutePolicyDocument,
        templates: Mapping[str, PathTemplate],
        host_variables: frozenset[str],
        faults: Faults,
    ) -> Mapping[str, CompiledRoute]:
        """The routes that fit, by id; faults tell of the others. Routes without a template are left out."""
        ...


@dataclass(frozen=True, slots=True)
class Kept:
    """A good text of a policy, and a digest of the bytes that it was read from."""

    document: RoutePolicyDocument
    digest: str


@dataclass(frozen=True, slots=True)
class Claim:
    """One host entry and where it was written."""

    entry: HostEntry
    text: Text


@dataclass(slots=True, kw_only=True)
class Candidate:
    """A policy while linking goes on; only `policy.link` and this module change it.

    `lost_hosts` and `lost_at` are claims of a last good text that the platform or a clash took away.
    `hosts_known` is false when an entry can't be read, so that it can't be closed; `at_known` likewise, so that it
    is to be closed everywhere.
    """

    name: str
    status: PolicyStatus
    document: RoutePolicyDocument | None
    digest: str
    kept: Kept | None
    place: Place
    claims: tuple[Claim, ...] = ()
    at: Mapping[str, Text] = field(default_factory=dict)
    by_name: bool = False
    hosts_known: bool = True
    at_known: bool = True
    routes: tuple[CompiledRoute, ...] = ()
    faults: list[Fault] = field(default_factory=list)
    lost_hosts: set[HostPattern] = field(default_factory=set)
    lost_at: set[str] = field(default_factory=set)
    _paths: Mapping[str, Text] = field(default_factory=dict, repr=False)

    @property
    def live(self) -> bool:
        return self.status is not PolicyStatus.UNAVAILABLE

    @property
    def served(self) -> Iterable[Claim]:
        """The claims that still stand."""
        return (claim for claim in self.claims if claim.entry.pattern not in self.lost_hosts)

    def path_of(self, route: str) -> Text:
        """Where a route's path is written."""
        if not self._paths and self.document is not None:
            self._paths = {item.id: item.path for item in self.document.routes}
        return self._paths[route]


@dataclass(frozen=True, slots=True)
class Ground:
    """What every candidate is fitted to."""

    land: Land
    compiler: Compiler


def fresh(document: RoutePolicyDocument, digest: str, kept: Kept | None, ground: Ground) -> Candidate:
    """The newest text; demoted at once when it doesn't fit."""
    faults = Faults()
    candidate = _claimant(document, digest, kept, PolicyStatus.FRESH, faults)
    _check_binding(document, ground.land, faults)
    _check_claims(candidate, ground.land, faults)
    templates = _templates(document, faults)
    compiled = ground.compiler.compile(document, templates, _host_variables(candidate), faults)
    _check_shares(candidate, document, compiled.values(), ground.land, faults)
    candidate.faults = list(faults)
    candidate.routes = tuple(compiled.values())
    return demoted(candidate, ground) if _has_errors(faults) else candidate


def demoted(candidate: Candidate, ground: Ground) -> Candidate:
    """The next lower step for a candidate that has faults; it keeps them for the report."""
    kept = candidate.kept
    if candidate.status is PolicyStatus.FRESH and kept is not None:
        return last_good(kept, candidate.faults, ground)
    candidate.status = PolicyStatus.UNAVAILABLE
    candidate.routes = ()
    return candidate


def last_good(kept: Kept, reported: list[Fault], ground: Ground) -> Candidate:
    """A last good text, fitted to the platform's new documents as far as it goes."""
    document, land = kept.document, ground.land
    faults = Faults()
    candidate = _claimant(document, kept.digest, kept, PolicyStatus.LAST_GOOD, faults)
    candidate.faults = list(reported)
    _check_binding(document, land, faults)
    if _has_errors(faults):
        candidate.faults += faults
        return demoted(candidate, ground)
    candidate.lost_hosts = {
        claim.entry.pattern
        for claim in candidate.claims
        if land.withholds(claim.entry.pattern, document.name) is not None
    }
    candidate.lost_at = {entry for entry in candidate.at if not _is_given(entry, document.name, land)}
    _check_claims(candidate, land, faults)
    candidate.routes = tuple(_fitting(candidate, document, ground, faults))
    candidate.faults += faults
    return candidate


def closed(faulty: FaultyPolicy, digest: str) -> Candidate:
    """What is left of a policy that can't be read and has no last good text."""
    faults = Faults()
    hosts = _claims(faulty.hosts, faults, faulty.name)
    hosts_known = faulty.hosts_known and not _has_errors(faults)
    at = _destinations(faulty.at, faults, faulty.name)
    return Candidate(
        name=faulty.name or faulty.place.file,
        status=PolicyStatus.UNAVAILABLE,
        document=None,
        digest=digest,
        kept=None,
        place=faulty.place,
        claims=hosts,
        at=at,
        by_name=faulty.by_name,
        hosts_known=hosts_known,
        at_known=len(at) == len({text.value for text in faulty.at}),
    )


def _claimant(
    document: RoutePolicyDocument, digest: str, kept: Kept | None, status: PolicyStatus, faults: Faults
) -> Candidate:
    name = document.name
    claims = _claims(document.hosts, faults, name)
    hosts_known = not _has_errors(faults)
    at = _destinations(document.at, faults, name)
    return Candidate(
        name=name,
        status=status,
        document=document,
        digest=digest,
        kept=kept,
        place=document.place,
        claims=claims,
        at=at,
        by_name=document.by_name,
        hosts_known=hosts_known,
        at_known=len(at) == len({text.value for text in document.at}),
    )


def _claims(hosts: tuple[Text, ...], faults: Faults, policy: str) -> tuple[Claim, ...]:
    found: dict[HostPattern, Claim] = {}
    for text in hosts:
        entry = read_host(text, faults, policy)
        if entry is None:
            continue
        first = found.setdefault(entry.pattern, Claim(entry, text))
        if first.entry.variable != entry.variable:
            faults.add(
                text.place,
                FaultCode.HOST_PATTERN,
                f"`{first.text.value}` and `{text.value}` match the same hosts",
                policy=policy,
                help="Keep one name for the label.",
            )
    return tuple(found.values())


def _destinations(texts: tuple[Text, ...], faults: Faults, policy: str) -> Mapping[str, Text]:
    found: dict[str, Text] = {}
    for text in texts:
        entry = read_destination(text, faults, policy)
        if entry is not None:
            found.setdefault(entry, text)
    return found


def _check_binding(document: RoutePolicyDocument, land: Land, faults: Faults) -> None:
    """`at` or `by_name` with `bind: destination`, neither `at` with `bind: host` (§4, "Which policy")."""
    destined = land.bind is Bind.DESTINATION
    if document.at and not destined:
        faults.add(
            document.at[0].place,
            FaultCode.DESTINATION_UNEXPECTED,
            "`at` stands in a directory that binds by host",
            policy=document.name,
        )
    elif destined and document.at and document.by_name:
        faults.add(
            document.at[0].place,
            FaultCode.DESTINATION_UNEXPECTED,
            "`at` and `by_name: true` exclude each other",
            policy=document.name,
            help="Keep one of the two.",
        )
    elif destined and not document.at and not document.by_name:
        faults.add(
            document.place,
            FaultCode.DESTINATION_MISSING,
            "the policy doesn't say what it protects",
            policy=document.name,
        )


def _check_claims(candidate: Candidate, land: Land, faults: Faults) -> None:
    """What the platform gave to others."""
    for entry, text in candidate.at.items():
        if not _is_given(entry, candidate.name, land):
            faults.add(
                text.place,
                FaultCode.DESTINATION_NOT_GIVEN,
                f"the platform doesn't give `{text.value}` to `{candidate.name}`",
                policy=candidate.name,
            )
    for claim in candidate.claims:
        if land.withholds(claim.entry.pattern, candidate.name) is not None:
            faults.add(
                claim.text.place,
                FaultCode.HOST_CLASH,
                f"the platform divides `{claim.text.value}` and gives no share of it to `{candidate.name}`",
                policy=candidate.name,
            )


def _is_given(entry: str, policy: str, land: Land) -> bool:
    return land.destinations is None or policy in land.destinations.get(entry, ())


def _templates(document: RoutePolicyDocument, faults: Faults) -> Mapping[str, PathTemplate]:
    """By route id; the same text is read once."""
    known: dict[str, PathTemplate | None] = {}
    found: dict[str, PathTemplate] = {}
    for route in document.routes:
        text = route.path
        if text.value not in known:
            known[text.value] = read_template(text, faults, document.name)
        template = known[text.value]
        if template is not None:
            found[route.id] = template
    return found


def _host_variables(candidate: Candidate) -> frozenset[str]:
    """Those that some host entry has (§5, References); on the others the reference is to something absent."""
    return frozenset(claim.entry.variable for claim in candidate.claims if claim.entry.variable)


def _divisions_of(candidate: Candidate, land: Land) -> list[Division]:
    """The divided hosts that the policy serves a share of."""
    divisions = (land.divisions.get(claim.entry.pattern) for claim in candidate.served)
    return [division for division in divisions if division is not None and candidate.name in division.shares]


def _check_shares(
    candidate: Candidate, document: RoutePolicyDocument, routes: Iterable[CompiledRoute], land: Land, faults: Faults
) -> None:
    divisions = _divisions_of(candidate, land)
    if not divisions:
        return
    declared = {route.id: route for route in document.routes}
    for route in routes:
        if not all(division.holds(document.name, route.template) for division in divisions):
            path = declared[route.id].path
            faults.add(
                path.place,
                FaultCode.ROUTE_OUTSIDE_SHARE,
                f"route `{route.id}` has the path `{path.value}`, outside the share of `{document.name}`",
                policy=document.name,
            )


def _fitting(
    candidate: Candidate, document: RoutePolicyDocument, ground: Ground, faults: Faults
) -> Iterable[CompiledRoute]:
    """The routes of a last good text: those that no longer fit as unavailable, save those whose paths belong to
    other policies now."""
    land, name = ground.land, document.name
    templates = _templates(document, faults)
    compiled = ground.compiler.compile(document, templates, _host_variables(candidate), faults)
    divisions = _divisions_of(candidate, land)
    _check_shares(candidate, document, compiled.values(), land, faults)
    for route in document.routes:
        template = templates.get(route.id)
        if template is None or any(
            not division.holds(name, template) and division.touches_others(name, template) for division in divisions
        ):
            continue
        fits = all(division.holds(name, template) for division in divisions)
        ready = compiled.get(route.id) if fits else None
        yield ready or _unavailable(route, template, name)


def _unavailable(route: RouteDeclaration, template: PathTemplate, policy: str) -> CompiledRoute:
    return CompiledRoute(
        id=route.id,
        policy=policy,
        methods=route.methods,
        upgrade=route.upgrade,
        template=template,
        plan=None,
        usage=Usage(),
        unavailable=True,
    )


def _has_errors(faults: Faults) -> bool:
    return any(fault.severity is Severity.ERROR for fault in faults)
