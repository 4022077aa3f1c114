"""Which URLs and addresses are fetched from: decided before any connection is made."""

from __future__ import annotations

import pytest

from authz.sources.fetch import Fetcher, FetchError, FetchRules, parse_url


@pytest.mark.parametrize(
    "url",
    [
        "https://idp.shop.example/keys",
        "https://idp.shop.example:8443/keys?p=policy",
        "https://[2001:db8::1]/keys",
        "http://127.0.0.1:8080/keys",
        "http://[::1]:8080/keys",
        "http://localhost:8080/keys",
    ],
)
def test_https_urls_and_loopback_http_are_fetched(url: str) -> None:
    """What an operator may write."""
    assert parse_url(url).text == url


@pytest.mark.parametrize(
    "url",
    [
        "http://idp.shop.example/keys",
        "http://10.0.0.1/keys",
        "http://localhost.evil.example/keys",
        "file:///etc/passwd",
        "ftp://idp.shop.example/keys",
        "https://user:pw@idp.shop.example/keys",
        "https://idp.shop.example/keys#x",
        "https://idp.shop.example/keys\n",
        "https://idp.shop.example:0/keys",
        "https://idp.shop.example:99999/keys",
        "//idp.shop.example/keys",
        "https://",
        "",
        "https://idp.shop.example/" + "a" * 3000,
    ],
)
def test_other_urls_are_refused(url: str) -> None:
    """No other scheme, no user-info, no fragment, nothing after the end (CVE-2026-41413, GHSA-993g-76c3-p5m4)."""
    with pytest.raises(FetchError):
        parse_url(url)


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1",
        "10.1.2.3",
        "192.168.1.1",
        "172.16.0.1",
        "169.254.169.254",
        "0.0.0.0",
        "224.0.0.1",
        "100.64.0.1",
        "::1",
        "::",
        "fe80::1",
        "fe80::1%eth0",
        "fd00::1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "64:ff9b::a9fe:a9fe",
        "2002:a00:1::1",
        "ff02::1",
        "nonsense",
    ],
)
def test_an_https_host_at_an_internal_address_is_refused(address: str) -> None:
    """Also when the address is wrapped in IPv6; nothing is connected to."""
    fetcher = Fetcher(FetchRules(), resolve=lambda host, port: (address,))

    with pytest.raises(FetchError, match="address"):
        fetcher.get("https://idp.shop.example/keys")


@pytest.mark.parametrize("address", ["169.254.169.254", "fe80::1", "0.0.0.0", "ff02::1", "::ffff:169.254.0.1"])
def test_link_local_is_refused_even_when_private_is_allowed(address: str) -> None:
    """Where clouds keep their metadata service no issuer lives."""
    fetcher = Fetcher(FetchRules(allow_private=True), resolve=lambda host, port: (address,))

    with pytest.raises(FetchError, match="address"):
        fetcher.get("https://idp.shop.example/keys")


def test_one_internal_address_among_public_ones_refuses_the_host() -> None:
    """A name that answers both ways is not trusted to be public."""
    fetcher = Fetcher(FetchRules(), resolve=lambda host, port: ("198.41.0.4", "10.0.0.1"))

    with pytest.raises(FetchError, match="address"):
        fetcher.get("https://idp.shop.example/keys")


def test_localhost_that_resolves_elsewhere_is_refused() -> None:
    """Plain http is for loopback only, whatever a resolver makes of the name."""
    fetcher = Fetcher(FetchRules(allow_private=True), resolve=lambda host, port: ("10.0.0.1",))

    with pytest.raises(FetchError, match="address"):
        fetcher.get("http://localhost/keys")


def test_a_host_without_an_address_is_refused() -> None:
    """No answer from the resolver is a failed fetch."""
    with pytest.raises(FetchError, match="resolve"):
        Fetcher(FetchRules(), resolve=lambda host, port: ()).get("https://idp.shop.example/keys")
