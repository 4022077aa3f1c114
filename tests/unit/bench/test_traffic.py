"""What the benchmarks ask: requests as Envoy and browsers send them, no two alike, all of them the case's own."""

from __future__ import annotations

from itertools import islice
from pathlib import Path
from random import Random

from authz.model.request import Limits, parse_request
from authz.wire.decode import decode
from authz.wire.pb import check_pb2 as pb
from bench import wrk
from bench.client import grpc_body, header_block
from bench.material import USERS, Material, asks, distinct, warm
from bench.traffic import FRONTEND, HOST, ITEMS, SERVICE, Ask, Template, http1, http2, message, stream
from tests.mint.messages import check_request

_OWN = ("x-request-id", "traceparent")


def _headers(octets: bytes) -> dict[str, str]:
    http = pb.CheckRequest.FromString(octets).attributes.request.http
    return {one.key: one.raw_value.decode() for one in http.header_map.headers}


def test_a_message_is_the_request_that_envoy_would_send() -> None:
    """As far as the service looks: the same as from the messages that every other test uses, in their other order."""
    ask = Ask(token="a.b.c", route=3, browser=2)
    same = check_request(
        path=ask.path, host=HOST, headers=ask.headers, source=FRONTEND, destination=SERVICE, raw_headers=True
    )

    ours, theirs = (parse_request(decode(one, Limits()), Limits()) for one in (message(ask), same.SerializeToString()))

    assert (ours.method, ours.path, ours.authority, ours.source.principal) == (
        theirs.method,
        theirs.path,
        theirs.authority,
        theirs.source.principal,
    )
    assert _headers(message(ask)) == _headers(same.SerializeToString())


def test_no_two_requests_of_a_stream_are_alike() -> None:
    """Each has its own ids, in the form that such ids have; users, agents, routes, items and ports rotate."""
    found = list(islice(warm(Material(algorithm="EdDSA"), prefix=False), 5_000))
    headers = [_headers(one) for one in found]

    assert len(set(found)) == 5_000
    for name, shape in zip(_OWN, (36, 55), strict=True):
        assert len({one[name] for one in headers}) == 5_000
        assert {len(one[name]) for one in headers} == {shape}
    assert len({one["authorization"] for one in headers}) == USERS
    assert len({one["user-agent"] for one in headers}) > 3
    assert {one[":path"].rpartition("/")[2] for one in headers} == set(ITEMS)
    assert len({one[":path"] for one in headers}) == 100 * len(ITEMS)


def test_contenders_that_take_turns_get_the_same_kind_of_requests() -> None:
    """The same asks make the same stream again."""
    asked = asks(Material(algorithm="EdDSA"), ["a.b.c"], number=3)
    first, second = ([_headers(one) for one in islice(stream(asked, prefix=False), 6)] for _ in range(2))

    assert first == second


def test_each_cold_request_has_a_token_of_its_own() -> None:
    """And nobody's token is another's."""
    tokens = {_headers(one)["authorization"] for one in distinct(Material(algorithm="EdDSA"), 50, prefix=False)}

    assert len(tokens) == 50


def test_a_template_takes_another_token_of_the_same_length() -> None:
    """What surrounds it stays; the gRPC prefix too."""
    template = Template(Ask(token="aaaa.bbbb.cccc"), other_tokens=True)
    made = template.fresh(Random(1), b"dddd.eeee.ffff")

    assert made[:5] == grpc_body(made[5:])[:5]
    assert _headers(made[5:])["authorization"] == "Bearer dddd.eeee.ffff"


def test_browsers_send_whole_requests_of_their_own(tmp_path: Path) -> None:
    """Over HTTP/1.1 (for wrk, ended by a zero octet each) and as HTTP/2 header blocks."""
    asked = asks(Material(algorithm="EdDSA"), ["a.b.c"], number=40)
    wrk.write(http1(asked), tmp_path / "requests")
    written = (tmp_path / "requests").read_bytes().split(b"\0")

    assert written.pop() == b""
    assert len(set(written)) == len(asked) == len({header_block(one) for one in http2(asked)})
    assert written[0].startswith(b"GET /v1/res0/17 HTTP/1.1\r\nHost: api.shop.example\r\n")
    assert all(one.endswith(b"\r\n\r\n") and one.count(b"x-request-id: ") == 1 for one in written)
