"""From a request's bearer token to its user: verified or remembered, introspected, proven (policy language §5, §8).

Owns: the order in which a token is judged, and who is asked what about it. Nothing is asked of anybody before the
token's issuer is known and permitted; a proof is spent apart and last, when nothing else can refuse the user any more
or make the caller come back. Must not: turn refusals into values (`engine.authenticate` does).
"""

from __future__ import annotations

import hashlib
from dataclasses import replace
from typing import Final

from authz.authn.claims import user_of
from authz.authn.dpop import NonceWanted, VerifiedProof, verify_proof
from authz.authn.extract import PresentedToken, Scheme, bearer, bearer_again, bearer_value, proof_of
from authz.authn.jws import is_jws
from authz.authn.keys import KeySet, VerificationKey
from authz.authn.nonce import make_nonce
from authz.authn.token import check_still_active, peek, recheck, valid_from, verify, verify_introspected
from authz.authn.verified import VerifiedToken
from authz.engine.examination import Examination
from authz.engine.ports import IssuerKeys, Outside
from authz.engine.token_cache import CachedToken, TokenCache, digest_of
from authz.model.errors import Refused
from authz.model.issuer import IssuerSettings
from authz.model.light import light_value
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits
from authz.policy.compiled import Usage

INTROSPECTED: Final = "introspected"
"""Stands for the revision of keys where none took part."""


@light_value
class Judged:
    """A verified token with its user, and how it was presented: with what its proof proved, to be spent once nothing
    else refuses the user."""

    entry: CachedToken
    settings: IssuerSettings
    presented: PresentedToken


