"""`kind: RoutePolicyTest` as values (policy language §9): people, requests and what is expected of them.

Made by `policy.parse_tests`, run by `policy.rehearse`. The service never reads one.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from authz.model.principal import Binding, PrincipalKind, Via
from authz.model.reason import Reason
from authz.model.spiffe import SpiffeId
from authz.policy.faults import Place

DEFAULT_NOW: Final = 1767225600.0
"""2026-01-01T00:00:00Z: the moment of a document that doesn't say `now`, so that no result hangs on the calendar."""


@dataclass(frozen=True, slots=True, kw_only=True)
class UserFixture:
    """The user of a verified token, as people name its parts; None is "the token doesn't say".

    `claims` are by alias or dotted path. `auth_age` (seconds before `now`) stands for `auth_time`, never beside it.
    """

    place: Place
    issuer: str
    subject: str
    scopes: tuple[str, ...] | None = None
    groups: tuple[str, ...] | None = None
    roles: tuple[str, ...] | None = None
    client: str | None = None
    kind: PrincipalKind | None = None
    acr: str | None = None
    amr: tuple[str, ...] | None = None
    auth_time: float | None = None
    auth_age: float | None = None
    bound: frozenset[Binding] = frozenset()
    claims: Mapping[str, object] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class WorkloadFixture:
    """A workload that was verified by `via`; its roles are those of the TrustDomains document."""

    place: Place
    spiffe: SpiffeId
    via: Via = Via.MTLS


@dataclass(frozen=True, slots=True, kw_only=True)
class Rejected:
    """A credential that was refused, or about which something could not be found out (a 503 reason). `via` is None
    for a user's."""

    place: Place
    reason: Reason
    via: Via | None = None


Fixture = UserFixture | WorkloadFixture | Rejected


@dataclass(frozen=True, slots=True, kw_only=True)
class Person:
    """Somebody (or some program) under the name that tests use."""

    name: str
    place: Place
    fixture: Fixture


@dataclass(frozen=True, slots=True, kw_only=True)
class RequestLine:
    """A request as written. `at` None is the policy's own first entry, "" no destination at all."""

    method: str
    authority: str
    target: str
    scheme: str = ""
    at: str | None = None
    service: str = ""
    headers: tuple[tuple[str, str], ...] = ()
    source: str = ""
    tls: bool = False


@dataclass(frozen=True, slots=True, kw_only=True)
class Expectation:
    """`reason` None: the request is allowed. `headers` are what the upstream sees, None for "not there";
    `challenge` are parameters of `WWW-Authenticate` (and `scheme`), likewise."""

    reason: Reason | None
    route: str = ""
    headers: Mapping[str, str | None] = field(default_factory=dict)
    challenge: Mapping[str, str | None] = field(default_factory=dict)

    def __str__(self) -> str:
        return "allow" if self.reason is None else f"deny {self.reason.code}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Case:
    """One test: who acts together, what they ask, what has to become of it at `now` (seconds since the epoch)."""

    name: str
    place: Place
    people: tuple[Person, ...]
    request: RequestLine
    expected: Expectation
    now: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Suite:
    """One document: the tests of one policy."""

    place: Place
    policy: str
    cases: tuple[Case, ...] = ()
