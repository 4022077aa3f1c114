"""Invariant: a question is read in parts as it would be read whole, however oddly its octets are put together.

Messages come in pieces, pieces twice and in any order, with octets that no text has and fields that nobody knows. What
can't be read whole is refused; what is read has the same values. Only a header of the joined form may show more: an
entry that comes twice shows twice, and one with a field too many isn't lost.
"""

from __future__ import annotations

from google.protobuf.message import DecodeError
from hypothesis import given, settings
from hypothesis import strategies as st

from authz.model.errors import Refused
from authz.model.headers import fold_name
from authz.model.reason import Reason
from authz.model.request import Limits, Peer
from authz.wire.decode import SERVICE_EXTENSION, decode
from authz.wire.fields import field, varint
from authz.wire.pb import check_pb2 as pb

LIMITS = Limits()
UNKNOWN = st.sampled_from([b"\x30\x01", b"\x3a\x03abc", b"\x35\x01\x02\x03\x04", b"\x33\x34", field(b"\x7a", b"\xff")])
BROKEN = st.sampled_from([b"\x0a", b"\x0a\x05a", b"\xff\xff", b"\x0b", b"\x12\x80"])
TEXT = st.sampled_from([b"", b"a", b"GET", b"orders.shop.example", b"\xff", "é".encode(), b"\xed\xa0\x80"])


def some(*parts: st.SearchStrategy[bytes], odd: bool = True) -> st.SearchStrategy[bytes]:
    """A few of these parts in any order, now and then with what doesn't belong there."""
    usual = [*parts, *parts, *parts]
    return st.lists(st.one_of(*usual, UNKNOWN, *([BROKEN] if odd else [])), max_size=6).map(b"".join)


def part(number: int, payload: st.SearchStrategy[bytes]) -> st.SearchStrategy[bytes]:
    return payload.map(lambda octets: field(varint(number << 3 | 2), octets))


NAMES = st.sampled_from([b"authorization", b"x-a", b"X-A", b"x_authz_subject", b":path", b"", b"\xff"])
HEADER = some(part(1, NAMES), part(2, TEXT), part(3, TEXT), odd=False)
USUAL = st.builds(lambda name, value: field(b"\x0a", name) + field(b"\x12", value), NAMES, TEXT)
HEADERS = st.one_of(USUAL, USUAL, HEADER, BROKEN)
HTTP = some(
    *(part(number, TEXT) for number in (2, 4, 5, 6, 10)),
    part(3, HEADERS),
    part(13, st.lists(part(1, HEADERS), max_size=3).map(b"".join)),
)
PEER = some(part(1, some(part(1, some(part(2, TEXT))))), part(4, TEXT), part(5, TEXT))
EXTENSION = some(part(1, st.just(SERVICE_EXTENSION.encode())), part(2, TEXT), odd=False)
ATTRIBUTES = some(
    part(1, PEER), part(2, PEER), part(4, some(part(2, HTTP))), part(10, EXTENSION), part(12, some(part(1, TEXT)))
)
MESSAGES = some(part(1, ATTRIBUTES))


def peer_of(peer: pb.Peer) -> Peer:
    return Peer(peer.address.socket_address.address, peer.principal, peer.certificate)


@given(MESSAGES)
@settings(max_examples=500)
def test_a_question_in_parts_says_what_it_says_whole(message: bytes) -> None:
    """Whether it is the first time that its parts are read, or they are remembered."""
    try:
        raw = decode(message, LIMITS)
    except Refused as refused:
        assert refused.reason is Reason.REQUEST_MALFORMED
        return
    try:
        whole = pb.CheckRequest.FromString(message).attributes
    except DecodeError:
        raise AssertionError("what can't be read whole was read in parts") from None

    http = whole.request.http
    assert whole.request.HasField("http")
    assert (raw.method, raw.target, raw.authority) == (http.method, http.path, http.host)
    assert (raw.scheme, raw.protocol) == (http.scheme, http.protocol)
    assert (raw.source, raw.destination) == (peer_of(whole.source), peer_of(whole.destination))
    assert (raw.service, raw.tls) == (
        whole.context_extensions.get(SERVICE_EXTENSION, ""),
        whole.HasField("tls_session"),
    )
    shown = {(name, value) for name, value in raw.headers.items()}
    if http.header_map.headers:
        entries = [each for each in http.header_map.headers if not each.key.startswith(":")]
        assert len(raw.headers) == len(entries) and not raw.headers.joined
        assert shown >= {(fold_name(each.key), each.value) for each in entries if not each.raw_value}
    else:
        assert raw.headers.joined
        assert shown >= {(fold_name(name), value) for name, value in http.headers.items() if not name.startswith(":")}


@given(MESSAGES)
def test_what_can_be_read_whole_is_read_in_parts(message: bytes) -> None:
    """Nothing well-formed is lost: with few headers there is no other reason to refuse than a missing `http`."""
    try:
        whole = pb.CheckRequest.FromString(message)
    except DecodeError:
        return
    try:
        decode(message, LIMITS)
    except Refused:
        parts = whole.attributes.request
        # An entry of a map that can't be kept (a field too many) is dropped unread when it is read whole.
        assert not parts.HasField("http") or not parts.http.header_map.headers
