"""Access tokens: the one way from a presented token to verified claims (RFC 7519 §7.2, RFC 8725, RFC 9068
§4).

Owns: the numbered steps of `verify`, each with its clause and its reason. There is no second path: the
steps can't be left out, and only `verify` makes a `VerifiedToken`. Must not: fetch keys, read a clock, or
decide who may do what. Someone else's duty: that the route takes this issuer, its narrower audiences,
revocation.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any, Final, Protocol

from authz.authn import algorithms
from authz.authn.binding import check_binding
from authz.authn.encoding import EncodingError, read_json_object
from authz.authn.extract import PresentedToken
from authz.authn.jws import Compact, malformed, parse_compact
from authz.authn.keys import VerificationKey
from authz.authn.verified import VerifiedToken, clients_of, lookup, stands_for_client
from authz.model.errors import Refused
from authz.model.issuer import IssuerSettings
from authz.model.light import light_value
from authz.model.reason import Reason

_SUBJECT: Final = re.compile(r"[\x21-\x7e]{1,255}")
_OTHER_KINDS: Final = frozenset({"nonce", "at_hash", "c_hash", "events"})
"""Claims of ID tokens (OpenID Connect Core §2) and of security events (RFC 8417 §2.2)."""
_UNTYPED: Final = "jwt"
_REQUIRED: Final = ("sub", "exp", "iat")
"""Beside `iss` and `aud`, whose absence has its own reason (RFC 9068 §2.2)."""


class FindKey(Protocol):
    """The issuer's key for a `kid` and an algorithm (`KeySet.find`); raises `Refused` when there is none."""

    def __call__(self, kid: str | None, algorithm: str, /) -> VerificationKey: ...


@light_value
class UnverifiedToken:
    """A well-formed token. Only its `issuer` may be used, and only to select who could verify it (RFC 8725
    §3.8).
    """

    issuer: str
    _compact: Compact
    _claims: dict[str, Any]


def peek(presented: PresentedToken, *, limit: int) -> UnverifiedToken:
    """Read a token without believing it; raises `Refused`: TOKEN_MALFORMED, or ISSUER_UNKNOWN without
    `iss`.
    """
    compact = parse_compact(presented.token, limit=limit)
    try:
        claims = read_json_object(compact.payload)
    except EncodingError as error:
        raise malformed(str(error)) from None
    issuer = claims.get("iss")
    if issuer is None:
        raise Refused(Reason.ISSUER_UNKNOWN, "the token has no iss (RFC 9068 §2.2)")
    if type(issuer) is not str:
        raise malformed("iss is a string (RFC 7519 §4.1.1)")
    return UnverifiedToken(issuer, compact, claims)


def verify(
    token: UnverifiedToken, settings: IssuerSettings, find_key: FindKey, presented: PresentedToken, *, now: float
) -> VerifiedToken:
    """Verify a token against one issuer's settings and keys; raises `Refused` for the first step that
    fails.
    """
    compact, claims = token._compact, token._claims
    header = compact.header
    # 1. The issuer is the configured one, octet for octet (RFC 7519 §4.1.1, RFC 8725 §3.8).
    if token.issuer != settings.issuer:
        raise Refused(Reason.ISSUER_UNKNOWN, "iss is not the issuer's (RFC 8725 §3.8)")
    # 2. The algorithm is on the issuer's list (RFC 8725 §3.1); the list knows no `none` and no HMAC.
    algorithm = algorithms.canonical(header.algorithm)
    if algorithm not in settings.algorithms:
        raise Refused(Reason.TOKEN_ALGORITHM_REFUSED, "alg is not on the issuer's list (RFC 8725 §3.1)")
    # 3. The token is of a kind that the issuer's access tokens are (RFC 8725 §3.11, RFC 9068 §2.1).
    if (header.typ or _UNTYPED) not in settings.token_types or header.typ == "":
        raise Refused(Reason.TOKEN_TYPE_REFUSED, "typ is not one of the issuer's (RFC 9068 §2.1)")
    # 4. The issuer has one key for it, bound to that algorithm (RFC 7515 §6, RFC 8725 §3.1).
    key = find_key(header.kid, algorithm)
    # 5. The signature verifies (RFC 7515 §5.2). From here on the claims are the issuer's words.
    key.verify(compact.signature, compact.signed)
    # 6. Claims are there and have their types (RFC 7519 §4.1, RFC 9068 §2.2).
    _check_claims(claims)
    # 7. An untyped token is no other kind of token (RFC 8725 §3.12).
    if header.typ in (None, _UNTYPED) and not _OTHER_KINDS.isdisjoint(claims):
        raise Refused(Reason.TOKEN_TYPE_REFUSED, "nonce, at_hash, c_hash or events: another kind of token")
    # 8. It was issued for one of our audiences (RFC 7519 §4.1.3).
    verified = _verified(claims, settings)
    # 9. to 13. What time and the presentation can change.
    recheck(claims, settings, presented, now=now)
    return verified


