"""Kinds of request through a real Envoy: HEAD, preflight, WebSocket, CONNECT, gRPC."""

from __future__ import annotations

import socket
import threading
from collections.abc import Iterator
from pathlib import Path

import grpc
import pytest
from websockets.exceptions import InvalidStatus
from websockets.sync.client import connect
from websockets.sync.server import ServerConnection, serve

from examples.store.processes import free_ports
from examples.store.provider_web import log_in
from tests.e2e.edge import HOST, Edge, edge_prepared

_ORIGIN = {"Origin": "https://www.shop.test"}


def test_head_is_allowed_where_it_is_listed(edge: Edge, alice: str) -> None:
    """HEAD reaches the application like any other method; its answer has no body."""
    answer = edge.send("HEAD", "/both", token=alice)

    assert (answer.status, answer.body) == (200, b"")


def test_head_is_not_in_get(edge: Edge, alice: str) -> None:
    """A route for GET says nothing about HEAD; a denied HEAD has no body either."""
    answer = edge.send("HEAD", "/own/alice", token=alice)

    assert (answer.status, answer.body) == (403, b"")
    assert edge.reason(answer) == "method_unmatched"


def test_a_preflight_needs_no_token(edge: Edge) -> None:
    """Browsers ask before they send what needs a token."""
    headers = {**_ORIGIN, "Access-Control-Request-Method": "PUT"}

    answer = edge.send("OPTIONS", "/both", headers=headers)

    assert answer.status == 200
    assert answer.document["method"] == "OPTIONS"


@pytest.mark.parametrize(
    "headers",
    [{**_ORIGIN, "Access-Control-Request-Method": "DELETE"}, _ORIGIN, {"Access-Control-Request-Method": "PUT"}],
)
def test_any_other_options_request_is_refused(edge: Edge, headers: dict[str, str]) -> None:
    """A method that no route has, or what isn't a preflight at all."""
    answer = edge.send("OPTIONS", "/both", headers=headers)

    assert answer.status == 403
    assert edge.reason(answer) == "method_unmatched"


def test_connect_makes_no_tunnel(edge: Edge) -> None:
    """The templates have no tunnels: Envoy has no route for CONNECT."""
    assert _connect_status(edge.ports[True]) == 404


def test_connect_is_refused_even_where_envoy_would_tunnel(own_edge: Edge) -> None:
    """An Envoy with CONNECT switched on asks, and authz never judges a tunnel by routes."""
    edge = own_edge
    edge.start_authz()
    edge.start_envoy(tunnels=True)

    status = _connect_status(edge.ports[True])

    assert status == 400
    assert [line["reason"] for line in edge.authz.audit.lines()] == ["request_malformed"]


def test_envoy_asks_over_a_unix_socket(own_edge: Edge, tmp_path: Path) -> None:
    """Beside Envoy on one machine a socket file is the safest address; decisions are the same."""
    edge = own_edge
    path = tmp_path / "authz.sock"
    edge.start_authz(listen=f"unix:{path}")
    edge.start_envoy(authz_socket=path)

    answers = [edge.send("GET", target) for target in ("/healthz", "/both")]

    assert [answer.status for answer in answers] == [200, 401]
    assert path.stat().st_mode & 0o007 == 0


@pytest.fixture(scope="module")
def chat(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Edge, str]]:
    """An Envoy before a WebSocket application that repeats what it hears, and a token."""
    with edge_prepared(tmp_path_factory.mktemp("chat")) as edge:
        port = free_ports(1)[0]
        with serve(_repeat, "127.0.0.1", port) as server:
            thread = threading.Thread(target=server.serve_forever, daemon=True)
            thread.start()
            edge.start_authz()
            edge.start_envoy(local_port=port)
            yield edge, log_in(edge.idp.provider.issuer, "alice")
            server.shutdown()
            thread.join(5)


def test_a_websocket_opens_with_a_token(chat: tuple[Edge, str]) -> None:
    """The upgrade is judged like a request; after it frames pass both ways."""
    edge, token = chat

    with _dial(edge, "/chat", token) as conversation:
        conversation.send("hello")
        answer = conversation.recv(timeout=5)

    assert answer == "hello"


def test_a_websocket_stays_shut_without_a_token(chat: tuple[Edge, str]) -> None:
    """No upgrade happens when the request is denied."""
    edge, _ = chat

    with pytest.raises(InvalidStatus) as refused, _dial(edge, "/chat", ""):
        pass

    assert refused.value.response.status_code == 401


def test_an_upgrade_takes_only_routes_for_upgrades(chat: tuple[Edge, str]) -> None:
    """Neither does an upgrade take an ordinary route, nor an ordinary request a route for upgrades."""
    edge, token = chat

    with pytest.raises(InvalidStatus) as refused, _dial(edge, "/both", token):
        pass
    plain = edge.send("GET", "/chat", token=token)

    assert refused.value.response.status_code == 403
    assert plain.status == 403


def test_a_grpc_caller_gets_a_grpc_status(edge: Edge, alice: str) -> None:
    """Without a token UNAUTHENTICATED, on another method PERMISSION_DENIED: no HTTP status to guess from."""
    with grpc.insecure_channel(f"127.0.0.1:{edge.ports[True]}", options=[("grpc.default_authority", HOST)]) as channel:
        anonymous = _call(channel, "/shop.v1.Things/Get", "")
        elsewhere = _call(channel, "/shop.v1.Things/Delete", alice)

    assert anonymous == grpc.StatusCode.UNAUTHENTICATED
    assert elsewhere == grpc.StatusCode.PERMISSION_DENIED


def _connect_status(port: int) -> int:
    with socket.create_connection(("127.0.0.1", port), timeout=5) as connection:
        connection.sendall(f"CONNECT {HOST}:443 HTTP/1.1\r\nHost: {HOST}:443\r\n\r\n".encode())
        return int(connection.recv(4096).split()[1])


def _repeat(conversation: ServerConnection) -> None:
    for message in conversation:
        conversation.send(message)


def _dial(edge: Edge, path: str, token: str) -> connect:
    connection = socket.create_connection(("127.0.0.1", edge.ports[True]), timeout=5)
    headers = {"Authorization": f"Bearer {token}"} if token else {}
    return connect(f"ws://{HOST}{path}", sock=connection, additional_headers=headers, proxy=None)


def _call(channel: grpc.Channel, method: str, token: str) -> grpc.StatusCode:
    metadata = (("authorization", f"Bearer {token}"),) if token else ()
    try:
        channel.unary_unary(method)(b"", metadata=metadata, timeout=5)
    except grpc.RpcError as error:
        return error.code()
    return grpc.StatusCode.OK