class Users:
    """Examines bearer tokens with the ports and the cache that it was made with; any thread may use it.

    A token is filed under the digest of `bearer_value`, whatever scheme it came with: who spells the scheme that way,
    as nearly everybody does, has a remembered token found without its octets being looked at.
    """

    def __init__(self, keys: IssuerKeys, tokens: TokenCache, limits: Limits, outside: Outside) -> None:
        self._keys = keys
        self._tokens = tokens
        self._limits = limits
        self._outside = outside
        self._longest = len(bearer_value("")) + limits.token

    def find(self, exam: Examination) -> Judged | None:
        """The request's token with its user, None without one. Raises `Refused`, `Unavailable` or `WouldBlock`."""
        request = exam.request
        headers, certificate = request.headers, request.source.certificate
        values = headers.get_all("authorization")
        digest, entry = b"", None
        if len(values) == 1 and len(values[0]) <= self._longest:
            digest = digest_of(values[0])
            entry = self._tokens.hit(digest, now=exam.now)
        if entry is not None:
            presented = bearer_again(values[0], headers, certificate=certificate)
        else:
            found = bearer(headers, limit=self._limits.token, certificate=certificate)
            if found is None:
                return None
            presented = found
            value = bearer_value(presented.token)
            if value != values[0]:
                digest = digest_of(value)
            entry = self._tokens.get(digest, now=exam.now)
        judged = None if entry is None else self._remembered(digest, entry, presented, exam)
        if judged is None:
            judge = self._opaque if self._is_opaque(presented, exam) else self._verified
            judged = judge(digest, presented, exam)
        user = judged.entry.user
        accepted = exam.trusted.audiences.get(user.issuer)
        if accepted is not None and accepted.isdisjoint(user.audiences):
            raise Refused(Reason.AUDIENCE_MISMATCH, "the policy narrows the issuer's audiences")
        self._check_active(judged, exam)
        return judged

    def spend(self, proof: VerifiedProof, exam: Examination) -> None:
        """A proof is good for one request (RFC 9449 §11.1); raises `Refused(PROOF_REPLAYED)` for a second one."""
        key = _replay_key(proof, exam.request)
        if not self._outside.replays.first_use(key, proof.until, now=exam.now, patience=exam.patience):
            raise Refused(Reason.PROOF_REPLAYED, "the proof was used before (RFC 9449 §11.1)")

    def challenge_nonce(self, error: Refused, exam: Examination) -> str:
        """The nonce that a client needs which was refused for the lack of one; else empty."""
        keys = self._outside.proof_rules().nonce_keys
        return make_nonce(keys[0], now=exam.now) if keys and isinstance(error, NonceWanted) else ""

    def _remembered(
        self, digest: bytes, entry: CachedToken, presented: PresentedToken, exam: Examination
    ) -> Judged | None:
        """A token that was verified before, if the settings and keys that verified it are in force."""
        settings = exam.trusted.issuers.get(entry.user.issuer)
        if settings is None or settings.revision != entry.settings:
            self._tokens.reject(digest)
            return None
        if entry.keys == INTROSPECTED and exam.trusted.introspector != settings.name:
            return None
        _check_permitted(settings, exam.usage)
        if entry.keys != INTROSPECTED and self._keys.keys(settings).revision != entry.keys:
            self._tokens.reject(digest)
            return None
        # All else that `recheck` asks is settled: the entry's time ends with the token's, and its settings are these.
        if presented.scheme is Scheme.DPOP or entry.user.bound or exam.now < entry.since:
            presented = self._with_proof(presented, exam)
            recheck(entry.user.claims, settings, presented, now=exam.now)
        return Judged(entry, settings, presented)

    # --- JWTs ---

    def _verified(self, digest: bytes, presented: PresentedToken, exam: Examination) -> Judged:
        unverified = peek(presented, limit=self._limits.token)
        settings = exam.trusted.issuers_by_url.get(unverified.issuer)
        if settings is None:
            raise Refused(Reason.ISSUER_UNKNOWN, "no configured issuer has this iss")
        _check_permitted(settings, exam.usage)
        presented = self._with_proof(presented, exam)
        search = KeySearch(self._keys, settings)
        token = verify(unverified, settings, search.find, presented, now=exam.now)
        until = min(token.expires_at, exam.now + self._tokens.max_age)
        return self._judged(digest, token, settings, presented, keys=search.revision, until=until)

    def _check_active(self, judged: Judged, exam: Examination) -> None:
        """Where the issuer is asked about JWTs too, its word counts beside the signature."""
        settings = judged.settings
        if settings.introspection is None or not settings.introspection.always or judged.entry.keys == INTROSPECTED:
            return
        claims = self._ask(settings, judged.presented.token, exam)[0]
        check_still_active(claims, judged.entry.user.claims, settings, now=exam.now)

    # --- opaque tokens ---

    def _is_opaque(self, presented: PresentedToken, exam: Examination) -> bool:
        """Whether the token goes to its issuer; without one that could be asked it is judged as a JWT, and refused."""
        return exam.trusted.introspector != "" and not is_jws(presented.token)

    def _opaque(self, digest: bytes, presented: PresentedToken, exam: Examination) -> Judged:
        settings = exam.trusted.issuers[exam.trusted.introspector]
        _check_permitted(settings, exam.usage)
        presented = self._with_proof(presented, exam)
        claims, until = self._ask(settings, presented.token, exam)
        token = verify_introspected(claims, settings, presented, now=exam.now)
        until = min(token.expires_at, until)
        return self._judged(digest, token, settings, presented, keys=INTROSPECTED, until=until)

    def _ask(self, settings: IssuerSettings, token: str, exam: Examination) -> tuple[dict[str, object], float]:
        """What the issuer says of an active token, and until when that counts."""
        said = self._outside.introspection.ask(settings, token, now=exam.now, patience=exam.patience)
        if said.claims is None:
            raise Refused(Reason.TOKEN_INACTIVE, "the issuer says that the token isn't active (RFC 7662 §2.2)")
        return said.claims, said.until

    def _judged(
        self,
        digest: bytes,
        token: VerifiedToken,
        settings: IssuerSettings,
        presented: PresentedToken,
        *,
        keys: str,
        until: float,
    ) -> Judged:
        since = valid_from(token.claims, settings)
        entry = CachedToken(user_of(token, settings), settings.revision, keys, since, until)
        self._tokens.put(digest, entry)
        return Judged(entry, settings, presented)

    def _with_proof(self, presented: PresentedToken, exam: Examination) -> PresentedToken:
        """The token with what its `dpop` header proves. Under another scheme that header counts for nothing."""
        if presented.scheme is not Scheme.DPOP:
            return presented
        proof = proof_of(exam.request.headers)
        if proof is None:
            return presented
        rules = self._outside.proof_rules()
        return replace(presented, proven=verify_proof(proof, presented.token, exam.request, rules, now=exam.now))


class KeySearch:
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


def _check_permitted(settings: IssuerSettings, usage: Usage) -> None:
    if settings.name not in usage.issuers:
        raise Refused(Reason.ISSUER_NOT_PERMITTED, "neither the route nor a guardrail names this issuer")


def _replay_key(proof: VerifiedProof, request: AuthzRequest) -> bytes:
    """A `jti` counts for its key only, and once at each enforcement point: an edge and a sidecar judge one request."""
    parts = (proof.thumbprint, request.destination.principal, proof.proof_id)
    digest = hashlib.sha256()
    for part in parts:
        octets = part.encode("utf-8", "surrogatepass")
        digest.update(len(octets).to_bytes(4, "big") + octets)
    return digest.digest()
