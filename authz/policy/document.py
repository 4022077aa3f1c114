"""What people wrote, parsed: one frozen value per construct of the language, each with its place.

Parsing (policy.parse) has checked spelling, types and grammar of single values; whatever needs a second
construct to judge (names that must exist, hosts that clash, templates that cross) is linking's business.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import date
from enum import Enum

from authz.model.issuer import IssuerSettings, TrustSettings
from authz.model.principal import Binding, PrincipalKind, Via
from authz.policy.faults import Place
from authz.policy.values import Text, Value

# --- requirements (§5) -----------------------------------------------------------------------------------


class Quantifier(Enum):
    """How many of a list have to be there."""

    ALL = "all"
    ANY = "any"


@dataclass(frozen=True, slots=True)
class Quantified:
    """`{all: […]}` or `{any: […]}`; never empty."""

    quantifier: Quantifier
    values: tuple[Value, ...]
    place: Place


class ClaimOperator(Enum):
    """How a claim is compared with what is written."""

    EQUALS = "equals"
    ANY = "any"
    CONTAINS = "contains"
    EXISTS = "exists"


@dataclass(frozen=True, slots=True)
class ClaimCondition:
    """One claim path and one operator. `values` has one item for EQUALS and CONTAINS, one or more for ANY; for
    EXISTS it holds one `Value` whose literal is True or False. `path` is as written (alias or dotted)."""

    path: str
    operator: ClaimOperator
    values: tuple[Value, ...]
    place: Place


@dataclass(frozen=True, slots=True, kw_only=True)
class UserRequirement:
    """`user: {…}`. None or empty means that the field was not written."""

    place: Place
    issuers: tuple[Text, ...] = ()
    kind: PrincipalKind | None = None
    subjects: Quantified | None = None
    scopes: Quantified | None = None
    groups: Quantified | None = None
    roles: Quantified | None = None
    clients: Quantified | None = None
    claims: tuple[ClaimCondition, ...] = ()
    acr: tuple[str, ...] = ()
    amr: tuple[Quantifier, tuple[str, ...]] | None = None
    auth_age: float | None = None
    """Seconds."""
    bound: Binding | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadRequirement:
    """`workload: {…}`. `spiffe` patterns are as written; `via` None means unwritten."""

    place: Place
    spiffe: tuple[Text, ...] = ()
    trust_domains: tuple[Text, ...] = ()
    roles: tuple[Text, ...] = ()
    via: Via | None = None


@dataclass(frozen=True, slots=True)
class SourceRequirement:
    """`source: {cidrs: […]}`: each text is a valid CIDR or address."""

    place: Place
    cidrs: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class PublicRequirement:
    """`public: "why"`."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class NobodyRequirement:
    """`nobody: "why"`."""

    place: Place
    why: str


@dataclass(frozen=True, slots=True)
class WhenRequirement:
    """`when`: a CEL expression, as written."""

    place: Place
    expression: str


@dataclass(frozen=True, slots=True)
class NamedRequirement:
    """The name of a requirement that stands elsewhere."""

    place: Place
    name: str


@dataclass(frozen=True, slots=True)
class AnyOf:
    """`any: […]`."""

    place: Place
    items: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class AllOf:
    """`all: […]`."""

    place: Place
    items: tuple[Requirement, ...]


@dataclass(frozen=True, slots=True)
class NotRequirement:
    """`not: …`."""

    place: Place
    item: Requirement


Requirement = (
    AnyOf
    | AllOf
    | NotRequirement
    | UserRequirement
    | WorkloadRequirement
    | SourceRequirement
    | PublicRequirement
    | NobodyRequirement
    | WhenRequirement
    | NamedRequirement
)


# --- kinds -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True, kw_only=True)
class IssuersDocument:
    """`kind: Issuers`; `places` says where each issuer was written."""

    place: Place
    issuers: Mapping[str, IssuerSettings]
    places: Mapping[str, Place]


@dataclass(frozen=True, slots=True, kw_only=True)
class TrustDomainsDocument:
    """`kind: TrustDomains`."""

    place: Place
    settings: TrustSettings


@dataclass(frozen=True, slots=True, kw_only=True)
class RequirementsDocument:
    """`kind: Requirements`."""

    place: Place
    name: str
    requirements: Mapping[str, Requirement]


class Bind(Enum):
    """What ties a policy to an enforcement point (policy language §4, Which policy)."""

    DESTINATION = "destination"
    HOST = "host"


