"""Makes access tokens with any header and any claims, well-formed or not, signed for real."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from tests.mint.keys import SigningKey, base64url, signing_key

NOW: Final = 1_790_000_000.0
"""The moment that tokens and certificates are made for, in seconds since the epoch (September 2026)."""
ISSUER: Final = "https://idp.shop.example"
AUDIENCE: Final = "shop-api"
ABSENT: Final = object()
"""As the value of a claim or header member: leave it out."""


def header(key: SigningKey, **members: Any) -> dict[str, Any]:
    """A header as RFC 9068 §2.1 wants it; members given override it."""
    return without_absent({"alg": key.algorithm, "typ": "at+jwt", "kid": key.kid or ABSENT, **members})


def claims(**members: Any) -> dict[str, Any]:
    """Claims as RFC 9068 §2.2 wants them, for a person, one hour long; members given override them."""
    standard = {
        "iss": ISSUER,
        "aud": AUDIENCE,
        "sub": "alice",
        "azp": "storefront",
        "scope": "orders:read orders:write",
        "iat": int(NOW) - 60,
        "exp": int(NOW) + 3540,
        "jti": "4f2c9d0e",
        "auth_time": int(NOW) - 120,
    }
    return without_absent({**standard, **members})


def mint(
    members: Mapping[str, Any] | None = None, *, key: SigningKey | None = None, head: Mapping[str, Any] | None = None
) -> str:
    """A signed token: claims and header members given override the usual ones."""
    key = key or signing_key("RS256")
    return sign(json.dumps(header(key, **(head or {}))).encode(), json.dumps(claims(**(members or {}))).encode(), key)


def sign(head: bytes, payload: bytes, key: SigningKey | None = None) -> str:
    """A signed token out of the octets of a header and a payload as they are."""
    key = key or signing_key("RS256")
    signed = f"{base64url(head)}.{base64url(payload)}"
    return f"{signed}.{base64url(key.sign(signed.encode()))}"


def without_absent(members: Mapping[str, Any]) -> dict[str, Any]:
    """The members but those that are to be left out."""
    return {name: value for name, value in members.items() if value is not ABSENT}
