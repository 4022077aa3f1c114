"""Logout tokens: who was logged out at the issuer (OpenID Connect Back-Channel Logout 1.0, "BCL").

Owns: the numbered steps of `verify_logout`. Must not: fetch keys or read a clock. Someone else's duty: that the same
token isn't taken twice (BCL §2.6 step 8), and what follows from a logout. A logout token is no access token and no
access token is a logout token: their `typ` differs (RFC 8725 §3.11).
"""

from __future__ import annotations

from collections.abc import Mapping, Set
from dataclasses import dataclass
from typing import Any, Final

from authz.authn import algorithms
from authz.authn.encoding import EncodingError, read_json_object
from authz.authn.jws import malformed, parse_compact
from authz.authn.token import FindKey
from authz.model.errors import Refused
from authz.model.issuer import IssuerSettings
from authz.model.reason import Reason
from authz.model.revocation import MAX_VALUE

TYPE: Final = "logout+jwt"
EVENT: Final = "http://schemas.openid.net/event/backchannel-logout"
MAX_AGE: Final = 600.0
"""Seconds after `iat` in which a logout token is taken at most; BCL §4 recommends an `exp` of two minutes."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Logout:
    """A verified logout. At least one of `subject` and `session` isn't empty. Times are NumericDates."""

    issuer: str
    subject: str
    session: str
    issued_at: float
    expires_at: float
    jti: str


def verify_logout(
    token: str, settings: IssuerSettings, find_key: FindKey, clients: Set[str], *, limit: int, now: float
) -> Logout:
    """Verify a logout token against one issuer's settings and keys; raises `Refused` for the first step that fails.

    `clients` are the client ids that the issuer knows us by, `limit` is in bytes.
    """
    # 1. It is one JWS in compact form, not encrypted, without members that bring a key (BCL §2.6 step 1).
    compact = parse_compact(token, limit=limit)
    # 2. Its algorithm is on the issuer's list; `none` is on no list (BCL §2.6 steps 2 and 3).
    algorithm = algorithms.canonical(compact.header.algorithm)
    if algorithm not in settings.algorithms:
        raise Refused(Reason.TOKEN_ALGORITHM_REFUSED, "alg is not on the issuer's list (BCL §2.6)")
    # 3. It says that it is a logout token (BCL §2.4, RFC 8725 §3.11).
    if compact.header.typ != TYPE:
        raise Refused(Reason.TOKEN_TYPE_REFUSED, "typ is not logout+jwt (BCL §2.4)")
    # 4. The issuer has the key that it names. 5. The signature verifies (BCL §2.6 step 2).
    find_key(compact.header.kid, algorithm).verify(compact.signature, compact.signed)
    claims = _claims(compact.payload)
    # 6. It is this issuer's, octet for octet (BCL §2.6 step 4).
    if claims.get("iss") != settings.issuer:
        raise Refused(Reason.ISSUER_UNKNOWN, "iss is not the issuer's (BCL §2.6)")
    # 7. It was made for one of our client ids (BCL §2.6 step 4).
    _check_audience(claims.get("aud"), clients)
    # 8. It was issued lately, and hasn't expired (BCL §2.6 step 4).
    issued_at, expires_at = _times(claims, settings.clock_skew, now)
    # 9. It names a subject, a session or both (BCL §2.6 step 5).
    subject, session = _name(claims, "sub"), _name(claims, "sid")
    if not subject and not session:
        raise Refused(Reason.TOKEN_CLAIM_MISSING, "neither sub nor sid is there (BCL §2.6)")
    # 10. It tells of a logout and of nothing that could be mistaken for one (BCL §2.6 step 6).
    events = claims.get("events")
    if type(events) is not dict or type(events.get(EVENT)) is not dict:
        raise Refused(Reason.TOKEN_TYPE_REFUSED, "events lacks the logout event (BCL §2.6)")
    # 11. It has no nonce: it is no ID token (BCL §2.6 step 7).
    if "nonce" in claims:
        raise Refused(Reason.TOKEN_TYPE_REFUSED, "a logout token has no nonce (BCL §2.6)")
    # 12. It can be told from others, so that it isn't taken twice (BCL §2.4; the caller remembers it).
    jti = _name(claims, "jti")
    if not jti:
        raise Refused(Reason.TOKEN_CLAIM_MISSING, "the logout token has no jti (BCL §2.4)")
    return Logout(
        issuer=settings.name, subject=subject, session=session, issued_at=issued_at, expires_at=expires_at, jti=jti
    )


def _claims(payload: bytes) -> Mapping[str, Any]:
    try:
        return read_json_object(payload)
    except EncodingError as error:
        raise malformed(str(error)) from None


def _check_audience(value: object, clients: Set[str]) -> None:
    values = [value] if type(value) is str else value
    if type(values) is not list or not all(type(item) is str for item in values):
        raise Refused(Reason.AUDIENCE_MISMATCH, "aud is a string or an array of strings (RFC 7519 §4.1.3)")
    if clients.isdisjoint(values):
        raise Refused(Reason.AUDIENCE_MISMATCH, "aud is none of our client ids (BCL §2.6)")


def _times(claims: Mapping[str, Any], skew: float, now: float) -> tuple[float, float]:
    issued_at, expires_at = claims.get("iat"), claims.get("exp")
    for value in (issued_at, expires_at):
        if value is None:
            raise Refused(Reason.TOKEN_CLAIM_MISSING, "a logout token has iat and exp (BCL §2.4)")
        if type(value) is not int and type(value) is not float:
            raise malformed("iat and exp are numbers (RFC 7519 §2)")
    assert issued_at is not None and expires_at is not None
    if now < issued_at - skew:
        raise Refused(Reason.TOKEN_NOT_YET_VALID, "iat lies in the future (BCL §2.6)")
    if now >= min(expires_at, issued_at + MAX_AGE) + skew:
        raise Refused(Reason.TOKEN_EXPIRED, "exp has passed, or iat is too long ago (BCL §2.6)")
    return issued_at, expires_at


def _name(claims: Mapping[str, Any], name: str) -> str:
    """The claim's text, empty when it is absent; one of another form refuses the token."""
    value = claims.get(name, "")
    if type(value) is not str or len(value) > MAX_VALUE or (name in claims and not value):
        raise malformed("sub, sid and jti are strings that aren't empty (BCL §2.4)")
    return value
