"""People of a test as the principals of one request (policy language §3, §5, §9).

Owns what a fixture means under a policy directory: which principals are looked at, whose tokens a route takes, whose
word about a forwarded workload counts, and the claims that a token of the issuer would hold. Must not: read claims
back (`MakeUser`, the service's own reader, does), or decide anything.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from typing import Any, Final

from authz.model.issuer import ClaimPath, IssuerSettings, TrustSettings
from authz.model.principal import Principals, Refusal, Undecided, User, UserOutcome, Via, Workload, WorkloadOutcome
from authz.model.reason import Reason
from authz.policy.compiled import Usage
from authz.policy.suite import Person, Rejected, UserFixture, WorkloadFixture

MakeUser = Callable[[UserFixture, IssuerSettings, float], User]
"""The user that a verified token of the issuer with the fixture's claims makes at a time (seconds)."""

TOKEN_LIFETIME: Final = 300.0
"""Seconds that the token of a fixture is still valid."""

_OVERRIDABLE: Final = frozenset({("iss",), ("sub",), ("aud",), ("iat",), ("exp",)})
"""Claims that every token has and that a fixture may write itself."""
_NOT_NAMED: Final = "neither the route nor a guardrail names this issuer"
_NARROWED: Final = "the policy narrows the issuer's audiences"


class Misplaced(ValueError):
    """A claim would have to stand inside something that is no object, or in place of another; the message names it."""


def token_claims(fixture: UserFixture, settings: IssuerSettings, now: float) -> dict[str, Any]:
    """The claims of a token as its issuer would write them; raises `Misplaced`."""
    claims: dict[str, Any] = {
        "iss": settings.issuer,
        "sub": fixture.subject,
        "aud": sorted(settings.audiences),
        "iat": int(now),
        "exp": int(now + TOKEN_LIFETIME),
    }
    for path, values in (
        (settings.scopes, fixture.scopes),
        (settings.groups, fixture.groups),
        (settings.roles, fixture.roles),
    ):
        if values is not None:
            _place(claims, path, list(values))
    if fixture.client is not None:
        _place(claims, settings.client, fixture.client)
    auth_time = fixture.auth_time if fixture.auth_age is None else now - fixture.auth_age
    written = {"acr": fixture.acr, "amr": None if fixture.amr is None else list(fixture.amr), "auth_time": auth_time}
    claims.update((name, value) for name, value in written.items() if value is not None)
    for name, value in fixture.claims.items():
        if name == "cnf":
            raise Misplaced("what a token is bound to is said by `bound`, not by the claim cnf")
        _place(claims, settings.aliases.get(name, tuple(name.split("."))), value)
    return claims


def cast(
    people: Iterable[Person],
    usage: Usage,
    audiences: Mapping[str, frozenset[str]],
    issuers: Mapping[str, IssuerSettings],
    trust: TrustSettings | None,
    now: float,
    make_user: MakeUser,
) -> Principals:
    """Who calls, as far as `usage` asks: what it doesn't name isn't looked at (§5, last paragraph). `audiences` are
    the route's, by issuer."""
    user: UserOutcome = None
    workloads: dict[Via, WorkloadOutcome] = {}
    for person in people:
        fixture = person.fixture
        if isinstance(fixture, WorkloadFixture):
            workloads[fixture.via] = None if trust is None else _workload(fixture, trust)
        elif isinstance(fixture, UserFixture):
            user = _user(fixture, usage, audiences, issuers, now, make_user)
        elif fixture.via is None:
            user = _rejected(fixture)
        elif trust is not None:
            workloads[fixture.via] = _rejected(fixture)
    forwarded = workloads.get(Via.FORWARDED)
    if forwarded is not None:
        workloads[Via.FORWARDED] = _forwarded(forwarded, workloads.get(Via.MTLS), trust)
    seen = {via: workloads.get(via) if via in usage.vias else None for via in Via}
    return Principals(
        user=user if usage.issuers else None,
        mtls=seen[Via.MTLS],
        forwarded=seen[Via.FORWARDED],
        jwt_svid=seen[Via.JWT_SVID],
    )


def _user(
    fixture: UserFixture,
    usage: Usage,
    audiences: Mapping[str, frozenset[str]],
    issuers: Mapping[str, IssuerSettings],
    now: float,
    make_user: MakeUser,
) -> UserOutcome:
    if fixture.issuer not in usage.issuers:
        return Refusal(reason=Reason.ISSUER_NOT_PERMITTED, detail=_NOT_NAMED)
    user = make_user(fixture, issuers[fixture.issuer], now)
    accepted = audiences.get(fixture.issuer)
    if accepted is not None and accepted.isdisjoint(user.audiences):
        return Refusal(reason=Reason.AUDIENCE_MISMATCH, detail=_NARROWED)
    return user


def _workload(fixture: WorkloadFixture, trust: TrustSettings) -> WorkloadOutcome:
    if fixture.spiffe.trust_domain not in trust.domains:
        return Refusal(reason=Reason.TRUST_DOMAIN_UNKNOWN, detail="the trust domain is not configured")
    return Workload(id=fixture.spiffe, via=fixture.via, roles=trust.roles.get(fixture.spiffe, frozenset()))


def _forwarded(claimed: WorkloadOutcome, peer: WorkloadOutcome, trust: TrustSettings | None) -> WorkloadOutcome:
    """Only a trusted proxy's word about whom it acts for counts (§3)."""
    if isinstance(peer, Undecided):
        return peer
    trusted = trust is not None and isinstance(peer, Workload) and peer.id in trust.trusted_proxies
    return claimed if trusted else None


def _rejected(fixture: Rejected) -> Refusal | Undecided:
    if fixture.reason.is_undecided:
        return Undecided(reason=fixture.reason, detail="as the test says")
    return Refusal(reason=fixture.reason, detail="as the test says")


def _place(claims: dict[str, Any], path: ClaimPath, value: Any) -> None:
    whole = ".".join(path)
    for key in path[:-1]:
        claims = claims.setdefault(key, {})
        if not isinstance(claims, dict):
            raise Misplaced(f"the claim {whole} stands inside something that is no object")
    if path[-1] in claims and path not in _OVERRIDABLE:
        raise Misplaced(f"the claim {whole} is written twice")
    claims[path[-1]] = value