@dataclass(frozen=True, slots=True, kw_only=True)
class Scope:
    """A guardrail's `for`: empty fields cover everything."""

    hosts: tuple[Text, ...] = ()
    paths: tuple[Text, ...] = ()
    methods: frozenset[str] = frozenset()
    policies: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class Exemption:
    """One entry of `except`; `route` is `POLICY/ROUTE`."""

    place: Place
    route: str
    why: str
    until: date | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class ForbidPublic:
    """`forbid: {public: true, methods: […]}`; empty methods mean all."""

    methods: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailDeclaration:
    """One guardrail: exactly one of `forbid`, `require`, `deny` is set."""

    place: Place
    id: str
    scope: Scope
    forbid: ForbidPublic | None = None
    require: Requirement | None = None
    deny: Requirement | None = None
    absent_denies: bool = False
    exemptions: tuple[Exemption, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class GuardrailsDocument:
    """`hosts` maps a host entry to each policy's share (a path template); `destinations` an entry to policies."""

    place: Place
    bind: Bind | None = None
    destinations: Mapping[str, tuple[Text, ...]] | None = None
    destination_places: Mapping[str, Place] = field(default_factory=dict)
    hosts: Mapping[str, Mapping[str, Text]] = field(default_factory=dict)
    host_places: Mapping[str, Place] = field(default_factory=dict)
    guardrails: tuple[GuardrailDeclaration, ...] = ()


class Credential(Enum):
    """`identity.credential`; PASS is what holds when nothing is written."""

    PASS = "pass"  # noqa: S105 - a word of the language, no password
    REMOVE = "remove"
    UNTOUCHED = "untouched"


@dataclass(frozen=True, slots=True, kw_only=True)
class CandidateDeclaration:
    """`candidate`: what would be asked instead, evaluated and reported, never enforced."""

    place: Place
    allow: Requirement
    until: date


@dataclass(frozen=True, slots=True, kw_only=True)
class RouteDeclaration:
    """One route. `path` is the template as written; a `grpc` match has become POST and its path."""

    place: Place
    id: str
    methods: tuple[str, ...]
    path: Text
    upgrade: str = ""
    allow: Requirement
    identity_headers: tuple[tuple[Text, Value], ...] = ()
    credential: Credential = Credential.PASS
    credential_place: Place | None = None
    candidate: CandidateDeclaration | None = None
    objects: tuple[tuple[Text, str], ...] = ()
    """Path variables that the service itself checks, with the sentence that says how."""


@dataclass(frozen=True, slots=True, kw_only=True)
class RoutePolicyDocument:
    """`kind: RoutePolicy`."""

    place: Place
    name: str
    owner: str = ""
    runbook: str = ""
    hosts: tuple[Text, ...] = ()
    at: tuple[Text, ...] = ()
    by_name: bool = False
    audiences: tuple[Text, ...] = ()
    preflight: str | None = None
    """Why preflights are public; None: they aren't granted."""
    requirements: Mapping[str, Requirement] = field(default_factory=dict)
    routes: tuple[RouteDeclaration, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class FaultyPolicy:
    """A RoutePolicy that can't be read as it stands: what of it could be, so that its hosts answer 503.

    `name` is "" when even that was unreadable (then `file` tells which policies keep their last good version).
    `hosts_known` says whether all of `hosts` could be read, and all of `at` and `by_name` that was written.
    """

    place: Place
    name: str
    hosts: tuple[Text, ...] = ()
    at: tuple[Text, ...] = ()
    by_name: bool = False
    hosts_known: bool = False
    certain: bool = True
    """False for a file of which not even the kind could be told: it might hold a platform document."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ParsedDirectory:
    """Every document of a directory. Faults are kept apart (policy.faults)."""

    issuers: IssuersDocument | None = None
    trust_domains: TrustDomainsDocument | None = None
    guardrails: GuardrailsDocument | None = None
    requirements: tuple[RequirementsDocument, ...] = ()
    policies: tuple[RoutePolicyDocument, ...] = ()
    faulty: tuple[FaultyPolicy, ...] = ()
    sound: Mapping[str, tuple[RoutePolicyDocument, ...]] = field(default_factory=dict)
    """By file, the policies of those that hold nothing else and have no fault; none of a file of tests."""

    @property
    def platform_files(self) -> frozenset[str]:
        """Where the platform's documents stand."""
        singles = (self.issuers, self.trust_domains, self.guardrails)
        return frozenset(found.place.file for found in (*singles, *self.requirements) if found is not None)
