"""From a request's credentials to its principals (policy language §3, §5, §8).

Owns: which credentials are examined (only those that `Usage` names), and the turn from what verifiers raise to
values: exactly `Unavailable` becomes `Undecided` and `Refused` becomes `Refusal`. Must not: swallow any other
exception (the guard in `server.service` denies then), or decide who may do what.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache, partial
from typing import Final

from authz.authn.extract import Scheme, scheme_of
from authz.authn.forwarded import forwarded_id
from authz.authn.jwt_svid import presented_jwt_svid, verify_jwt_svid
from authz.authn.leaf import VerifiedSvid, named_id, verify_svid
from authz.authn.svid import workload_id
from authz.engine.examination import Examination, Trusted
from authz.engine.ports import IssuerKeys, Outside, Revocations, TrustBundles
from authz.engine.revocations import UnsafeNoRevocations
from authz.engine.token_cache import CachedCertificate, CertificateCache, TokenCache, digest_of
from authz.engine.users import Judged, Users
from authz.model.errors import Refused, Unavailable
from authz.model.issuer import PeerVerification, TrustSettings
from authz.model.patience import UNHURRIED, Patience
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
_NO_ROLES: Final[frozenset[str]] = frozenset()
_KEPT_PEERS: Final = 4_096
_KEPT_CHARACTERS: Final = 256
"""Longer names, kept by the thousand, would fill the memory."""

__all__ = ["Authenticator", "Trusted"]


class Authenticator:
    """Examines credentials with the keys, bundles and caches that it was made with; any thread may use it."""

    def __init__(
        self,
        keys: IssuerKeys,
        bundles: TrustBundles,
        tokens: TokenCache,
        certificates: CertificateCache,
        limits: Limits,
        revocations: Revocations | None = None,
        outside: Outside | None = None,
    ) -> None:
        self._users = Users(keys, tokens, limits, Outside() if outside is None else outside)
        self._revocations: Revocations = UnsafeNoRevocations() if revocations is None else revocations
        self._bundles = bundles
        self._named = _NamedPeers()
        self._certificates = certificates
        self._limits = limits

    def principals(
        self,
        request: AuthzRequest,
        usage: Usage,
        trusted: Trusted,
        *,
        now: float,
        patience: Patience = UNHURRIED,
        binding: bool = True,
    ) -> Principals:
        """Who calls, as far as `usage` asks. A credential that isn't named there isn't looked at.

        Raises `WouldBlock` when `patience` forbids to wait for what has to be asked for. Without `binding` no decision
        hangs on the answer: a proof of possession isn't spent by it.
        """
        vias, trust = usage.vias, trusted.trust
        mtls: WorkloadOutcome = None
        forwarded: WorkloadOutcome = None
        jwt_svid: WorkloadOutcome = None
        # Workloads first: they never wait, and a proof is spent by the user's examination only.
        if vias and trust is not None:
            if Via.MTLS in vias or Via.FORWARDED in vias:
                peer = self._standing(self._peer(request, trust, now), now)
                mtls = peer if Via.MTLS in vias else None
                if Via.FORWARDED in vias:
                    forwarded = self._standing(_forwarded(request, trust, peer), now)
            if Via.JWT_SVID in vias:
                jwt_svid = self._standing(self._by_jwt_svid(request, trust, now), now)
        if not usage.issuers:
            return Principals(None, mtls, forwarded, jwt_svid) if vias else NOBODY
        exam = Examination(request, usage, trusted, now, patience, binding)
        return Principals(self._user(exam), mtls, forwarded, jwt_svid)

    # --- revocation: asked for each request, of whatever was verified, now or before ---

    def _user_standing(self, judged: Judged, now: float) -> UserOutcome:
        entry = judged.entry
        kind = self._revocations.revoked(entry.user, now=now, marks=entry.marks)
        if kind is not None:
            return Refusal(reason=Reason.TOKEN_REVOKED, detail=f"an entry by {kind.value} revokes it")
        if judged.settings.strict_revocation and self._revocations.stale():
            return Undecided(reason=Reason.STORE_UNAVAILABLE, detail="the revocation list is older than its bound")
        return entry.user

    def _standing(self, workload: WorkloadOutcome, now: float) -> WorkloadOutcome:
        if isinstance(workload, Workload) and self._revocations.revoked_workload(workload.id, now=now):
            return Refusal(reason=Reason.WORKLOAD_REVOKED, detail="an entry names this SPIFFE ID")
        return workload

    # --- users ---

    def _user(self, exam: Examination) -> UserOutcome:
        try:
            judged = self._users.find(exam)
            if judged is None:
                return None
            user = self._user_standing(judged, exam.now)
            proof = judged.presented.proven
            if proof is not None and exam.binding and isinstance(user, User):
                self._users.spend(proof, exam)
        except Unavailable as unavailable:
            return _outcome(unavailable)
        except Refused as error:
            scheme = "DPoP" if scheme_of(exam.request.headers) is Scheme.DPOP else "Bearer"
            nonce = self._users.challenge_nonce(error, exam)
            return Refusal(reason=error.reason, detail=error.detail, scheme=scheme, nonce=nonce)
        return user

    # --- workloads ---

    def _peer(self, request: AuthzRequest, trust: TrustSettings, now: float) -> WorkloadOutcome:
        """The workload at the other end of the connection."""
        try:
            if trust.verified_by is PeerVerification.CERTIFICATE:
                found = self._certified(request, trust, now)
                return None if found is None else _workload(found, Via.MTLS, trust)
            workload = self._named.workload(request.source.principal, trust)
            if workload is not None and request.source.certificate:
                # Envoy shows the first name only; an SVID has exactly one (X509-SVID §2).
                _check_same(named_id(request.source.certificate), request)
        except Refused as error:
            return _outcome(error)
        return workload

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
            entry = self._remember(digest, svid, now)
        _check_same(str(entry.svid.id), request)
        return entry.svid.id

    def _by_jwt_svid(self, request: AuthzRequest, trust: TrustSettings, now: float) -> WorkloadOutcome:
        """The workload whose JWT-SVID came along."""
        try:
            return self._presented(request, trust, now)
        except Refused as error:
            return _outcome(error)

    def _presented(self, request: AuthzRequest, trust: TrustSettings, now: float) -> Workload | None:
        settings = trust.jwt_svid
        text = None if settings is None else presented_jwt_svid(request.headers, settings)
        if settings is None or text is None:
            return None
        digest = digest_of("\n".join(("jwt-svid", *sorted(settings.audiences), text)))
        entry = self._certificates.get(digest, now=now)
        if entry is not None and not self._in_force(entry, trust, now):
            self._certificates.reject(digest)
            entry = None
        if entry is None:
            svid = verify_jwt_svid(
                text, trust.domains, self._bundles.bundle, settings.audiences, limit=self._limits.token, now=now
            )
            entry = self._remember(digest, svid, now)
        return _workload(entry.svid.id, Via.JWT_SVID, trust)

    def _remember(self, digest: bytes, svid: VerifiedSvid, now: float) -> CachedCertificate:
        until = min(svid.not_after, now + self._certificates.max_age)
        entry = CachedCertificate(svid=svid, until=until)
        self._certificates.put(digest, entry)
        return entry

    def _in_force(self, entry: CachedCertificate, trust: TrustSettings, now: float) -> bool:
        domain = entry.svid.id.trust_domain
        bundle = self._bundles.bundle(domain) if domain in trust.domains else None
        return bundle is not None and bundle.revision == entry.svid.revision and now >= entry.svid.not_before


class _NamedPeers:
    """Workloads as Envoy names them: the same few call again and again, and what a name means hangs on the trust
    settings alone. Other settings, as after a reload, begin anew."""

    def __init__(self) -> None:
        self._kept: tuple[TrustSettings, Callable[[str], Workload | None]] | None = None

    def workload(self, principal: str, trust: TrustSettings) -> Workload | None:
        """Raises `Refused` as `workload_id` does, each time anew."""
        if len(principal) > _KEPT_CHARACTERS:
            return _named(trust, principal)
        kept = self._kept
        if kept is None or kept[0] is not trust:
            kept = self._kept = trust, lru_cache(maxsize=_KEPT_PEERS)(partial(_named, trust))
        return kept[1](principal)


def _named(trust: TrustSettings, principal: str) -> Workload | None:
    found = workload_id(principal, trust.domains)
    return None if found is None else _workload(found, Via.MTLS, trust)


def _outcome(error: Refused) -> Refusal | Undecided:
    """What a verifier raised, as a value. Anything but `Refused` passes through to the caller."""
    if isinstance(error, Unavailable):
        return Undecided(reason=error.reason, detail=error.detail, retry_after=error.retry_after)
    return Refusal(reason=error.reason, detail=error.detail)


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
    try:
        return _forwarded_workload(values, peer.id, trust)
    except Refused as error:
        return _outcome(error)


def _forwarded_workload(values: tuple[str, ...], proxy: SpiffeId, trust: TrustSettings) -> Workload | None:
    if len(values) > 1:
        raise Refused(Reason.HEADER_AMBIGUOUS, "x-forwarded-client-cert came more than once")
    found = forwarded_id(values[0], proxy, trust.domains)
    return None if found is None else _workload(found, Via.FORWARDED, trust)


def _workload(found: SpiffeId, via: Via, trust: TrustSettings) -> Workload:
    return Workload(found, via, trust.roles.get(found, _NO_ROLES))
