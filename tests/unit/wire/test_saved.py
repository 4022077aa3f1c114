"""Saved CheckRequests: the JSON that tools print, the message itself, and everything else."""

from __future__ import annotations

import json

import pytest

from authz.model.errors import Refused
from authz.model.reason import Reason
from authz.model.request import Limits
from authz.wire.decode import decode
from authz.wire.pb import check_pb2 as pb
from authz.wire.saved import read_saved

HTTP = {"method": "GET", "host": "orders.shop.example", "path": "/orders/42"}


def saved(**request: object) -> bytes:
    """A JSON CheckRequest whose `attributes.request` has these fields."""
    return json.dumps({"attributes": {"request": request}}).encode()


def test_either_spelling_of_field_names_is_read() -> None:
    """Protobuf's JSON form has camel case; many tools print the proto names."""
    camel = json.dumps({"attributes": {"tlsSession": {"sni": "a"}, "request": {"http": HTTP}}}).encode()
    snake = json.dumps({"attributes": {"tls_session": {"sni": "a"}, "request": {"http": HTTP}}}).encode()

    for data in (camel, snake):
        raw = decode(read_saved(data).message, Limits())
        assert (raw.method, raw.authority, raw.target, raw.tls) == ("GET", "orders.shop.example", "/orders/42", True)


def test_the_time_of_the_request_is_kept() -> None:
    """As seconds; absent or unreadable it is None."""
    assert read_saved(saved(http=HTTP, time="2026-11-21T10:00:00Z")).time == 1795255200.0
    assert read_saved(saved(http=HTTP, time="noon")).time is None
    assert read_saved(saved(http=HTTP, time=7)).time is None
    assert read_saved(saved(http=HTTP)).time is None


def test_fields_that_are_not_read_are_left_out() -> None:
    """Envoy's message has more of them than this program looks at."""
    data = saved(http={**HTTP, "id": "7", "size": "-1", "rawBody": "AA=="})

    assert decode(read_saved(data).message, Limits()).method == "GET"


def test_the_message_itself_passes_through() -> None:
    """Also one whose length octet looks like a brace."""
    message = pb.CheckRequest()
    message.attributes.request.http.method = "GET"
    message.attributes.request.http.path = "/" + "a" * (ord("{") - 12)
    data = message.SerializeToString()

    assert data[:2].strip() != data[:2]
    assert read_saved(data).message == data


@pytest.mark.parametrize(
    "data",
    [
        b"[]",
        b"7",
        b'"text"',
        b'{"attributes": 7}',
        b'{"attributes": {"request": {"http": {"method": 7}}}}',
        b'{"attributes": {"request": {"http": {"headers": []}}}}',
    ],
)
def test_other_json_is_refused(data: bytes) -> None:
    """As a request that can't be read."""
    with pytest.raises(Refused) as refused:
        read_saved(data)

    assert refused.value.reason is Reason.REQUEST_MALFORMED


def test_rubbish_is_judged_as_a_message() -> None:
    """Which it isn't."""
    with pytest.raises(Refused):
        decode(read_saved(b"\xff\xff").message, Limits())
