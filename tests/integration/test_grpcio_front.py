"""The grpcio front with a real client over real sockets; what decides is a fake."""

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
from google.protobuf.descriptor_pb2 import FileDescriptorProto
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from authz.model.spiffe import SpiffeId
from authz.server import grpcio_inside
from authz.server.front import ListenError
from authz.server.grpcio_front import GrpcioFront, GrpcioOptions, MutualTls
from authz.server.service import CheckService, Deadlines, Decider
from authz.server.tls import TlsFiles
from authz.wire.reflection import METHOD_PATH, SERVICE
from tests.fakes.deciders import (
    BlockingDecider,
    CallingDecider,
    FixedDecider,
    ListRecorder,
    RaisingDecider,
    denial,
    permit,
)
from tests.fakes.waiting import until
from tests.mint.check_messages import check_message, read_answer
from tests.mint.tls_material import Authority, Pair

GATEWAY = "spiffe://shop.example/ns/edge/sa/gateway"
SERVING = health_pb2.HealthCheckResponse.SERVING
NOT_SERVING = health_pb2.HealthCheckResponse.NOT_SERVING

Start = Callable[..., tuple[GrpcioFront, int]]


@pytest.fixture
def start() -> Iterator[Start]:
    """Starts fronts and stops them at the end; returns the front and its first port."""
    running: list[GrpcioFront] = []

    def begin(decider: Decider, *, address: str = "127.0.0.1:0", **options: Any) -> tuple[GrpcioFront, int]:
        recorder = options.pop("recorder", ListRecorder())
        service = CheckService(decider, (recorder,), deadlines=options.pop("deadlines", None))
        front = GrpcioFront(service, GrpcioOptions(addresses=(address,), **options))
        listening = front.start()
        running.append(front)
        return front, listening[0].port

    yield begin
    for front in running:
        front.stop(0)(5)
        front.close()


def caller(target: str) -> tuple[grpc.Channel, Callable[..., bytes]]:
    channel = grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)])
    return channel, channel.unary_unary(METHOD_PATH)


def code(answer: bytes) -> int:
    """0 for an allow, else the HTTP status of the denial."""
    read = read_answer(answer)
    return int(read.denied_response.status.code) if read.HasField("denied_response") else int(read.status.code)


def test_checks_are_answered_over_tcp(start: Start) -> None:
    """Bytes in, bytes out; allow and deny are both OK calls."""
    _, port = start(FixedDecider(permit()))
    _, other = start(FixedDecider(denial()))

    channel, check = caller(f"127.0.0.1:{port}")
    assert code(check(check_message(), timeout=5)) == 0
    channel.close()
    channel, check = caller(f"127.0.0.1:{other}")
    assert code(check(check_message(), timeout=5)) == 401
    channel.close()


def test_checks_are_answered_over_a_narrow_unix_socket(start: Start, tmp_path: Path) -> None:
    """Mode 0660 while it runs, gone when it stopped."""
    path = tmp_path / "authz.sock"
    front, _ = start(FixedDecider(permit()), address=f"unix:{path}")

    channel, check = caller(f"unix:{path}")
    assert code(check(check_message(), timeout=5)) == 0
    channel.close()
    assert stat.S_IMODE(path.stat().st_mode) == 0o660
    front.stop(0)(5)
    front.close()
    assert list(tmp_path.iterdir()) == []


def test_a_second_server_doesnt_take_the_socket_over(start: Start, tmp_path: Path) -> None:
    """It is refused and the first one goes on answering."""
    address = f"unix:{tmp_path / 'authz.sock'}"
    start(FixedDecider(permit()), address=address)

    with pytest.raises(ListenError):
        start(FixedDecider(denial()), address=address)

    channel, check = caller(address)
    assert code(check(check_message(), timeout=5)) == 0
    channel.close()


def test_an_occupied_port_is_said_in_words(start: Start) -> None:
    """No silent sharing of a port with another server."""
    _, port = start(FixedDecider(permit()))

    with pytest.raises(ListenError, match="another process listens on this port"):
        start(FixedDecider(permit()), address=f"127.0.0.1:{port}")


