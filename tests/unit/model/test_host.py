"""The host grammar of policy language §4, "Hosts", rule by rule."""

from __future__ import annotations

import pytest

from authz.model.errors import Refused
from authz.model.host import Authority
from authz.model.reason import Reason

LONGEST_LABEL = "a" * 63
LONGEST_HOST = ".".join([LONGEST_LABEL] * 3 + ["a" * 61])

ACCEPTED = {
    "a name": ("orders.shop.example", "orders.shop.example", None),
    "a single label": ("localhost", "localhost", None),
    "upper case is folded": ("Orders.SHOP.Example", "orders.shop.example", None),
    "a port": ("shop.example:8443", "shop.example", 8443),
    "the lowest port": ("shop.example:1", "shop.example", 1),
    "the highest port": ("shop.example:65535", "shop.example", 65535),
    "digits and hyphens": ("a-1.2b.example", "a-1.2b.example", None),
    "punycode": ("xn--bcher-kva.example", "xn--bcher-kva.example", None),
    "an IPv4 address": ("10.1.2.3:80", "10.1.2.3", 80),
    "an IPv6 literal": ("[2001:db8::1]", "[2001:db8::1]", None),
    "an IPv6 literal with a port": ("[::1]:8080", "[::1]", 8080),
    "an IPv6 literal is folded": ("[2001:DB8::A]", "[2001:db8::a]", None),
    "an IPv4-mapped literal": ("[::ffff:10.0.0.1]", "[::ffff:10.0.0.1]", None),
    "a label of 63": (LONGEST_LABEL, LONGEST_LABEL, None),
    "a host of 253": (LONGEST_HOST, LONGEST_HOST, None),
}

REFUSED = {
    "empty": "",
    "a trailing dot": "shop.example.",
    "a trailing dot before a port": "shop.example.:80",
    "a leading dot": ".shop.example",
    "an empty label": "shop..example",
    "only a dot": ".",
    "user-info": "user@shop.example",
    "user-info with a password": "user:pass@shop.example",
    "an underscore": "shop_1.example",
    "a label that begins with a hyphen": "-shop.example",
    "a label that ends with a hyphen": "shop-.example",
    "a label of 64": "a" * 64,
    "a host of 254": LONGEST_HOST + "a",
    "a huge host": "a." * 200 + "a",
    "an empty port": "shop.example:",
    "a zero port": "shop.example:0",
    "a zero-padded port": "shop.example:0443",
    "a port over 65535": "shop.example:65536",
    "a port of six digits": "shop.example:100000",
    "a signed port": "shop.example:+80",
    "a port that is no number": "shop.example:http",
    "a port of other digits": "shop.example:٣",
    "two ports": "shop.example:80:80",
    "only a port": ":80",
    "a path": "shop.example/a",
    "a query": "shop.example?a",
    "a fragment": "shop.example#a",
    "a backslash": "shop.example\\a",
    "percent-encoding": "shop%2eexample",
    "a blank": "shop example",
    "a leading blank": " shop.example",
    "a trailing line feed": "shop.example\n",
    "a NUL": "shop.example\0",
    "a comma": "shop.example,shop.example",
    "a letter outside ASCII": "bücher.example",
    "the Kelvin sign": "\u212a.example",
    "a fullwidth dot": "shop．example",
    "an open bracket": "[::1",
    "an IPv6 address without brackets": "2001:db8::1",
    "brackets around a name": "[shop.example]",
    "brackets around an IPv4 address": "[10.0.0.1]",
    "empty brackets": "[]",
    "a zone": "[fe80::1%25eth0]",
    "a bare zone": "[fe80::1%eth0]",
    "two elisions": "[1::2::3]",
    "nine groups": "[1:2:3:4:5:6:7:8:9]",
    "a group of five digits": "[12345::1]",
    "a future address": "[v1.a:b]",
    "text after the brackets": "[::1]a",
    "an empty port after the brackets": "[::1]:",
    "a port over 65535 after the brackets": "[::1]:65536",
    "a wildcard": "*.shop.example",
}


@pytest.mark.parametrize(("text", "host", "port"), ACCEPTED.values(), ids=ACCEPTED)
def test_the_authority_is_read(text: str, host: str, port: int | None) -> None:
    """A name, an IPv4 address or a bracketed IPv6 literal, with an optional port, in lower case."""
    assert Authority.parse(text) == Authority(host, port)


@pytest.mark.parametrize("text", REFUSED.values(), ids=REFUSED)
def test_the_authority_is_refused_never_repaired(text: str) -> None:
    """Whatever two parsers could read differently is `host_invalid`, and the message doesn't quote it."""
    with pytest.raises(Refused) as refused:
        Authority.parse(text)

    assert refused.value.reason is Reason.HOST_INVALID
    assert len(text) < 3 or text not in str(refused.value)


@pytest.mark.parametrize("code", range(0x80))
def test_each_ascii_character_inside_a_label(code: int) -> None:
    """Inside a label only letters, digits and the hyphen stand; the dot and colon have their own meaning."""
    character = chr(code)
    text = f"a{character}1.example"

    if character.isalnum() or character in "-.":
        assert Authority.parse(text).host == text.lower()
    else:
        with pytest.raises(Refused):
            Authority.parse(text)


def test_an_authority_prints_as_it_is_compared() -> None:
    """The text form has the port only when one was written."""
    assert str(Authority.parse("A.example:80")) == "a.example:80"
    assert str(Authority.parse("A.example")) == "a.example"
