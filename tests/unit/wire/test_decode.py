"""A check request's bytes to a RawRequest, in both header forms, and what a view shows."""

from __future__ import annotations

import time

import pytest

from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.request import Limits, Peer, RawRequest, RequestView
from authz.wire.decode import _JOINED, _RAW, VIEW_HOST, VIEW_METHOD, VIEW_PATH, decode, view
from authz.wire.fields import field, tag
from authz.wire.pb import check_pb2 as pb
from tests.mint.messages import FRONTEND, ORDERS, check_request

LIMITS = Limits()


def decoded(check: pb.CheckRequest) -> RawRequest:
    return decode(check.SerializeToString(), LIMITS)


def refusal(message: bytes, limits: Limits = LIMITS) -> Reason:
    with pytest.raises(Refused) as refused:
        decode(message, limits)
    return refused.value.reason


def test_a_request_is_read_with_both_ends_of_its_connection() -> None:
    """Method, target, authority, peers and the per-route service arrive as Envoy sent them."""
    check = check_request(path="/orders/42?x=1", source=FRONTEND, destination=ORDERS, service="orders")
    check.attributes.source.certificate = "PEM"
    raw = decoded(check)

    assert (raw.method, raw.target, raw.authority) == ("GET", "/orders/42?x=1", "orders.shop.example")
    assert (raw.scheme, raw.protocol, raw.service) == ("https", "HTTP/2", "orders")
    assert raw.source == Peer(address="10.1.2.3", principal=FRONTEND, certificate="PEM")
    assert raw.destination == Peer(principal=ORDERS)


@pytest.mark.parametrize("raw_headers", [False, True])
def test_pseudo_headers_are_no_headers(raw_headers: bool) -> None:
    """In both forms names that begin with a colon are dropped."""
    raw = decoded(check_request(headers=[("accept", "*/*")], raw_headers=raw_headers))

    assert list(raw.headers.items()) == [("accept", "*/*")]


def test_the_joined_form_is_marked_and_the_raw_form_keeps_duplicates() -> None:
    """A comma in the joined form may hide a second value, so the mark travels along."""
    twice = [("x-a", "1"), ("x-a", "2")]
    joined = decoded(check_request(headers=twice)).headers
    raw = decoded(check_request(headers=twice, raw_headers=True)).headers

    assert joined.joined and joined.get_all("x-a") == ("1,2",)
    assert not raw.joined and raw.get_all("x-a") == ("1", "2")


def test_the_raw_form_is_preferred_where_both_are_sent() -> None:
    """It is the one that keeps octets and duplicates."""
    check = check_request(headers=[("x-a", "joined")])
    check.attributes.request.http.header_map.headers.add(key="x-a", raw_value=b"raw")
    raw = decoded(check)

    assert raw.headers.get_all("x-a") == ("raw",) and not raw.headers.joined


def test_a_raw_header_without_octets_has_its_text() -> None:
    """`value` counts where `raw_value` is empty; both empty is an empty value."""
    check = check_request()
    headers = check.attributes.request.http.header_map.headers
    headers.add(key="x-text", value="text")
    headers.add(key="x-empty")
    raw = decoded(check)

    assert raw.headers.get_all("x-text") == ("text",)
    assert raw.headers.get_all("x-empty") == ("",)


@pytest.mark.parametrize(
    ("octets", "text"),
    [
        (b"J\xc3\xbcrgen", "Jürgen"),
        (b"J\xfcrgen", "J!rgen"),
        (b"\xff\xfe", "!!"),
        (b"\xe2\x82A", "!!A"),
        (b"\xe2\x82", "!!"),
        (b"\xed\xa0\x80", "!!!"),
        (b"\xc0\xaf", "!!"),
        (b"\xf0\x9f\x98\x80\x80", "\U0001f600!"),
        (b"a\x00b", "a\0b"),
    ],
)
def test_octets_that_are_no_utf8_become_exclamation_marks(octets: bytes, text: str) -> None:
    """One mark for each octet, as in the joined form that Envoy makes, so both forms decide alike."""
    raw = decoded(check_request(headers=[("x-a", octets)], raw_headers=True))

    assert raw.headers.get_all("x-a") == (text,)


def test_a_tls_session_says_that_the_connection_has_tls() -> None:
    """Its presence counts, not what it holds."""
    check = check_request()
    assert not decoded(check).tls

    check.attributes.tls_session.SetInParent()
    assert decoded(check).tls


@pytest.mark.parametrize("raw_headers", [False, True])
@pytest.mark.parametrize("name", ["authorization", "Cookie", "x-api-key", "X-Jwt-Svid", "x-session-id", "x-vendor"])
def test_no_credential_is_remembered(name: str, raw_headers: bool) -> None:
    """Neither by its header's name nor, whatever that is, where it looks like a token; the rest is."""
    value = "eyJhbGciOiJFUzI1NiJ9.e30.c2ln" if name == "x-vendor" else "hunter2"
    check = check_request(headers=[(name, value), ("x-usual", "a")], raw_headers=raw_headers)
    decoded(check)

    remembered = [line for lines in (_RAW, _JOINED) for line in lines._known]
    assert not any(value.encode() in line for line in remembered)
    assert any(b"x-usual" in line for line in remembered)


