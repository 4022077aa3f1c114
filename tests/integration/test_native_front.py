"""The native front with a real client over real sockets, guard by guard; what decides is a fake."""

from __future__ import annotations

import socket
import stat
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import grpc
import pytest
from grpc_health.v1 import health_pb2, health_pb2_grpc

from authz.server import native_front
from authz.server.front import ListenError, choose
from authz.server.native_front import NativeFront, NativeOptions
from authz.server.service import CheckService
from authz.wire.reflection import METHOD_PATH, SERVICE
from tests.fakes.deciders import FixedDecider, ListRecorder, RaisingDecider, denial, permit
from tests.fakes.waiting import until
from tests.mint.check_messages import check_message, read_answer

SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Start = Callable[..., tuple[NativeFront, int]]


class Answers:
    """A service whose answers are what a test says."""

    def __init__(self, at_once: Callable[[], Any], later: Callable[[], Any] = lambda: b"\x08\x01") -> None:
        self.at_once, self.later = at_once, later
        self.answered = 0

    def answer(self, message: bytes, *, remaining: float | None, arrived: float | None = None) -> bytes:
        self.answered += 1
        answer: bytes = self.later()
        return answer

    def answer_at_once(self, message: bytes, *, remaining: float | None, arrived: float | None = None) -> bytes | None:
        answer: bytes | None = self.at_once()
        return answer

    def overloaded(self) -> bytes:
        return b"overloaded"

    def refused_peer(self) -> bytes:
        return b"refused"

    def last_resort(self) -> bytes:
        return b"last resort"


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts fronts and stops them at the end; returns the front and its first port."""
    running: list[NativeFront] = []

    def begin(service: Any, *, address: str = "127.0.0.1:0", **options: Any) -> tuple[NativeFront, int]:
        deaths = options.pop("on_death", lambda code: None)
        front = NativeFront(service, NativeOptions(addresses=(address,), **options), on_death=deaths)
        listening = front.start()
        running.append(front)
        return front, listening[0].port

    yield begin
    for front in running:
        front.stop(0)(1)
        front.close()


def service(decider: Any) -> CheckService:
    return CheckService(decider, (ListRecorder(),))


def caller(target: str) -> tuple[grpc.Channel, Callable[..., bytes]]:
    channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
    return channel, channel.unary_unary(METHOD_PATH)


def raising(error: BaseException) -> Callable[[], Any]:
    def act() -> Any:
        raise error

    return act


def test_checks_are_answered_over_tcp(start: Start) -> None:
    """Bytes in, bytes out; allow and deny are both OK calls."""
    _, port = start(service(FixedDecider(permit())))
    _, other = start(service(FixedDecider(denial())))

    for address, status in ((port, 0), (other, 401)):
        channel, check = caller(f"127.0.0.1:{address}")
        answer = read_answer(check(check_message(), timeout=5))
        assert answer.denied_response.status.code == status
        assert (answer.status.code == 0) is (status == 0)
        channel.close()


def test_checks_are_answered_over_a_narrow_unix_socket(start: Start, tmp_path: Path) -> None:
    """Mode 0660 while it runs, gone when it stopped."""
    path = tmp_path / "authz.sock"
    front, _ = start(service(FixedDecider(permit())), address=f"unix:{path}")

    channel, check = caller(f"unix:{path}")
    assert read_answer(check(check_message(), timeout=5)).status.code == 0
    channel.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    front.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_server_doesnt_take_the_socket_over(start: Start, tmp_path: Path) -> None:
    """Guard 7: the library would; the lock refuses."""
    address = f"unix:{tmp_path / 'authz.sock'}"
    start(service(FixedDecider(permit())), address=address)

    with pytest.raises(ListenError):
        start(service(FixedDecider(denial())), address=address)
    channel, check = caller(address)
    assert read_answer(check(check_message(), timeout=5)).status.code == 0
    channel.close()


@pytest.mark.parametrize("address", ["0.0.0.0:0", "10.1.2.3:9000", "[::]:0", "authz.example:9000"])
def test_a_reachable_address_is_refused(start: Start, address: str) -> None:
    """The library bounds no message and knows no TLS."""
    with pytest.raises(ListenError, match="Unix sockets and loopback"):
        start(service(FixedDecider(permit())), address=address)


def test_an_occupied_port_is_said(start: Start) -> None:
    """A clear sentence, and nothing is left open."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        with pytest.raises(ListenError):
            start(service(FixedDecider(permit())), address=f"127.0.0.1:{taken.getsockname()[1]}")


@pytest.mark.parametrize("garbage", [b"", "text", 7, bytearray(b"x")], ids=repr)
def test_nothing_but_non_empty_bytes_is_ever_answered(start: Start, garbage: object) -> None:
    """Guard 1: an empty message is an allow."""
    _, port = start(Answers(lambda: garbage))
    _, other = start(Answers(lambda: None, lambda: garbage))

    for each in (port, other):
        channel, check = caller(f"127.0.0.1:{each}")
        assert check(check_message(), timeout=5) == b"last resort"
        channel.close()


