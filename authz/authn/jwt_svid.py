"""JWT-SVIDs: a workload's token checked against the bundle of its trust domain (SPIFFE JWT-SVID §3, §4).

Owns: the numbered steps of `verify_jwt_svid`, and which header's text is the token. Must not: read files or a clock.
A JWT-SVID is a bearer token: whoever holds it is the workload, for whom it was made.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Set
from typing import Any, Final

from authz.authn import algorithms
from authz.authn.encoding import EncodingError, read_json_object
from authz.authn.jws import Compact, parse_compact
from authz.authn.leaf import VerifiedSvid
from authz.authn.svid import JWT_ALGORITHMS, TrustBundle, known_id
from authz.model.errors import Refused, Unavailable
from authz.model.headers import Headers
from authz.model.issuer import DEFAULT_CLOCK_SKEW, JwtSvidSettings
from authz.model.reason import Reason

_TYPES: Final = frozenset({None, "jwt", "jose"})
"""JWT-SVID §2.3."""
_SKEW: Final = DEFAULT_CLOCK_SKEW
"""Seconds by which the clocks of SPIRE and this machine may differ."""


def presented_jwt_svid(headers: Headers, settings: JwtSvidSettings) -> str | None:
    """The text of the header; None without one. Raises `Refused(HEADER_AMBIGUOUS)` for several."""
    values = headers.get_all(settings.header)
    if not values:
        return None
    if len(values) > 1 or "," in values[0]:
        raise Refused(Reason.HEADER_AMBIGUOUS, "the header of the JWT-SVID came more than once, or holds a comma")
    return values[0]


def verify_jwt_svid(
    token: str,
    domains: Set[str],
    bundle_of: Callable[[str], TrustBundle | None],
    audiences: Set[str],
    *,
    limit: int,
    now: float,
) -> VerifiedSvid:
    """Verify a JWT-SVID; raises `Refused` for the first step that fails.

    `domains` are the configured trust domains, `limit` is in bytes. `Unavailable(KEYS_UNAVAILABLE)` when the trust
    domain's bundle could not be had.
    """
    # 1. It is one JWS in compact form, without members that bring a key or change what is signed (JWT-SVID §2).
    compact, claims = _read(token, limit)
    # 2. Its algorithm is one of RFC 7518 §3.3 to §3.5 (JWT-SVID §2.1); there is no `none` and no HMAC.
    algorithm = algorithms.canonical(compact.header.algorithm)
    if algorithm not in JWT_ALGORITHMS:
        raise _invalid("alg is none of those of JWT-SVIDs (JWT-SVID §2.1)")
    # 3. Its type, if it says one, is JWT or JOSE (JWT-SVID §2.3).
    if compact.header.typ not in _TYPES:
        raise _invalid("typ is neither JWT nor JOSE (JWT-SVID §2.3)")
    # 4. Its subject is a workload's SPIFFE ID (JWT-SVID §3.1). 5. Its trust domain is configured.
    spiffe_id = known_id(_text(claims, "sub"), domains)
    # 6. That trust domain's bundle has the key that it names (JWT-SVID §2.2, §4).
    bundle = bundle_of(spiffe_id.trust_domain)
    if bundle is None:
        raise Unavailable(Reason.KEYS_UNAVAILABLE, "there is no bundle of the trust domain")
    # 7. The signature verifies (JWT-SVID §4).
    _check_signature(compact, algorithm, bundle)
    # 8. It was issued for one of our audiences (JWT-SVID §3.2).
    if audiences.isdisjoint(_audiences(claims.get("aud"))):
        raise _invalid("no audience of the JWT-SVID is one of ours (JWT-SVID §3.2)")
    # 9. It expires, and hasn't yet (JWT-SVID §3.3). 10. It is valid already (RFC 7519 §4.1.5).
    not_before, expires_at = _times(claims)
    if now >= expires_at + _SKEW or now < not_before - _SKEW:
        raise _invalid("the JWT-SVID is expired or not yet valid (JWT-SVID §3.3)")
    return VerifiedSvid(
        id=spiffe_id, revision=bundle.revision, not_before=not_before - _SKEW, not_after=expires_at + _SKEW
    )


def _read(token: str, limit: int) -> tuple[Compact, Mapping[str, Any]]:
    try:
        compact = parse_compact(token, limit=limit)
        return compact, read_json_object(compact.payload)
    except EncodingError as error:
        raise _invalid(str(error)) from None
    except Refused as refused:
        raise _invalid(refused.detail) from None


def _check_signature(compact: Compact, algorithm: str, bundle: TrustBundle) -> None:
    try:
        key = bundle.jwt_keys.find(compact.header.kid, algorithm)
        key.verify(compact.signature, compact.signed)
    except Refused as refused:
        raise _invalid(refused.detail) from None


def _text(claims: Mapping[str, Any], name: str) -> str:
    value = claims.get(name)
    if type(value) is not str:
        raise _invalid(f"{name} is a string (JWT-SVID §3)")
    return value


def _audiences(value: object) -> frozenset[str]:
    if type(value) is str:
        return frozenset({value})
    if type(value) is not list or not all(type(item) is str for item in value):
        raise _invalid("aud is a string or an array of strings (JWT-SVID §3.2)")
    return frozenset(value)


def _times(claims: Mapping[str, Any]) -> tuple[float, float]:
    """From when and until when; both ends of what `nbf`, `iat` and `exp` say."""
    expires_at = _time(claims, "exp")
    if expires_at is None:
        raise _invalid("a JWT-SVID has exp (JWT-SVID §3.3)")
    starts = [start for start in (_time(claims, "nbf"), _time(claims, "iat")) if start is not None]
    return max(starts, default=0.0), expires_at


def _time(claims: Mapping[str, Any], name: str) -> float | None:
    value = claims.get(name)
    if value is not None and type(value) is not int and type(value) is not float:
        raise _invalid(f"{name} is a number (RFC 7519 §2)")
    return value


def _invalid(rule: str) -> Refused:
    return Refused(Reason.WORKLOAD_INVALID, rule)
