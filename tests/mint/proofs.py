"""Makes proofs of possession with any header and any claims, well-formed or not, signed for real (RFC 9449 §4.2)."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from typing import Any, Final

from authz.authn.material import jwk_thumbprint
from tests.mint.keys import SigningKey, base64url, public_members, signing_key
from tests.mint.tokens import NOW, sign, without_absent

URL: Final = "https://orders.shop.example/orders/42"
TOKEN: Final = "an-access-token"


def proof_key(algorithm: str = "ES256") -> SigningKey:
    """The client's key for the algorithm, the same each time within one process."""
    return signing_key(algorithm, "client")


def thumbprint(key: SigningKey | None = None) -> str:
    """What a token that is bound to the key has as `cnf.jkt`."""
    return jwk_thumbprint(public_members((key or proof_key()).private.public_key()))


def header(key: SigningKey, **members: Any) -> dict[str, Any]:
    """A header as §4.2 wants it; members given override it."""
    jwk = public_members(key.private.public_key())
    return without_absent({"typ": "dpop+jwt", "alg": key.algorithm, "jwk": jwk, **members})


def claims(token: str = TOKEN, **members: Any) -> dict[str, Any]:
    """Claims as §4.2 wants them, for one GET of an order; members given override them."""
    standard = {"jti": "a-proof", "htm": "GET", "htu": URL, "iat": int(NOW) - 2, "ath": token_hash(token)}
    return without_absent({**standard, **members})


def mint(
    members: Mapping[str, Any] | None = None,
    *,
    token: str = TOKEN,
    key: SigningKey | None = None,
    head: Mapping[str, Any] | None = None,
) -> str:
    """A signed proof for a token: claims and header members given override the usual ones."""
    key = key or proof_key()
    return sign(
        json.dumps(header(key, **(head or {}))).encode(), json.dumps(claims(token, **(members or {}))).encode(), key
    )


def token_hash(token: str) -> str:
    return base64url(hashlib.sha256(token.encode()).digest())
