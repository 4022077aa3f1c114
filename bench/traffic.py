"""Requests as they come from many browsers: no two are alike, and every contender gets the same stream of them.

Each check has its own `x-request-id`, `traceparent` and stream id; users, user agents, client addresses, ephemeral
ports, routes and items rotate. Whoever would profit from seeing the same octets again can't. Messages are written as
Envoy's ext_authz filter writes them (`encode_raw_headers: true`), with the fields that nobody needs: time, ports,
empty metadata. All of that costs the client about 2 µs a message: a ring of templates is made once, and a message is
a template with its identifiers filled in.

Owns: how a check and a browser's request are written. Must not: know what is decided about them.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from itertools import cycle
from random import Random
from typing import Final

from bench.client import grpc_body

HOST: Final = "api.shop.example"
FRONTEND: Final = "spiffe://shop.example/ns/shop/sa/frontend"
SERVICE: Final = "spiffe://shop.example/ns/shop/sa/orders"
ITEM: Final = "42"
ITEMS: Final = ("17", ITEM, "99")
"""What each token allows."""
RING: Final = 2_000
"""Templates of a stream: more than any cache of ours by whole header values holds."""
AGENTS: Final = (
    "Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Gecko/20100101 Firefox/140.0",
    "Mozilla/5.0 (Windows NT 10.0; Win64; x64) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Safari/537.36",
    "Mozilla/5.0 (Macintosh; Intel Mac OS X 10_15_7) AppleWebKit/605.1.15 (KHTML, like Gecko) Safari/605.1.15",
    "Mozilla/5.0 (iPhone; CPU iPhone OS 18_6 like Mac OS X) AppleWebKit/605.1.15 (KHTML, like Gecko) Mobile/15E148",
    "Mozilla/5.0 (Linux; Android 15; Pixel 9) AppleWebKit/537.36 (KHTML, like Gecko) Chrome/141.0.0.0 Mobile",
    "shop-cli/4.2 (linux; amd64)",
)
_REQUEST_ID: Final = "0a4f2c6e-1d3b-4c5a-9e8f-7a6b5c4d3e2f"
_TRACE: Final = "4bf92f3577b34da6a3ce929d0e0e4736"
_SPAN: Final = "00f067aa0ba902b7"
_STREAM: Final = "7046029254386353131"
BROWSER: Final = (
    ("user-agent", AGENTS[0]),
    ("accept", "application/json, text/plain, */*"),
    ("accept-language", "en-GB,en;q=0.7,de;q=0.3"),
    ("accept-encoding", "gzip, deflate, br, zstd"),
    ("referer", "https://www.shop.example/orders"),
    ("x-request-id", _REQUEST_ID),
    ("x-forwarded-proto", "https"),
    ("x-forwarded-for", "203.0.113.7"),
    ("traceparent", f"00-{_TRACE}-{_SPAN}-01"),
    ("cookie", "consent=all; theme=dark"),
    ("sec-fetch-mode", "cors"),
    ("sec-fetch-site", "same-site"),
)
"""The headers of one browser, as its own request has them."""

Headers = Sequence[tuple[str, str]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ask:
    """One request of the case; what is given differs from the usual. `browser` numbers whose it is."""

    token: str
    route: int = 7
    item: str = ITEM
    peer: str = FRONTEND
    browser: int = 0

    @property
    def path(self) -> str:
        return path_of(self.route, self.item)

    @property
    def headers(self) -> Headers:
        """This browser's, with the token."""
        own = {
            "user-agent": AGENTS[self.browser % len(AGENTS)],
            "x-forwarded-for": f"203.0.113.{1 + self.browser % 250}",
            "cookie": f"consent=all; theme={('dark', 'light')[self.browser % 2]}",
        }
        return (*((name, own.get(name, value)) for name, value in BROWSER), ("authorization", f"Bearer {self.token}"))

    @property
    def port(self) -> int:
        """The ephemeral port of the caller's connection."""
        return 32_768 + self.browser * 7_919 % 28_232


def path_of(route: int, item: str = ITEM) -> str:
    return f"/v1/res{route}/{item}"


