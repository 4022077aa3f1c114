"""The rules of docs/verification.md, "Requests", and the facts that are read off a request."""

from __future__ import annotations

from typing import Any

import pytest

from authz.model.errors import Refused
from authz.model.headers import Headers
from authz.model.host import Authority
from authz.model.reason import Reason
from authz.model.request import AuthzRequest, Limits, Peer, RawRequest, Transport, connection_names, parse_request

TOKEN_CHARACTERS = frozenset("!#$%&'*+-.^_`|~0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz")


def parsed(
    *headers: tuple[str, str], joined: bool = False, limits: Limits | None = None, **fields: Any
) -> AuthzRequest:
    known = {"method": "GET", "target": "/orders/42", "authority": "orders.shop.example"}
    raw = RawRequest(headers=Headers(headers, joined=joined), **(known | fields))
    return parse_request(raw, limits or Limits())


def refusal(*headers: tuple[str, str], **fields: Any) -> Reason:
    with pytest.raises(Refused) as refused:
        parsed(*headers, **fields)
    return refused.value.reason


def test_a_plain_request_keeps_what_it_said() -> None:
    """Method, path, authority and the rest arrive typed and unchanged."""
    request = parsed(("accept", "*/*"), scheme="https", protocol="HTTP/2", service="orders")

    assert request.method == "GET"
    assert request.path.segments == ("orders", "42")
    assert request.authority == Authority("orders.shop.example", None)
    assert request.headers.get_all("accept") == ("*/*",)
    assert (request.scheme, request.protocol, request.service) == ("https", "HTTP/2", "orders")
    assert (request.grpc, request.upgrade, request.transport) == (False, "", Transport.PLAIN)


def test_a_request_without_headers_is_a_request() -> None:
    """No rule needs a header."""
    assert len(parsed().headers) == 0


@pytest.mark.parametrize("code", range(0x80))
def test_each_ascii_character_in_a_header_name(code: int) -> None:
    """A name is an RFC 9110 token."""
    header = (f"x{chr(code)}y", "1")

    if chr(code) in TOKEN_CHARACTERS:
        assert len(parsed(header).headers) == 1
    else:
        assert refusal(header) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("name", ["", "x\u00fc", "\u212aey", "x\n", "\ud800"])
def test_a_name_that_is_no_token_refuses_the_request(name: str) -> None:
    """Empty and non-ASCII names are no tokens, also beside good ones."""
    assert refusal(("accept", "*/*"), (name, "1")) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("code", range(0xA0))
def test_each_control_character_in_a_header_value(code: int) -> None:
    """Controls of ASCII and of Unicode's C1 range refuse the request; the tab doesn't."""
    character = chr(code)
    is_control = (code < 0x20 and character != "\t") or 0x7F <= code < 0xA0

    if is_control:
        assert refusal(("accept", "*/*"), ("x", f"a{character}b")) is Reason.REQUEST_MALFORMED
    else:
        assert parsed(("x", f"a{character}b")).headers.get_all("x") == (f"a{character}b",)


def test_text_outside_ascii_in_a_value_is_no_control_character() -> None:
    """Letters and unprintable but harmless characters pass; a lone surrogate, which is no text, doesn't."""
    assert parsed(("x", "Jürgen\u200b\u2028")).headers.get_all("x") == ("Jürgen\u200b\u2028",)
    assert refusal(("x", "\udc80")) is Reason.REQUEST_MALFORMED


def test_too_many_headers_refuse_the_request() -> None:
    """The count is over values, so a repeated header counts each time."""
    limits = Limits(header_count=3)

    assert len(parsed(*[("a", "1")] * 3, limits=limits).headers) == 3
    assert refusal(*[("a", "1")] * 4, limits=limits) is Reason.REQUEST_MALFORMED


def test_too_large_headers_refuse_the_request() -> None:
    """The size is the octets of names and values, each time that they come."""
    limits = Limits(headers=10)

    assert len(parsed(("ab", "123"), ("ab", "123"), limits=limits).headers) == 2
    assert refusal(("ab", "123"), ("ab", "1234"), limits=limits) is Reason.REQUEST_MALFORMED
    assert refusal(("abcd", "ü" * 4), limits=limits) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("method", ["GET", "get", "M-SEARCH", "PROPFIND", "CONNECT-UDP"])
def test_a_method_is_kept_as_it_was_sent(method: str) -> None:
    """A method is a token and isn't folded."""
    assert parsed(method=method).method == method


@pytest.mark.parametrize("method", ["", "GET ", "G ET", "GET\n", "GÉT", "GET/1", "CONNECT"])
def test_a_method_that_is_never_judged(method: str) -> None:
    """What is no token, and CONNECT, refuse the request."""
    assert refusal(method=method) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize("host", ["orders.shop.example", "ORDERS.Shop.Example"])
def test_a_host_header_may_repeat_the_authority(host: str) -> None:
    """It is compared after folding."""
    assert parsed(("host", host)).authority.host == "orders.shop.example"


