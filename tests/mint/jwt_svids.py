"""Makes JWT-SVIDs and the bundles whose keys verify them (SPIFFE JWT-SVID §3, SPIFFE Bundle §4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from tests.mint.certificates import FRONTEND
from tests.mint.keys import SigningKey, signing_key
from tests.mint.tokens import NOW, header, sign, without_absent


def svid_key(algorithm: str = "ES256") -> SigningKey:
    """The trust domain's key for the algorithm, the same each time within one process."""
    return signing_key(algorithm, f"jwt-{algorithm}")


def claims(**members: Any) -> dict[str, Any]:
    """Claims as JWT-SVID §3 wants them, five minutes long; members given override them."""
    standard = {"sub": FRONTEND, "aud": ["orders"], "exp": int(NOW) + 300, "iat": int(NOW) - 10, "jti": "a-jwt-svid"}
    return without_absent({**standard, **members})


def mint(members: Mapping[str, Any] | None = None, *, key: SigningKey | None = None) -> str:
    """A signed JWT-SVID: claims given override the usual ones."""
    key = key or svid_key()
    return sign(json.dumps(header(key, typ="JWT")).encode(), json.dumps(claims(**(members or {}))).encode(), key)


def bundle_of(*keys: SigningKey) -> bytes:
    """A bundle document with these keys for JWT-SVIDs."""
    return json.dumps({"keys": [key.jwk(use="jwt-svid") for key in keys]}).encode()