def message(ask: Ask) -> bytes:
    """The serialized CheckRequest, field by field (envoy/service/auth/v3/attribute_context.proto)."""
    pseudo = ((":authority", HOST), (":path", ask.path), (":method", "GET"), (":scheme", "https"))
    headers = b"".join(
        _field(1, _field(1, name.encode()) + _field(3, value.encode())) for name, value in (*pseudo, *ask.headers)
    )
    http = (
        _field(1, _STREAM.encode())
        + _field(2, b"GET")
        + _field(4, ask.path.encode())
        + _field(5, HOST.encode())
        + _field(6, b"https")
        + _field(10, b"HTTP/2")
        + _field(13, headers)
    )
    now = time.time()
    moment = _number(1, int(now)) + _number(2, int(now % 1 * 1e9))
    return _field(
        1,
        _field(1, _peer("10.1.2.3", ask.port, ask.peer))
        + _field(2, _peer("10.1.7.9", 8443, SERVICE))
        + _field(4, _field(1, moment) + _field(2, http))
        + _field(11, b"")
        + _field(12, _field(1, HOST.encode()))
        + _field(13, b""),
    )


class Template:
    """One request, cut where others of the same browser differ: identifiers, and the token if it is to be replaced."""

    __slots__ = ("_parts",)

    def __init__(self, ask: Ask, *, other_tokens: bool = False, prefix: bool = True) -> None:
        whole = grpc_body(message(ask)) if prefix else message(ask)
        marks = [_STREAM, _REQUEST_ID, _TRACE, _SPAN, *([ask.token] if other_tokens else [])]
        parts = []
        for mark in marks:
            before, found, whole = whole.partition(mark.encode())
            assert found, mark
            parts.append(before)
        self._parts = (*parts, whole)

    def fresh(self, drawn: Random, token: bytes = b"") -> bytes:
        """The message of a request that was never seen; `token` is as long as the template's."""
        number = drawn.randbytes(36).hex().encode()
        stream, request, trace, span, *rest = self._parts
        return b"".join(
            (
                stream,
                b"7%018d" % (drawn.getrandbits(59)),
                request,
                b"%b-%b-4%b-a%b-%b" % (number[:8], number[8:12], number[12:15], number[15:18], number[18:30]),
                trace,
                number[30:62],
                span,
                number[56:72],
                rest[0] if len(rest) == 1 else rest[0] + token + rest[1],
            )
        )


def stream(asks: Sequence[Ask], *, prefix: bool = True) -> Iterator[bytes]:
    """Endless: the requests in turn, each time as another request. Without `prefix` bare messages, for no wire."""
    drawn, templates = Random(len(asks)), cycle([Template(ask, prefix=prefix) for ask in asks])
    return (template.fresh(drawn) for template in templates)


def http1(asks: Sequence[Ask]) -> list[bytes]:
    """The same requests as browsers send them to an Envoy, whole, for `wrk`."""
    return [
        "\r\n".join(
            (f"GET {path} HTTP/1.1", f"Host: {HOST}", *(f"{name}: {value}" for name, value in headers), "", "")
        ).encode()
        for path, headers in _browsers(asks)
    ]


def http2(asks: Sequence[Ask]) -> list[Headers]:
    """The same as HTTP/2 header lists."""
    return [
        ((":method", "GET"), (":scheme", "http"), (":path", path), (":authority", HOST), *headers)
        for path, headers in _browsers(asks)
    ]


def _browsers(asks: Sequence[Ask]) -> Iterator[tuple[str, Headers]]:
    drawn = Random(len(asks))
    for ask in asks:
        own = {
            "x-request-id": "{}-{}-4{}-a{}-{}".format(*(drawn.randbytes(6).hex()[:size] for size in (8, 4, 3, 3, 12))),
            "traceparent": f"00-{drawn.randbytes(16).hex()}-{drawn.randbytes(8).hex()}-01",
        }
        yield ask.path, [(name, own.get(name, value)) for name, value in ask.headers]


def _peer(address: str, port: int, principal: str) -> bytes:
    socket = _field(2, address.encode()) + _number(3, port)
    return _field(1, _field(1, socket)) + _field(4, principal.encode())


def _field(number: int, content: bytes) -> bytes:
    return _varint(number << 3 | 2) + _varint(len(content)) + content


def _number(number: int, value: int) -> bytes:
    return _varint(number << 3) + _varint(value)


def _varint(value: int) -> bytes:
    encoded = bytearray()
    while value > 0x7F:
        encoded.append(value & 0x7F | 0x80)
        value >>= 7
    encoded.append(value)
    return bytes(encoded)