def verify_introspected(
    claims: dict[str, Any], settings: IssuerSettings, presented: PresentedToken, *, now: float
) -> VerifiedToken:
    """Verify what the issuer says of an active token (RFC 7662 §2.2) as if a token said it; raises `Refused`.

    `claims` are the members of its answer. Steps 2 to 5 and 7 have nothing to judge: that the answer comes from the
    issuer is the connection's doing. A client's own token may come without `sub`; then it is `client_id`.
    """
    # 1. `iss`, where the answer has it, is the issuer's (RFC 7662 §2.2).
    if claims.get("iss", settings.issuer) != settings.issuer:
        raise Refused(Reason.ISSUER_UNKNOWN, "the answer is about another issuer's token (RFC 7662 §2.2)")
    claims = _with_subject(claims, settings)
    # 6. Claims are there and have their types.
    _check_claims(claims)
    # 8. It was issued for one of our audiences.
    verified = _verified(claims, settings)
    # 9. to 13. As for every token.
    recheck(claims, settings, presented, now=now)
    return verified


def check_still_active(
    claims: Mapping[str, Any], verified: Mapping[str, Any], settings: IssuerSettings, *, now: float
) -> None:
    """Whether the issuer's answer about a JWT of these verified claims is about that token, and not past its end;
    raises `Refused`."""
    if claims.get("iss", settings.issuer) != settings.issuer:
        raise Refused(Reason.ISSUER_UNKNOWN, "the answer is about another issuer's token (RFC 7662 §2.2)")
    for name in ("sub", "jti"):
        if name in claims and name in verified and claims[name] != verified[name]:
            raise Refused(Reason.TOKEN_INACTIVE, f"the answer is about a token of another {name} (RFC 7662 §2.2)")
    expires_at = claims.get("exp")
    if expires_at is not None and not _is_time(expires_at):
        raise malformed("exp is a number (RFC 7519 §4.1.4)")
    if expires_at is not None and now >= expires_at + settings.clock_skew:
        raise Refused(Reason.TOKEN_EXPIRED, "the answer's exp has passed (RFC 7662 §2.2)")


def _with_subject(claims: dict[str, Any], settings: IssuerSettings) -> dict[str, Any]:
    """The claims with `client_id` for an absent `sub` (RFC 9068 §2.2), if they then stand for that client by the
    issuer's settings: no client may pass for a person of its name."""
    client = claims.get("client_id")
    if claims.get("sub") is not None or type(client) is not str:
        return claims
    completed = {**claims, "sub": client}
    return completed if stands_for_client(completed, settings, clients_of(completed, settings)) else claims


def _verified(claims: Mapping[str, Any], settings: IssuerSettings) -> VerifiedToken:
    """Step 8, and the token of checked claims."""
    audiences = _audiences(claims, settings)
    return VerifiedToken(settings.name, claims, audiences, claims["exp"])