@pytest.mark.parametrize("error", [SystemExit(0), KeyboardInterrupt(), MemoryError(), ValueError("secret")])
def test_whatever_is_raised_ends_in_an_answer(start: Start, error: BaseException) -> None:
    """Guard 1, on the receiving thread and on the pool's."""
    _, port = start(Answers(raising(error)))
    _, other = start(Answers(lambda: None, raising(error)))

    channel, check = caller(f"127.0.0.1:{port}")
    assert check(check_message(), timeout=5) == b"last resort"
    channel.close()
    channel, check = caller(f"127.0.0.1:{other}")
    with pytest.raises(grpc.RpcError) as caught:
        check(check_message(), timeout=5)
    assert caught.value.details() == "internal error"
    channel.close()


def test_the_service_is_total_so_that_an_exit_inside_is_a_denial(start: Start) -> None:
    """With the real service nothing even reaches that guard."""
    _, port = start(service(RaisingDecider(SystemExit(0))))

    channel, check = caller(f"127.0.0.1:{port}")
    assert read_answer(check(check_message(), timeout=5)).denied_response.status.code == 503
    channel.close()


def test_a_receiving_thread_that_dies_ends_the_process(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """Guard 1: Envoy would wait for answers that never come."""
    codes: list[int] = []
    monkeypatch.setattr(native_front._Door, "_take", raising(RuntimeError("bug")))
    _, port = start(service(FixedDecider(permit())), on_death=codes.append)

    channel, check = caller(f"127.0.0.1:{port}")
    with pytest.raises(grpc.RpcError):
        check(check_message(), timeout=1)
    channel.close()
    until(lambda: codes == [70])


def test_a_slow_call_doesnt_hold_up_quick_ones(start: Start) -> None:
    """Guards 3 and 4: what may block goes to the pool, the others are answered meanwhile."""
    release = threading.Event()
    turns = iter([None, b"quick", b"quick", b"quick"])
    answers = Answers(lambda: next(turns), lambda: release.wait(5) and b"slow")
    _, port = start(answers)

    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(1) as pool:
        slow = pool.submit(check, check_message(), timeout=5)
        until(lambda: answers.answered == 1)
        assert [check(check_message(), timeout=5) for _ in range(3)] == [b"quick"] * 3
        release.set()
        assert slow.result() == b"slow"
    channel.close()


def test_what_is_over_the_bound_is_refused_at_once_with_an_answer(start: Start) -> None:
    """Guard 3: a full queue is an `overloaded` denial on an OK call, never a gRPC error."""
    release = threading.Event()
    front, port = start(Answers(lambda: None, lambda: release.wait(10) and b"done"), threads=1, waiting=2)

    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(8) as pool:
        calls = [pool.submit(check, check_message(), timeout=10) for _ in range(8)]
        until(lambda: sum(call.done() for call in calls) == 5)
        assert {call.result() for call in calls if call.done()} == {b"overloaded"}
        assert front.admission.count == 3
        release.set()
        assert sorted(call.result() for call in calls) == [b"done"] * 3 + [b"overloaded"] * 5
    channel.close()


def test_a_call_that_was_given_up_is_not_worked_on(start: Start) -> None:
    """Guard 3: the library would run it."""
    release = threading.Event()
    answers = Answers(lambda: None, lambda: release.wait(10) and b"done")
    front, port = start(answers, threads=1, waiting=8)

    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(check, check_message(), timeout=10)
        until(lambda: answers.answered == 1)
        given_up = channel.unary_unary(METHOD_PATH).future(check_message(), timeout=10)
        until(lambda: front.admission.count == 2)
        given_up.cancel()
        until(lambda: not front._doors[0]._handed)
        release.set()
        assert first.result() == b"done"
    assert front.admission.wait_until_idle(5)
    assert answers.answered == 1
    channel.close()


def test_a_full_pool_doesnt_hold_up_what_needs_none(start: Start) -> None:
    """Guard 3: whoever waits for the outside takes no place from those who don't."""
    release = threading.Event()
    turns = iter([None, None, None, b"quick"])
    _, port = start(Answers(lambda: next(turns), lambda: release.wait(10) and b"slow"), threads=1, waiting=1)

    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(3) as pool:
        calls = [pool.submit(check, check_message(), timeout=10) for _ in range(3)]
        until(lambda: sum(call.done() for call in calls) == 1)
        assert check(check_message(), timeout=5) == b"quick"
        release.set()
        assert sorted(call.result() for call in calls) == [b"overloaded", b"slow", b"slow"]
    channel.close()


def test_a_queue_that_stands_is_cut_short_with_answers(start: Start) -> None:
    """Guard 3: what the library holds counts too. Hundreds at once: a few are checked, the others hear `overloaded`
    long before they would have been."""
    answers = Answers(lambda: time.sleep(0.005) or b"checked")
    _, port = start(answers)

    channel, _ = caller(f"127.0.0.1:{port}")
    send = channel.unary_unary(METHOD_PATH).future
    begun = time.monotonic()
    calls = [send(check_message(), timeout=10) for _ in range(400)]
    results = [call.result() for call in calls]
    took = time.monotonic() - begun

    assert set(results) == {b"checked", b"overloaded"}
    assert results.count(b"overloaded") > 200
    assert took < 400 * 0.005
    channel.close()


def test_a_call_given_up_before_its_turn_is_not_worked_on(start: Start) -> None:
    """Guard 3: while the receiving thread is busy with another."""
    release, begun = threading.Event(), threading.Semaphore(0)

    def act() -> bytes:
        begun.release()
        release.wait(10)
        return b"done"

    front, port = start(Answers(act))
    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(check, check_message(), timeout=10)
        assert begun.acquire(timeout=5)
        given_up = channel.unary_unary(METHOD_PATH).future(check_message(), timeout=10)
        second = pool.submit(check, check_message(), timeout=10)
        time.sleep(0.1)
        given_up.cancel()
        time.sleep(0.1)
        release.set()
        assert (first.result(), second.result()) == (b"done", b"done")
    until(lambda: front.admission.count == 0)
    assert begun.acquire(timeout=5)
    assert not begun.acquire(timeout=0.1)
    channel.close()


def test_a_message_over_the_limit_is_a_denial(start: Start) -> None:
    """Guard 5: refused before it is parsed, by the service."""
    _, port = start(service(FixedDecider(permit())))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}", options=[("grpc.max_send_message_length", -1)])

    answer = channel.unary_unary(METHOD_PATH)(b"\0" * (5 * 1024 * 1024), timeout=20)
    assert read_answer(answer).denied_response.status.code == 400
    channel.close()