def test_an_exit_inside_a_decision_is_still_an_answer(start: Start) -> None:
    """SystemExit in a handler would otherwise mean no answer at all."""
    _, port = start(RaisingDecider(SystemExit(0)))
    channel, check = caller(f"127.0.0.1:{port}")

    assert code(check(check_message(), timeout=5)) == 503
    assert code(check(check_message(), timeout=5)) == 503
    channel.close()


def test_what_is_over_our_limit_is_denied_not_failed(start: Start) -> None:
    """Above gRPC's default of 4 MiB, below gRPC's raised limit: a denial."""
    _, port = start(FixedDecider(permit()))
    channel, check = caller(f"127.0.0.1:{port}")

    assert code(check(check_message(padding=5 * 1024 * 1024), timeout=10)) == 400
    channel.close()


def test_a_compressed_message_is_denied_uninflated(start: Start) -> None:
    """Envoy doesn't compress; a decompression bomb stays closed."""
    _, port = start(FixedDecider(permit()))
    channel, check = caller(f"127.0.0.1:{port}")

    answer = check(check_message(padding=100_000), timeout=5, compression=grpc.Compression.Gzip)

    assert code(answer) == 400
    channel.close()


def test_huge_metadata_is_refused(start: Start) -> None:
    """A header bomb ends at gRPC's door, and the connection's other calls go on."""
    _, port = start(FixedDecider(permit()))
    channel, check = caller(f"127.0.0.1:{port}")

    with pytest.raises(grpc.RpcError):
        check(check_message(), timeout=5, metadata=[("x-bomb", "a" * 100_000)])

    assert code(check(check_message(), timeout=5)) == 0
    channel.close()


def test_above_the_bound_the_answer_is_an_immediate_denial(start: Start) -> None:
    """Workers and queue full: the surplus is denied at once with status OK, health is answered, and what was
    admitted is still decided."""
    decider = BlockingDecider()
    front, port = start(decider, threads=2, waiting=2)
    front.serving(True)
    channel, check = caller(f"127.0.0.1:{port}")
    admitted = [check.future(check_message(), timeout=20) for _ in range(4)]
    decider.entered.acquire(timeout=5)
    decider.entered.acquire(timeout=5)
    until(lambda: front.admission.count == 4)

    began = time.monotonic()
    surplus = [code(check(check_message(), timeout=5)) for _ in range(20)]

    assert surplus == [503] * 20
    assert time.monotonic() - began < 4
    health = health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    assert health.status == SERVING
    decider.release.set()
    assert [code(future.result()) for future in admitted] == [0] * 4
    channel.close()


@pytest.mark.parametrize("inside", [True, False], ids=["on grpcio's thread", "the public way"])
def test_refusals_wait_for_nobody(start: Start, monkeypatch: pytest.MonkeyPatch, inside: bool) -> None:
    """Large messages too, which nobody reads; and whether or not grpcio's inside is as it is known."""
    if not inside:
        monkeypatch.setattr(grpcio_inside, "understood", lambda: False)
    decider = BlockingDecider()
    front, port = start(decider, threads=1, waiting=1)
    channel, check = caller(f"127.0.0.1:{port}")
    admitted = [check.future(check_message(), timeout=20) for _ in range(2)]
    until(lambda: front.admission.count == 2)

    refused = [check.future(b"\0" * size, timeout=10) for size in (0, 10, 2 * 1024 * 1024) for _ in range(20)]

    assert [code(each.result()) for each in refused] == [503] * 60
    decider.release.set()
    assert [code(each.result()) for each in admitted] == [0] * 2
    until(lambda: not front._server._state.rpc_states)
    channel.close()


def test_the_inside_of_grpcio_is_as_it_is_known() -> None:
    """With another grpcio refusals cost several times as much: look at `grpcio_inside` again before it is raised."""
    assert grpcio_inside.understood()


