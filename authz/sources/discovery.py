"""Where an issuer publishes its keys: OpenID Connect Discovery 1.0 §4, else RFC 8414 §3.

Owns: the well-known URLs and the exact issuer match. Must not: use anything of the document but `issuer` and
`jwks_uri`, or accept a document that speaks for another issuer (RFC 8414 §3.3: mix-up).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Final

from authz.authn.encoding import EncodingError, read_json_object
from authz.sources.fetch import Fetched, FetchError, parse_url
from authz.sources.state import Cause

OPENID_PATH: Final = "/.well-known/openid-configuration"
OAUTH_PATH: Final = "/.well-known/oauth-authorization-server"

Get = Callable[[str], Fetched]


def discover(issuer: str, get: Get) -> str:
    """The issuer's `jwks_uri`. Raises `FetchError`.

    The second document is asked for only when the server answers that the first isn't there: a server that is
    down, or a first document that is wrong, is not talked around.
    """
    try:
        document = get(openid_url(issuer))
    except FetchError as error:
        if error.status not in (403, 404, 405, 410):
            raise
        document = get(oauth_url(issuer))
    return _jwks_uri(document.body, issuer)


def openid_url(issuer: str) -> str:
    """OpenID Connect Discovery §4.1: the path is appended, a final slash removed first."""
    return issuer.removesuffix("/") + OPENID_PATH


def oauth_url(issuer: str) -> str:
    """RFC 8414 §3.1: the path is inserted between the host and the issuer's own path."""
    scheme, separator, rest = issuer.partition("://")
    host, slash, path = rest.removesuffix("/").partition("/")
    return f"{scheme}{separator}{host}{OAUTH_PATH}{slash}{path}"


def _jwks_uri(body: bytes, issuer: str) -> str:
    try:
        metadata = read_json_object(body)
    except EncodingError as error:
        raise FetchError(f"the discovery document is unusable: {error}") from None
    if metadata.get("issuer") != issuer:
        raise FetchError("the discovery document names another issuer", cause=Cause.ISSUER)
    uri = metadata.get("jwks_uri")
    if not isinstance(uri, str):
        raise FetchError("the discovery document has no jwks_uri")
    try:
        return parse_url(uri).text
    except FetchError as error:
        raise FetchError(f"the discovery document's jwks_uri is {error.reason}", cause=error.cause) from None