def test_health_is_checked_and_watched(start: Start) -> None:
    """Guard 6: NOT_SERVING until told; watchers hear of changes; other services aren't known."""
    front, port = start(service(FixedDecider(permit())))
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    health = health_pb2_grpc.HealthStub(channel)
    ask = health_pb2.HealthCheckRequest

    assert health.Check(ask(service=SERVICE), timeout=5).status == NOT_SERVING
    watched = health.Watch(ask(), timeout=10)
    assert next(watched).status == NOT_SERVING
    front.serving(True)
    assert next(watched).status == SERVING
    assert health.Check(ask(), timeout=5).status == SERVING
    front.serving(False)
    assert next(watched).status == NOT_SERVING
    with pytest.raises(grpc.RpcError) as caught:
        health.Check(ask(service="other"), timeout=5)
    assert caught.value.code() is grpc.StatusCode.NOT_FOUND
    channel.close()


def test_stopping_waits_for_what_is_under_way(start: Start) -> None:
    """Guard 8: the library's own close drops calls in flight."""
    release = threading.Event()
    answers = Answers(lambda: None, lambda: release.wait(10) and b"done")
    front, port = start(answers)

    channel, check = caller(f"127.0.0.1:{port}")
    with ThreadPoolExecutor(1) as pool:
        call = pool.submit(check, check_message(), timeout=10)
        until(lambda: answers.answered == 1)
        wait = front.stop(10)
        assert not wait(0.05)
        release.set()
        assert call.result() == b"done"
        until(lambda: wait(0.05))
    channel.close()


def test_native_never_takes_an_address_that_should_have_tls() -> None:
    """Else what was meant for mTLS would be served in plaintext."""
    with pytest.raises(ListenError, match="knows no TLS"):
        choose("native", "127.0.0.1:9000", near=True, installed=True, tls=True)


@pytest.mark.parametrize(
    ("wanted", "address", "installed", "tls", "expected"),
    [
        ("auto", "unix:/run/authz.sock", True, False, "native"),
        ("auto", "unix:/run/authz.sock", True, True, "native"),
        ("auto", "127.0.0.1:9000", True, False, "native"),
        ("auto", "[::1]:9000", True, False, "native"),
        ("auto", "127.0.0.1:9000", True, True, "grpcio"),
        ("auto", "127.0.0.1:9000", False, False, "grpcio"),
        ("auto", "10.0.0.1:9000", True, False, "grpcio"),
        ("grpcio", "127.0.0.1:9000", True, False, "grpcio"),
        ("native", "127.0.0.1:9000", False, False, "native"),
    ],
)
def test_auto_takes_the_native_front_where_it_may_stand(
    wanted: str, address: str, installed: bool, tls: bool, expected: str
) -> None:
    """Installed, and a Unix socket or loopback without TLS; start-up says why."""
    chosen, why = choose(wanted, address, near=native_front.suits(address), installed=installed, tls=tls)

    assert chosen == expected
    assert why