def test_a_connection_end_in_several_pieces_is_read_as_one() -> None:
    """As protobuf merges them: nothing that was said of a caller is lost."""
    first = pb.CheckRequest()
    first.attributes.source.certificate = "a certificate"
    raw = decode(first.SerializeToString() + check_request(source=FRONTEND).SerializeToString(), LIMITS)

    assert (raw.source.principal, raw.source.certificate) == (FRONTEND, "a certificate")


@pytest.mark.parametrize("octets", [b"\xff", b"\x0a\x01\xff"], ids=["no message", "no UTF-8"])
def test_a_tls_session_that_can_t_be_read_is_malformed(octets: bytes) -> None:
    """A message is read whole or not at all."""
    session = field(tag(1), field(tag(12), octets))

    assert refusal(check_request().SerializeToString() + session) is Reason.REQUEST_MALFORMED


def test_joined_headers_beside_raw_ones_have_to_be_readable() -> None:
    """Even where they don't count."""
    joined = field(tag(1), field(tag(4), field(tag(2), field(tag(3), field(tag(1), b"\xff")))))

    assert refusal(check_request(raw_headers=True).SerializeToString() + joined) is Reason.REQUEST_MALFORMED


def test_a_peer_on_a_unix_socket_has_no_address() -> None:
    """Another kind of address is as good as none."""
    check = check_request()
    check.attributes.source.ClearField("address")

    assert decoded(check).source.address == ""


@pytest.mark.parametrize(
    "check",
    [
        pb.CheckRequest(),
        pb.CheckRequest(attributes=pb.AttributeContext()),
        pb.CheckRequest(attributes=pb.AttributeContext(request=pb.Request())),
    ],
    ids=["empty", "no request", "no http"],
)
def test_a_check_without_http_is_malformed(check: pb.CheckRequest) -> None:
    """A TCP filter asks so; it is not a request with an empty method."""
    assert refusal(check.SerializeToString()) is Reason.REQUEST_MALFORMED


@pytest.mark.parametrize(
    "message", [b"\xff", b"\x0a\xff", b"\x0a\x05abc", b"\x0b" * 1000, b"\x0a\x02\x0a\x00" + b"\x07"]
)
def test_bytes_that_are_no_message_are_malformed(message: bytes) -> None:
    """Whatever protobuf can't read ends in the one refusal."""
    assert refusal(message) is Reason.REQUEST_MALFORMED


def test_text_that_is_no_utf8_is_malformed() -> None:
    """A proto3 string is UTF-8; Envoy sends no other."""
    message = check_request(method="XYZ").SerializeToString().replace(b"XYZ", b"X\xffZ")

    assert refusal(message) is Reason.REQUEST_MALFORMED


def test_the_size_is_bounded_before_anything_is_parsed() -> None:
    """A message of exactly the limit is read, one octet more is refused."""
    message = check_request().SerializeToString()

    assert decode(message, Limits(message=len(message))).method == "GET"
    assert refusal(message, Limits(message=len(message) - 1)) is Reason.REQUEST_MALFORMED


def test_headers_without_number_are_refused_before_they_are_sorted() -> None:
    """Collecting the values of one name takes quadratic time; what is within the limit is judged later."""
    check = check_request(headers=[("a", "x")] * 200_000, raw_headers=True)
    message = check.SerializeToString()
    began = time.process_time()

    assert refusal(message) is Reason.REQUEST_MALFORMED
    assert time.process_time() - began < 2.0
    few = check_request(headers=[("a", "x")] * LIMITS.header_count, raw_headers=True)
    assert len(decoded(few).headers) == LIMITS.header_count


@pytest.mark.parametrize("piece", [field(tag(1), b""), field(tag(4), field(tag(2), field(tag(3), b"")))])
def test_pieces_without_number_are_refused_before_they_are_read(piece: bytes) -> None:
    """Of an end of the connection, or of the form of the headers that doesn't count."""
    pieces = field(tag(1), piece * 200_000)
    began = time.process_time()

    assert refusal(check_request(raw_headers=True).SerializeToString() + pieces) is Reason.REQUEST_MALFORMED
    assert time.process_time() - began < 1.0


def test_a_refusal_holds_no_client_text() -> None:
    """Errors end in logs."""
    with pytest.raises(Refused) as refused:
        decode(b"\xffsecret", LIMITS)

    assert "secret" not in str(refused.value)
    assert refused.value.__cause__ is None


def test_a_view_has_no_query_and_no_fragment() -> None:
    """What a client may have put a secret into isn't shown."""
    raw = RawRequest(method="GET", target="/a#secret?token=secret", authority="shop.example")

    assert view(raw) == RequestView(method="GET", host="shop.example", path="/a")


def test_a_view_is_short_and_printable() -> None:
    """Lengths are capped and every unprintable character is replaced."""
    raw = RawRequest(method="G\nT" + "x" * 999, target="/\x1b[31m" + "y" * 9999, authority="\u202e" * 999)
    shown = view(raw)

    assert (len(shown.method), len(shown.host), len(shown.path)) == (VIEW_METHOD, VIEW_HOST, VIEW_PATH)
    assert (shown.method + shown.host + shown.path).isprintable()
