"""From a request's credentials to its principals (policy language §3, §5, §8).

Owns: which credentials are examined (only those that `Usage` names), and the turn from what verifiers raise to
values: exactly `Unavailable` becomes `Undecided` and `Refused` becomes `Refusal`. Must not: swallow any other
exception (the guard in `server.service` denies then), or decide who may do what.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Final, TypeVar

from authz.authn.claims import user_of
from authz.authn.extract import PresentedToken, bearer
from authz.authn.forwarded import forwarded_id
from authz.authn.keys import KeySet, VerificationKey
from authz.authn.leaf import named_id, verify_svid
from authz.authn.svid import workload_id
from authz.authn.token import UnverifiedToken, peek, recheck, verify
from authz.engine.ports import IssuerKeys, Revocations, TrustBundles
from authz.engine.revocations import UnsafeNoRevocations
from authz.engine.token_cache import CachedCertificate, CachedToken, CertificateCache, TokenCache, digest_of
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import IssuerSettings, PeerVerification, TrustSettings
from authz.model.principal import (
    NOBODY,
    Principals,
    Refusal,
    Undecided,
    User,
    UserOutcome,
    Via,
    Workload,
    WorkloadOutcome,
)
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits
from authz.model.spiffe import SpiffeId
from authz.policy.compiled import Usage

_FORWARDED_HEADER: Final = "x-forwarded-client-cert"

Found = TypeVar("Found")


@dataclass(frozen=True, slots=True, kw_only=True)
class Trusted:
    """What of the policy in force says whom to believe. `audiences` are the route's, by issuer name."""

    issuers: Mapping[str, IssuerSettings]
    issuers_by_url: Mapping[str, IssuerSettings]
    trust: TrustSettings | None
    audiences: Mapping[str, frozenset[str]]


class Authenticator:
    """Examines credentials with the keys, bundles and caches that it was made with; any thread may use it."""

    def __init__(
        self, keys: IssuerKeys, bundles: TrustBundles, tokens: TokenCache, certificates: CertificateCache,
        limits: Limits, revocations: Revocations | None = None,
    ) -> None:
        self._keys = keys
        self._revocations: Revocations = UnsafeNoRevocations() if revocations is None else revocations
        self._bundles = bundles
        self._tokens = tokens
        self._certificates = certificates
        self._limits = limits

    def principals(self, request: AuthzRequest, usage: Usage, trusted: Trusted, *, now: float) -> Principals:
        """Who calls, as far as `usage` asks. A credential that isn't named there isn't looked at."""
        if not usage.issuers and not usage.vias:
            return NOBODY
        user: UserOutcome = None
        if usage.issuers:
            user = self._user_standing(_outcome(lambda: self._user(request, usage, trusted, now)), trusted, now)
        trust = trusted.trust
        if not usage.vias or trust is None:
            return Principals(user=user)
        peer = self._standing(_outcome(lambda: self._peer(request, trust, now)), now)
        forwarded: WorkloadOutcome = None
        if Via.FORWARDED in usage.vias:
            forwarded = self._standing(_forwarded(request, trust, peer), now)
        return Principals(user=user, mtls=peer if Via.MTLS in usage.vias else None, forwarded=forwarded)

    # --- revocation: asked for each request, of whatever was verified, now or before ---

    def _user_standing(self, user: UserOutcome, trusted: Trusted, now: float) -> UserOutcome:
        if not isinstance(user, User):
            return user
        kind = self._revocations.revoked(user, now=now)
        if kind is not None:
            return Refusal(reason=Reason.TOKEN_REVOKED, detail=f"an entry by {kind.value} revokes it")
        if trusted.issuers[user.issuer].strict_revocation and self._revocations.stale():
            return Undecided(reason=Reason.STORE_UNAVAILABLE, detail="the revocation list is older than its bound")
        return user

    def _standing(self, workload: WorkloadOutcome, now: float) -> WorkloadOutcome:
        if isinstance(workload, Workload) and self._revocations.revoked_workload(workload.id, now=now):
            return Refusal(reason=Reason.WORKLOAD_REVOKED, detail="an entry names this SPIFFE ID")
        return workload

    # --- users ---

    def _user(self, request: AuthzRequest, usage: Usage, trusted: Trusted, now: float) -> User | None:
        presented = bearer(
            request.headers, limit=self._limits.token, certificate=request.source.certificate,
        )
        if presented is None:
            return None
        digest = digest_of(presented.token)
        user = self._remembered(digest, presented, usage, trusted, now)
        if user is None:
            user = self._verified(digest, presented, usage, trusted, now)
        accepted = trusted.audiences.get(user.issuer)
        if accepted is not None and accepted.isdisjoint(user.audiences):
            raise Refused(Reason.AUDIENCE_MISMATCH, "the policy narrows the issuer's audiences")
        return user

    def _remembered(
        self, digest: bytes, presented: PresentedToken, usage: Usage, trusted: Trusted, now: float,
    ) -> User | None:
        """The user of a token that was verified before with the settings and keys in force."""
        entry = self._tokens.get(digest, now=now)
        if entry is None:
            return None
        settings = trusted.issuers.get(entry.token.issuer)
        if settings is None or settings.revision != entry.settings:
            self._tokens.reject(digest)
            return None
        _check_permitted(settings, usage)
        if self._keys.keys(settings).revision != entry.keys:
            self._tokens.reject(digest)
            return None
        recheck(entry.token, settings, presented, now=now)
        return entry.user

    def _verified(
        self, digest: bytes, presented: PresentedToken, usage: Usage, trusted: Trusted, now: float,
    ) -> User:
        unverified = peek(presented, limit=self._limits.token)
        settings = trusted.issuers_by_url.get(unverified.issuer)
        if settings is None:
            raise Refused(Reason.ISSUER_UNKNOWN, "no configured issuer has this iss")
        _check_permitted(settings, usage)
        return self._verify(digest, unverified, settings, presented, now)

    def _verify(
        self, digest: bytes, unverified: UnverifiedToken, settings: IssuerSettings, presented: PresentedToken,
        now: float,
    ) -> User:
        search = _KeySearch(self._keys, settings)
        token = verify(unverified, settings, search.find, presented, now=now)
        user = user_of(token, settings)
        self._tokens.put(digest, CachedToken(
            token=token, user=user, settings=settings.revision, keys=search.revision,
            until=min(token.expires_at, now + self._tokens.max_age),
        ))
        return user

    # --- workloads ---

    def _peer(self, request: AuthzRequest, trust: TrustSettings, now: float) -> Workload | None:
        """The workload at the other end of the connection."""
        if trust.verified_by is PeerVerification.CERTIFICATE:
            found = self._certified(request, trust, now)
        else:
            found = workload_id(request.source.principal, trust.domains)
            if found is not None and request.source.certificate:
                # Envoy shows the first name only; an SVID has exactly one (X509-SVID §2).
                _check_same(named_id(request.source.certificate), request)
        return None if found is None else _workload(found, Via.MTLS, trust)

    def _certified(self, request: AuthzRequest, trust: TrustSettings, now: float) -> SpiffeId | None:
        text = request.source.certificate
        if not text:
            return None
        digest = digest_of(text)
        entry = self._certificates.get(digest, now=now)
        if entry is not None and not self._in_force(entry, trust, now):
            self._certificates.reject(digest)
            entry = None
        if entry is None:
            svid = verify_svid(text, trust.domains, self._bundles.bundle, now=now)
            until = min(svid.not_after, now + self._certificates.max_age)
            entry = CachedCertificate(svid=svid, until=until)
            self._certificates.put(digest, entry)
        _check_same(str(entry.svid.id), request)
        return entry.svid.id

    def _in_force(self, entry: CachedCertificate, trust: TrustSettings, now: float) -> bool:
        domain = entry.svid.id.trust_domain
        bundle = self._bundles.bundle(domain) if domain in trust.domains else None
        return bundle is not None and bundle.revision == entry.svid.revision and now >= entry.svid.not_before


