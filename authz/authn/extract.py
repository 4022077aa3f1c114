"""The bearer credential out of the `authorization` header (RFC 9110 §11.6.2, RFC 6750 §2.1, RFC 9449 §7.1).

Owns: which octets are the token. Must not: look at the query, at cookies or at any other header for one, or
at what the token says. Two values, or a comma that may have joined two, are ambiguous and refused.
"""

from __future__ import annotations

import string
from enum import Enum
from typing import Final

from authz.authn.dpop import VerifiedProof
from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.light import light_value
from authz.model.reason import Reason

PROOF_HEADER: Final = "dpop"

_B64TOKEN: Final = (string.ascii_letters + string.digits + "-._~+/").encode("ascii")
"""What a b64token is made of, before any `=` at its end (RFC 6750 §2.1)."""


class Scheme(Enum):
    """The authentication schemes that carry a user's token; the value is the folded name."""

    BEARER = "bearer"
    DPOP = "dpop"


_BEARER: Final = "Bearer "

_SCHEMES: Final = {scheme.value: scheme for scheme in Scheme}


@light_value
class PresentedToken:
    """A token and how it was presented; the token is one b64token within the limit, not looked into.

    `proof` says whether a `dpop` header came with it, `proven` is what that header proved once it was verified
    (`authn.dpop`), `certificate` is the caller's as Envoy sent it (URL-encoded PEM, empty when it sent none).
    """

    scheme: Scheme
    token: str
    proof: bool = False
    proven: VerifiedProof | None = None
    certificate: str = ""


def scheme_of(headers: Headers) -> Scheme | None:
    """The scheme of the first `authorization` value, None for another one or none."""
    values = headers.get_all("authorization")
    return _SCHEMES.get(values[0].partition(" ")[0].lower()) if values else None


def bearer(headers: Headers, *, limit: int, certificate: str = "") -> PresentedToken | None:
    """The presented token, None without `authorization` or with another scheme.

    Raises `Refused`: HEADER_AMBIGUOUS for a repeated value, TOKEN_MALFORMED for what is no b64token or has
    more than `limit` bytes.
    """
    values = headers.get_all("authorization")
    if not values:
        return None
    if len(values) > 1 or "," in values[0]:
        raise Refused(Reason.HEADER_AMBIGUOUS, "authorization came more than once, or holds a comma")
    name, _, rest = values[0].partition(" ")
    scheme = _SCHEMES.get(name.lower())
    if scheme is None:
        return None
    token = rest.lstrip(" ")  # RFC 9110 §11.4: one or more blanks stand after the scheme
    if len(token) > limit:
        raise Refused(Reason.TOKEN_MALFORMED, "the token is longer than the limit")
    if not _is_b64token(token):
        raise Refused(Reason.TOKEN_MALFORMED, "not one b64token after the scheme (RFC 6750 §2.1)")
    return PresentedToken(scheme, token, PROOF_HEADER in headers, None, certificate)


def bearer_value(token: str) -> str:
    """The `authorization` value that shows the token under Bearer, spelt as nearly everybody does."""
    return _BEARER + token


def bearer_again(value: str, headers: Headers, *, certificate: str = "") -> PresentedToken:
    """What `bearer` makes of the only `authorization` value, for one that `bearer_value` made of a token that `bearer`
    has found before: its octets needn't be looked at again."""
    return PresentedToken(Scheme.BEARER, value[len(_BEARER) :], PROOF_HEADER in headers, None, certificate)


def proof_of(headers: Headers) -> str | None:
    """The text of the one `dpop` header (RFC 9449 §4.3 step 1), None without one; raises
    `Refused(HEADER_AMBIGUOUS)` for several.
    """
    values = headers.get_all(PROOF_HEADER)
    if len(values) > 1 or any("," in value for value in values):
        raise Refused(Reason.HEADER_AMBIGUOUS, "dpop came more than once, or holds a comma (RFC 9449 §4.3)")
    return values[0] if values else None


def _is_b64token(token: str) -> bool:
    """Whether all of it is one b64token. Octets are deleted in bulk: a pattern takes three times as long."""
    body = token.rstrip("=")
    return body != "" and body.isascii() and not body.encode("ascii").translate(None, _B64TOKEN)
