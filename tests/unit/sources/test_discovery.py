"""OpenID Connect Discovery and RFC 8414, against a provider without a network."""

from __future__ import annotations

import json

import pytest

from authz.sources.discovery import discover, oauth_url, openid_url
from authz.sources.fetch import FetchError
from tests.fakes.fetching import FakeProvider

ISSUER = "https://idp.shop.example/realms/shop"
OPENID = "https://idp.shop.example/realms/shop/.well-known/openid-configuration"
OAUTH = "https://idp.shop.example/.well-known/oauth-authorization-server/realms/shop"


def _document(**members: object) -> bytes:
    return json.dumps({"issuer": ISSUER, "jwks_uri": "https://idp.shop.example/keys", **members}).encode()


def test_the_urls_are_those_of_the_standards() -> None:
    """OIDC appends to the issuer's path, RFC 8414 inserts before it."""
    assert openid_url(ISSUER) == OPENID
    assert oauth_url(ISSUER) == OAUTH
    assert openid_url("https://idp.shop.example/") == "https://idp.shop.example/.well-known/openid-configuration"
    assert oauth_url("https://idp.shop.example") == "https://idp.shop.example/.well-known/oauth-authorization-server"


def test_the_openid_document_comes_first() -> None:
    """The second one isn't asked for when the first is there."""
    provider = FakeProvider({OPENID: _document()})

    assert discover(ISSUER, provider.get) == "https://idp.shop.example/keys"
    assert provider.asked == [OPENID]


def test_rfc_8414_is_the_fallback_of_an_absent_document() -> None:
    """A provider that only speaks OAuth is found too."""
    provider = FakeProvider({OAUTH: _document()})

    assert discover(ISSUER, provider.get) == "https://idp.shop.example/keys"


def test_a_server_that_is_down_is_not_talked_around() -> None:
    """Only "not there" leads to the second document."""
    provider = FakeProvider({OPENID: FetchError("the connection failed"), OAUTH: _document()})

    with pytest.raises(FetchError, match="connection"):
        discover(ISSUER, provider.get)


@pytest.mark.parametrize("other", [ISSUER + "/", ISSUER.upper(), "https://evil.example", None, 1, [ISSUER]])
def test_a_document_of_another_issuer_is_refused(other: object) -> None:
    """Octet for octet (RFC 8414 §3.3)."""
    with pytest.raises(FetchError, match="another issuer"):
        discover(ISSUER, FakeProvider({OPENID: _document(issuer=other)}).get)


@pytest.mark.parametrize("uri", [None, 1, "http://idp.shop.example/keys", "file:///keys", "", "/keys"])
def test_a_jwks_uri_outside_the_rules_is_refused(uri: object) -> None:
    """What is discovered obeys the rules of what is configured."""
    with pytest.raises(FetchError, match="jwks_uri"):
        discover(ISSUER, FakeProvider({OPENID: _document(jwks_uri=uri)}).get)


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"not json", b"\xff", b'{"issuer": NaN}', b'{"issuer": "a", "issuer": "b"}', b"[" * 5000]
)
def test_a_document_that_is_no_strict_json_object_is_refused(body: bytes) -> None:
    """Whatever the bytes, the one exception type comes out."""
    with pytest.raises(FetchError, match="discovery document"):
        discover(ISSUER, FakeProvider({OPENID: body}).get)