class _KeySearch:
    """One look into an issuer's keys; remembers the revision of the set that was looked into."""

    __slots__ = ("_keys", "_settings", "revision")

    def __init__(self, keys: IssuerKeys, settings: IssuerSettings) -> None:
        self._keys = keys
        self._settings = settings
        self.revision = ""

    def find(self, kid: str | None, algorithm: str, /) -> VerificationKey:
        key_set: KeySet = self._keys.keys(self._settings)
        self.revision = key_set.revision
        try:
            return key_set.find(kid, algorithm)
        except Refused:
            if kid is None:
                raise
            # A fetch may bring this kid: the port says whether to wait for it (§8).
            raise self._keys.unknown(self._settings) from None


def _outcome(examine: Callable[[], Found]) -> Found | Refusal | Undecided:
    """What a verifier found, as a value. Anything but `Refused` passes through to the caller."""
    try:
        return examine()
    except Unavailable as error:
        return Undecided(reason=error.reason, detail=error.detail, retry_after=error.retry_after)
    except Refused as error:
        return Refusal(reason=error.reason, detail=error.detail)


def _check_permitted(settings: IssuerSettings, usage: Usage) -> None:
    if settings.name not in usage.issuers:
        raise Refused(Reason.ISSUER_NOT_PERMITTED, "neither the route nor a guardrail names this issuer")


def _check_same(name: str, request: AuthzRequest) -> None:
    """The certificate and the principal that Envoy names are two views of one peer."""
    principal = request.source.principal
    if principal and principal != name:
        raise Refused(Reason.WORKLOAD_INVALID, "the certificate bears another name than the principal")


def _forwarded(request: AuthzRequest, trust: TrustSettings, peer: WorkloadOutcome) -> WorkloadOutcome:
    """Whom a trusted proxy acts for; nobody's word counts but that of the connection's own peer (§3)."""
    values = request.headers.get_all(_FORWARDED_HEADER)
    if not values or not trust.trusted_proxies:
        return None
    if isinstance(peer, Undecided):
        return peer
    if not isinstance(peer, Workload) or peer.id not in trust.trusted_proxies:
        return None
    proxy = peer.id
    return _outcome(lambda: _forwarded_workload(values, proxy, trust))


def _forwarded_workload(
    values: tuple[str, ...], proxy: SpiffeId, trust: TrustSettings,
) -> Workload | None:
    if len(values) > 1:
        raise Refused(Reason.HEADER_AMBIGUOUS, "x-forwarded-client-cert came more than once")
    found = forwarded_id(values[0], proxy, trust.domains)
    return None if found is None else _workload(found, Via.FORWARDED, trust)


def _workload(found: SpiffeId, via: Via, trust: TrustSettings) -> Workload:
    return Workload(id=found, via=via, roles=trust.roles.get(found, frozenset()))
