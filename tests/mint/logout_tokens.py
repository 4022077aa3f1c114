"""Makes logout tokens (OpenID Connect Back-Channel Logout 1.0 §2.4)."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any, Final

from authz.authn.logout_token import EVENT
from tests.mint.keys import SigningKey, signing_key
from tests.mint.tokens import ISSUER, NOW, header, sign, without_absent

CLIENT: Final = "authz"


def claims(**members: Any) -> dict[str, Any]:
    """Claims of one logout, two minutes long; members given override them."""
    standard = {
        "iss": ISSUER,
        "aud": CLIENT,
        "sub": "alice",
        "sid": "s-1",
        "iat": int(NOW),
        "exp": int(NOW) + 120,
        "jti": "logout-1",
        "events": {EVENT: {}},
    }
    return without_absent({**standard, **members})


def mint(
    members: Mapping[str, Any] | None = None, *, key: SigningKey | None = None, head: Mapping[str, Any] | None = None
) -> str:
    """A signed logout token: claims and header members given override the usual ones."""
    key = key or signing_key("RS256")
    text = json.dumps(header(key, **{"typ": "logout+jwt", **(head or {})}))
    return sign(text.encode(), json.dumps(claims(**(members or {}))).encode(), key)
