"""The load generator counts every answer for what it is, on a real gRPC server."""

from __future__ import annotations

from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from itertools import cycle, islice
from typing import Any

import grpc
import pytest

from authz.model.reason import Reason
from authz.wire.encode import denial_bytes
from authz.wire.pb import check_pb2 as pb
from bench.client import CHECK_PATH, check_connection, grpc_body

PERMIT, DENIAL, EMPTY, ERROR = (b"permit", b"denial", b"empty", b"error")


def _permit() -> bytes:
    answer = pb.CheckResponse()
    answer.status.SetInParent()
    answer.ok_response.SetInParent()
    return answer.SerializeToString()


def _answer(message: bytes, context: Any) -> bytes:
    if message == ERROR:
        context.abort(grpc.StatusCode.INTERNAL, "asked to")
    return {PERMIT: _permit(), DENIAL: denial_bytes(Reason.OVERLOADED), EMPTY: b""}[message]


class _Handler(grpc.GenericRpcHandler):
    def service(self, handler_call_details: Any) -> Any:
        assert handler_call_details.method == CHECK_PATH
        return grpc.unary_unary_rpc_method_handler(_answer)


@pytest.fixture
def address() -> Iterator[str]:
    """A server that answers as its message says."""
    with ThreadPoolExecutor(4) as pool:
        server = grpc.server(pool, handlers=[_Handler()])
        port = server.add_insecure_port("127.0.0.1:0")
        server.start()
        yield f"127.0.0.1:{port}"
        server.stop(None).wait()


def test_each_answer_is_counted_as_what_it_is(address: str) -> None:
    """Permits, denials, empty messages and gRPC errors are four different things."""
    messages = [grpc_body(one) for one in (PERMIT, PERMIT, DENIAL, EMPTY, ERROR)]

    with check_connection(address) as connection:
        outcome = connection.closed_loop(iter(messages), in_flight=2, calls=5)

    assert (outcome.permits, outcome.denials, outcome.empty, outcome.errors) == (2, 1, 1, 1)
    assert pb.CheckResponse.FromString(outcome.denial_sample).denied_response.status.code == 503


def test_a_long_run_outlives_the_first_flow_control_window(address: str) -> None:
    """More is sent and received than the windows that a connection begins with."""
    large = grpc_body(PERMIT)
    messages = islice(cycle([large]), 5_000)

    with check_connection(address) as connection:
        outcome = connection.closed_loop(messages, in_flight=64, calls=5_000)

    assert outcome.permits == outcome.calls == 5_000
    assert len(outcome.latencies) == 5_000


def test_an_open_loop_sends_at_its_rate(address: str) -> None:
    """As many calls as rate times seconds, and not sooner than that."""
    with check_connection(address) as connection:
        outcome = connection.open_loop(cycle([grpc_body(PERMIT)]), rate=200, seconds=0.5)

    assert outcome.permits == outcome.calls
    assert outcome.calls in (100, 101)
    assert outcome.seconds >= 0.49