def test_an_inside_that_fails_costs_no_call(start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
    """The thread that takes calls in lives on, and the refusal goes the public way."""

    def fail(*_: object) -> bool:
        raise RuntimeError

    monkeypatch.setattr(grpcio_inside, "answer_here", fail)
    decider = BlockingDecider()
    front, port = start(decider, threads=1, waiting=0)
    channel, check = caller(f"127.0.0.1:{port}")
    admitted = check.future(check_message(), timeout=20)
    until(lambda: front.admission.count == 1)

    assert [code(check(check_message(), timeout=5)) for _ in range(3)] == [503] * 3
    decider.release.set()
    assert code(admitted.result()) == 0
    channel.close()


def test_a_queue_that_stands_is_cut_short_with_answers(start: Start) -> None:
    """Hundreds at once: a few are checked, the others hear `overloaded` long before they would have been."""
    _, port = start(CallingDecider(lambda: time.sleep(0.005)), threads=2, waiting=100)
    channel, check = caller(f"127.0.0.1:{port}")

    begun = time.monotonic()
    results = [code(each.result()) for each in [check.future(check_message(), timeout=10) for _ in range(400)]]
    took = time.monotonic() - begun

    assert set(results) == {0, 503}
    assert results.count(503) > 100
    assert took < 400 * 0.005
    channel.close()


def test_those_that_wait_for_the_outside_are_bounded_in_number_only(start: Start) -> None:
    """Slow answers from elsewhere are no reason to refuse what may wait."""
    decider = BlockingDecider()
    front, port = start(decider, threads=2, waiting=100)
    channel, check = caller(f"127.0.0.1:{port}")
    calls = [check.future(check_message(), timeout=20) for _ in range(2)]
    until(lambda: front.admission.count == 2)
    decider.entered.acquire(timeout=5)
    decider.entered.acquire(timeout=5)

    calls += [check.future(check_message(), timeout=20) for _ in range(90)]
    until(lambda: front.admission.count == 92)
    decider.release.set()

    assert [code(each.result()) for each in calls] == [0] * 92
    channel.close()


def test_a_caller_that_has_gone_costs_no_decision(start: Start) -> None:
    """A call cancelled while it waited is not decided."""
    decider = BlockingDecider()
    front, port = start(decider, threads=1, waiting=4)
    channel, check = caller(f"127.0.0.1:{port}")
    first = check.future(check_message(), timeout=20)
    decider.entered.acquire(timeout=5)
    waiting = check.future(check_message(), timeout=20)
    until(lambda: front.admission.count == 2)

    waiting.cancel()
    # Its reset is on the wire before this answer comes back on the same connection.
    health_pb2_grpc.HealthStub(channel).Check(health_pb2.HealthCheckRequest(), timeout=5)
    decider.release.set()

    assert code(first.result()) == 0
    assert front.admission.wait_until_idle(5)
    assert not decider.entered.acquire(blocking=False)
    channel.close()


def test_a_deadline_that_has_no_room_is_a_denial(start: Start) -> None:
    """A caller whose timeout is shorter than a decision gets no permit."""
    decider = FixedDecider(permit())
    _, port = start(decider, deadlines=Deadlines(margin=2.0))
    channel, check = caller(f"127.0.0.1:{port}")

    assert code(check(check_message(), timeout=1.5)) == 503
    assert code(check(check_message(), timeout=10)) == 0
    assert len(decider.requests) == 1
    channel.close()


def test_health_follows_what_the_service_says(start: Start) -> None:
    """NOT_SERVING until ready, under both names; Watch sees the change."""
    front, port = start(FixedDecider(permit()))
    channel, _ = caller(f"127.0.0.1:{port}")
    stub = health_pb2_grpc.HealthStub(channel)
    watch = stub.Watch(health_pb2.HealthCheckRequest(service=SERVICE), timeout=10)

    assert stub.Check(health_pb2.HealthCheckRequest(), timeout=5).status == NOT_SERVING
    assert next(watch).status == NOT_SERVING
    front.serving(True)
    assert next(watch).status == SERVING
    assert stub.Check(health_pb2.HealthCheckRequest(service=SERVICE), timeout=5).status == SERVING
    front.serving(False)
    assert next(watch).status == NOT_SERVING
    watch.cancel()
    with pytest.raises(grpc.RpcError) as unknown:
        stub.Check(health_pb2.HealthCheckRequest(service="nobody"), timeout=5)
    assert unknown.value.code() is grpc.StatusCode.NOT_FOUND
    channel.close()


def test_reflection_lists_and_describes_the_service(start: Start) -> None:
    """What grpcurl needs: the list, and a descriptor with the method."""
    _, port = start(FixedDecider(permit()))
    channel, _ = caller(f"127.0.0.1:{port}")
    ask = reflection_pb2.ServerReflectionRequest
    requests = iter([ask(list_services=""), ask(file_containing_symbol=SERVICE)])

    listed, described = reflection_pb2_grpc.ServerReflectionStub(channel).ServerReflectionInfo(requests, timeout=5)

    names = {service.name for service in listed.list_services_response.service}
    assert {SERVICE, "grpc.health.v1.Health"} <= names
    files = [FileDescriptorProto.FromString(text) for text in described.file_descriptor_response.file_descriptor_proto]
    assert any(service.method[0].name == "Check" for file in files for service in file.service)
    channel.close()


def test_other_methods_are_unimplemented(start: Start) -> None:
    """One method; the rest is gRPC's own answer."""
    _, port = start(FixedDecider(permit()))
    channel, _ = caller(f"127.0.0.1:{port}")

    with pytest.raises(grpc.RpcError) as error:
        channel.unary_unary("/envoy.service.auth.v3.Authorization/Other")(b"", timeout=5)

    assert error.value.code() is grpc.StatusCode.UNIMPLEMENTED
    channel.close()


def test_a_stop_lets_calls_in_flight_finish(start: Start) -> None:
    """Those at work and those waiting are answered within the grace; new ones aren't taken."""
    decider = BlockingDecider()
    front, port = start(decider, threads=1, waiting=4)
    channel, check = caller(f"127.0.0.1:{port}")
    calls = [check.future(check_message(), timeout=20) for _ in range(3)]
    until(lambda: front.admission.count == 3)

    finished = front.stop(10)
    decider.release.set()

    assert finished(10)
    assert [code(call.result()) for call in calls] == [0, 0, 0]
    with pytest.raises(OSError):
        socket.create_connection(("127.0.0.1", port), timeout=1)
    channel.close()


def test_a_stop_cuts_what_outlives_the_grace(start: Start) -> None:
    """A stuck check doesn't keep the process."""
    decider = BlockingDecider()
    front, port = start(decider, threads=1)
    channel, check = caller(f"127.0.0.1:{port}")
    call = check.future(check_message(), timeout=20)
    decider.entered.acquire(timeout=5)

    front.stop(60)
    front.stop(0)

    with pytest.raises(grpc.RpcError):
        call.result()
    decider.release.set()
    channel.close()


# --- mTLS ------------------------------------------------------------------------------------------------


class Mesh:
    """A CA, the server's files, and channels with a certificate of choice."""

    def __init__(self, directory: Path) -> None:
        self._directory = directory
        self.ca = Authority()
        self.files = TlsFiles(
            certificate=str(directory / "tls.crt"), key=str(directory / "tls.key"), client_ca=str(directory / "ca.crt")
        )
        self.rotate(self.ca)

    def rotate(self, ca: Authority) -> None:
        """New server certificate and client CA in the same files."""
        leaf = ca.leaf("spiffe://shop.example/ns/authz/sa/authz")
        for name, content in (("tls.crt", leaf.certificate), ("tls.key", leaf.key), ("ca.crt", ca.certificate)):
            fresh = self._directory / f".{name}"
            fresh.write_bytes(content)
            fresh.rename(self._directory / name)

    @property
    def tls(self) -> MutualTls:
        return MutualTls(material=self.files, allowed=(SpiffeId.parse(GATEWAY),))

    def check(self, port: int, pair: Pair | None, ca: Authority | None = None) -> int:
        credentials = grpc.ssl_channel_credentials(
            (ca or self.ca).certificate, pair.key if pair else None, pair.certificate if pair else None
        )
        options = [("grpc.use_local_subchannel_pool", 1)]
        with grpc.secure_channel(f"localhost:{port}", credentials, options=options) as channel:
            return code(channel.unary_unary(METHOD_PATH)(check_message(), timeout=5))


@pytest.fixture
def mesh(tmp_path: Path) -> Mesh:
    return Mesh(tmp_path)


def test_a_proxy_on_the_list_may_ask(start: Start, mesh: Mesh) -> None:
    """mTLS with exactly one URI SAN that is listed."""
    _, port = start(FixedDecider(permit()), tls=mesh.tls)

    assert mesh.check(port, mesh.ca.leaf(GATEWAY)) == 0


@pytest.mark.parametrize(
    "uris", [(), ("spiffe://shop.example/ns/shop/sa/orders",), (GATEWAY, "spiffe://shop.example/x")]
)
def test_a_proxy_that_is_not_on_the_list_is_denied(start: Start, mesh: Mesh, uris: tuple[str, ...]) -> None:
    """A certificate of the right CA isn't enough; no decision is made."""
    recorder = ListRecorder()
    decider = FixedDecider(permit())
    _, port = start(decider, tls=mesh.tls, recorder=recorder)

    assert mesh.check(port, mesh.ca.leaf(*uris)) == 403
    assert decider.requests == []
    assert len(recorder.records) == 1


def test_a_stranger_or_nobody_gets_no_connection(start: Start, mesh: Mesh) -> None:
    """Another CA's certificate, none at all, and plaintext fail in the handshake."""
    _, port = start(FixedDecider(permit()), tls=mesh.tls)

    for pair in (Authority().leaf(GATEWAY), None):
        with pytest.raises(grpc.RpcError):
            mesh.check(port, pair)
    channel, check = caller(f"127.0.0.1:{port}")
    with pytest.raises(grpc.RpcError):
        check(check_message(), timeout=5)
    channel.close()


def test_rotated_files_count_from_the_next_connection_on(start: Start, mesh: Mesh) -> None:
    """New CA, new server certificate, no restart: the new chain is accepted, the old one isn't."""
    _, port = start(FixedDecider(permit()), tls=mesh.tls)
    old = mesh.ca.leaf(GATEWAY)
    assert mesh.check(port, old) == 0

    fresh = Authority("second ca")
    mesh.rotate(fresh)

    assert mesh.check(port, fresh.leaf(GATEWAY), fresh) == 0
    with pytest.raises(grpc.RpcError):
        mesh.check(port, old, fresh)


def test_an_unreadable_key_is_said_in_words(start: Start, mesh: Mesh) -> None:
    """Nothing is bound when the key can't be used."""
    Path(mesh.files.key).unlink()

    with pytest.raises(ListenError, match=r"tls\.key: No such file"):
        start(FixedDecider(permit()), tls=mesh.tls)


def test_many_callers_get_their_own_answers(start: Start) -> None:
    """Concurrent calls on several connections are never cross-wired."""

    class Echo:
        def decide(self, request: Any, *, now: float, patience: Any = None) -> Any:
            from tests.fakes.deciders import Decided

            return Decided(permit(), revision=request.path.text)

    _, port = start(Echo(), threads=4)
    local = threading.local()

    def one(number: int) -> bool:
        if not hasattr(local, "check"):
            local.channel, local.check = caller(f"127.0.0.1:{port}")
        answer = read_answer(local.check(check_message(path=f"/n/{number}"), timeout=10))
        return answer.dynamic_metadata.fields["policy_revision"].string_value == f"/n/{number}"

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(one, range(400)))