@pytest.mark.parametrize(
    "hosts",
    [
        ["other.example"],
        ["orders.shop.example:443"],
        ["orders.shop.example", "orders.shop.example"],
        ["orders.shop.example", "other.example"],
        ["orders.shop.example,orders.shop.example"],
        ["orders.shop.example."],
        [""],
        [" orders.shop.example"],
    ],
)
def test_a_host_header_that_differs_or_comes_twice_refuses(hosts: list[str]) -> None:
    """Also when Envoy has joined the two with a comma."""
    assert refusal(*[("host", host) for host in hosts]) is Reason.HOST_INVALID


def test_the_order_of_reasons_is_request_host_path() -> None:
    """With several faults the first in the contract's order is reported."""
    bad_header, bad_host, bad_path = ("x", "\0"), {"authority": "a_b"}, {"target": "//"}

    assert refusal(bad_header, **bad_host, **bad_path) is Reason.REQUEST_MALFORMED
    assert refusal(**bad_host, **bad_path) is Reason.HOST_INVALID
    assert refusal(**bad_path) is Reason.PATH_NOT_CANONICAL


def test_the_limit_on_the_target_is_a_setting() -> None:
    """`limits.target` counts the whole target."""
    assert refusal(target="/12345", limits=Limits(target=5)) is Reason.PATH_NOT_CANONICAL


@pytest.mark.parametrize(
    ("headers", "upgrade"),
    [
        ([("upgrade", "websocket"), ("connection", "upgrade")], "websocket"),
        ([("upgrade", "WebSocket"), ("connection", "keep-alive, Upgrade")], "websocket"),
        ([("upgrade", " websocket "), ("connection", "Upgrade,")], "websocket"),
        ([("upgrade", "websocket"), ("connection", "keep-alive"), ("connection", "upgrade")], "websocket"),
        ([("upgrade", "websocket, h2c"), ("connection", "upgrade")], "websocket, h2c"),
        ([("upgrade", "websocket"), ("upgrade", "h2c"), ("connection", "upgrade")], "websocket,h2c"),
        ([("upgrade", "websocket/13"), ("connection", "upgrade")], "websocket/13"),
        ([("upgrade", "h2c"), ("connection", "upgrade, http2-settings")], "h2c"),
        ([("upgrade", "websocket")], ""),
        ([("upgrade", "websocket"), ("connection", "keep-alive")], ""),
        ([("upgrade", "websocket"), ("connection", "x-upgrade")], ""),
        ([("connection", "upgrade")], ""),
    ],
)
def test_an_upgrade_is_seen_as_envoy_sees_it(headers: list[tuple[str, str]], upgrade: str) -> None:
    """It takes both headers; odd or several values stay one text that no route names."""
    assert parsed(*headers).upgrade == upgrade


@pytest.mark.parametrize("value", ["", " ", "\t"])
def test_an_upgrade_to_nothing_refuses(value: str) -> None:
    """It must not look like a request without an upgrade."""
    assert refusal(("upgrade", value), ("connection", "upgrade")) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    ("types", "grpc"),
    [
        (["application/grpc"], True),
        (["application/grpc+proto"], True),
        (["application/grpc+json;charset=utf-8"], True),
        (["application/grpc; charset=utf-8"], True),
        (["application/grpc-web"], False),
        (["application/grpc-web+proto"], False),
        (["application/grpcx"], False),
        (["application/json"], False),
        ([""], False),
        ([], False),
        (["application/grpc", "application/grpc"], False),
    ],
)
def test_a_grpc_caller_is_known_by_its_content_type(types: list[str], grpc: bool) -> None:
    """Exactly `application/grpc`, or followed by `+` or `;`."""
    assert parsed(*[("content-type", value) for value in types]).grpc is grpc


@pytest.mark.parametrize(
    ("fields", "transport"),
    [
        ({"source": Peer(principal="spiffe://shop.example/a")}, Transport.MTLS),
        ({"source": Peer(certificate="PEM"), "tls": True}, Transport.MTLS),
        ({"tls": True}, Transport.TLS),
        ({"destination": Peer(principal="spiffe://shop.example/b")}, Transport.TLS),
        ({"scheme": "https"}, Transport.PLAIN),
        ({}, Transport.PLAIN),
    ],
)
def test_the_transport_is_what_envoy_knows(fields: dict[str, Any], transport: Transport) -> None:
    """The scheme, which a client can choose, takes no part."""
    assert parsed(**fields).transport is transport


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([], set()),
        (["keep-alive"], {"keep-alive"}),
        (["Close, X_Authz_Subject"], {"close", "x-authz-subject"}),
        ([" ,a,,\tb ", "c"], {"a", "b", "c"}),
        (["X-Authz-\u212a"], {"x-authz-\u212a"}),
    ],
)
def test_the_names_that_connection_asks_to_drop(values: list[str], names: set[str]) -> None:
    """Lower case, underscores read as hyphens, empty elements ignored."""
    assert connection_names(Headers([("connection", value) for value in values])) == names