def valid_from(claims: Mapping[str, Any], settings: IssuerSettings) -> float:
    """From when on steps 10 and 11 hold for a token of these checked claims."""
    not_before = claims.get("nbf")
    start: float = claims["iat"] if not_before is None else max(claims["iat"], not_before)
    return start - settings.clock_skew


def recheck(claims: Mapping[str, Any], settings: IssuerSettings, presented: PresentedToken, *, now: float) -> None:
    """The steps that hold for one moment and one request: asked of a remembered token's claims each time; raises
    `Refused`.
    """
    expires_at, issued_at = claims["exp"], claims["iat"]
    # 9. Not expired: on or after `exp` is too late (RFC 7519 §4.1.4).
    if now >= expires_at + settings.clock_skew:
        raise Refused(Reason.TOKEN_EXPIRED, "exp has passed (RFC 7519 §4.1.4)")
    # 10. Already valid (RFC 7519 §4.1.5). 11. Not issued in the future (RFC 9068 §2.2).
    if now < valid_from(claims, settings):
        raise Refused(Reason.TOKEN_NOT_YET_VALID, "nbf or iat lies in the future (RFC 7519 §4.1.5)")
    # 12. It doesn't live longer than the issuer may grant.
    if expires_at - issued_at > settings.max_lifetime:
        raise Refused(Reason.TOKEN_LIFETIME_EXCESSIVE, "exp - iat is over the issuer's max_lifetime")
    # 13. Whom it is bound to presents it (RFC 7800 §3, RFC 9449 §7, RFC 8705 §3).
    check_binding(claims, presented)


def _check_claims(claims: Mapping[str, Any]) -> None:
    for name, (fits, rule) in _TYPES.items():
        value = claims.get(name)
        if value is not None and not fits(value):
            raise malformed(rule)
    for name in _REQUIRED:
        if claims.get(name) is None:
            raise Refused(Reason.TOKEN_CLAIM_MISSING, f"the token has no {name} (RFC 9068 §2.2)")


def _audiences(claims: Mapping[str, Any], settings: IssuerSettings) -> frozenset[str]:
    value = lookup(claims, settings.audience_claim)
    if value is None:
        raise Refused(Reason.AUDIENCE_MISMATCH, "the token has no audience (RFC 9068 §4)")
    if not _is_audience(value):
        raise malformed("an audience is a string or an array of strings (RFC 7519 §4.1.3)")
    audiences = frozenset((value,) if type(value) is str else value)
    if audiences.isdisjoint(settings.audiences):
        raise Refused(Reason.AUDIENCE_MISMATCH, "no audience of the token is one of ours (RFC 7519 §4.1.3)")
    # Most tokens are for exactly our audiences: their users share one set.
    return settings.audiences if audiences == settings.audiences else audiences


def _is_audience(value: object) -> bool:
    return type(value) is str or (type(value) is list and all(type(item) is str for item in value))


def _is_time(value: object) -> bool:
    """A NumericDate (RFC 7519 §2): a number, and a boolean is none. The JSON reader lets only finite ones
    pass.
    """
    return type(value) is int or type(value) is float


def _is_subject(value: object) -> bool:
    return type(value) is str and _SUBJECT.fullmatch(value) is not None


_TYPES: Final[Mapping[str, tuple[Callable[[object], bool], str]]] = {
    "aud": (_is_audience, "aud is a string or an array of strings (RFC 7519 §4.1.3)"),
    "sub": (_is_subject, "sub is 1 to 255 visible ASCII characters"),
    "exp": (_is_time, "exp is a number (RFC 7519 §4.1.4)"),
    "nbf": (_is_time, "nbf is a number (RFC 7519 §4.1.5)"),
    "iat": (_is_time, "iat is a number (RFC 7519 §4.1.6)"),
}
