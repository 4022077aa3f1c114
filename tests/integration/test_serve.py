"""`authz serve` as a process: what it answers, how it reloads, how it ends, and what it says when it can't start."""

from __future__ import annotations

import http.client
import json
import shutil
import signal
import socket
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest

from authz.server.standing import CALLERS
from authz.wire.reflection import METHOD_PATH
from tests.fakes.processes import REPOSITORY, RunningService
from tests.mint.check_messages import check_message, read_answer

ORDERS = "spiffe://shop.example/ns/shop/sa/orders"
POLICIES = REPOSITORY / "tests" / "cases" / "cli" / "policies"
KEYS = """\
apiVersion: authz/v1
kind: Issuers
issuers:
  corp:
    issuer: https://idp.shop.example
    audiences: [shop-api]
    keys: {jwks_file: corp.json}
"""

Start = Callable[..., RunningService]


@pytest.fixture
def policy(tmp_path: Path) -> Path:
    """The shop's policies with keys from a file."""
    directory = tmp_path / "policy"
    shutil.copytree(POLICIES / "shop", directory)
    (directory / "issuers.yaml").write_text(KEYS)
    (directory / "corp.json").write_text('{"keys": []}')
    return directory


@pytest.fixture
def start(policy: Path) -> Iterator[Start]:
    running: list[RunningService] = []

    def begin(*arguments: str, listen: str = "127.0.0.1:0", wait: str = "0ms") -> RunningService:
        service = RunningService(
            "--policy",
            str(policy),
            "--listen",
            listen,
            "--admin-listen",
            "127.0.0.1:0",
            "--health-wait",
            wait,
            "--reload-interval",
            "100ms",
            *arguments,
        )
        running.append(service)
        return service

    yield begin
    for service in running:
        service.end()


def code_of(target: str, path: str = "/livez") -> int:
    """0 for an allow, else the HTTP status."""
    with grpc.insecure_channel(target, options=[("grpc.use_local_subchannel_pool", 1)]) as channel:
        answer = channel.unary_unary(METHOD_PATH)(check_message(path=path, destination=ORDERS), timeout=5)
    return int(read_answer(answer).denied_response.status.code)


def admin(port: int, target: str) -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
    connection.request("GET", target)
    answer = connection.getresponse()
    body = answer.read()
    connection.close()
    return answer.status, body


def test_it_decides_on_every_address_and_drains_on_sigterm(start: Start, tmp_path: Path) -> None:
    """Real decisions over TCP and a Unix socket, readiness, metrics and audit; SIGTERM ends it with 0."""
    audit = tmp_path / "audit.log"
    path = tmp_path / "authz.sock"
    service = start("--listen", f"unix:{path}", "--audit-file", str(audit))
    admin_port = service.event("admin")["port"]
    port = service.event("listening")["port"]
    service.event("started")

    assert code_of(f"127.0.0.1:{port}") == 0
    assert code_of(f"unix:{path}", "/orders/42") == 401
    assert code_of(f"unix:{path}", "/nowhere") == 403
    status, body = admin(admin_port, "/readyz?verbose")
    assert status == 200
    assert json.loads(body)["policy"]["policies"]["orders"]["status"] == "fresh"
    counted = b'authz_decisions_total{policy="orders",reason="allowed",result="allow"} 1.0'
    assert counted in admin(admin_port, "/metrics")[1]

    service.signal(signal.SIGTERM)

    assert service.wait() == 0
    assert not path.exists()
    records = [json.loads(line) for line in audit.read_text().splitlines()]
    assert [record["reason"] for record in records] == ["allowed", "credential_missing", "route_unmatched"]


def test_a_faulty_change_keeps_the_last_good_policy(start: Start, policy: Path) -> None:
    """The old version stays and the fault is logged; the corrected file is taken."""
    service = start()
    port = service.event("listening")["port"]
    service.event("started")
    good = (policy / "orders.yaml").read_text()

    (policy / "orders.yaml").write_text(good.replace("allow: {public", "alow: {public"))
    failed = service.event("policy_failed")
    assert any("orders.yaml" in fault for fault in failed["faults"])
    assert code_of(f"127.0.0.1:{port}") == 0

    (policy / "orders.yaml").write_text(good.replace("path: /livez", "path: /healthz"))
    service.event("policy_updated")
    assert code_of(f"127.0.0.1:{port}") == 403
    assert code_of(f"127.0.0.1:{port}", "/healthz") == 0


def test_sighup_reopens_the_audit_file(start: Start, tmp_path: Path) -> None:
    """After a rotation lines go to the new file."""
    audit = tmp_path / "audit.log"
    service = start("--audit-file", str(audit))
    port = service.event("listening")["port"]
    service.event("started")
    code_of(f"127.0.0.1:{port}")

    audit.rename(tmp_path / "audit.1")
    service.signal(signal.SIGHUP)
    code_of(f"127.0.0.1:{port}", "/after")
    service.signal(signal.SIGINT)

    assert service.wait() == 0
    assert "/after" in audit.read_text()


def test_checks_under_load_are_all_answered_while_it_drains(start: Start) -> None:
    """Every call that was taken before the stop gets its answer; so many at once are no overload on any machine."""
    service = start(wait="1s")
    port = service.event("listening")["port"]
    service.event("started")
    codes: list[int] = []
    with grpc.insecure_channel(f"127.0.0.1:{port}") as channel:
        check = channel.unary_unary(METHOD_PATH)
        message = check_message(path="/livez", destination=ORDERS)
        codes.append(read_answer(check(message, timeout=5)).status.code)
        service.signal(signal.SIGTERM)
        service.event("drain")
        calls = [check.future(message, timeout=5) for _ in range(CALLERS)]
        codes += [read_answer(call.result()).status.code for call in calls]

    assert codes == [0] * (1 + CALLERS)
    assert service.wait() == 0


def test_a_second_signal_ends_it_at_once(start: Start) -> None:
    """Who asks twice doesn't wait for the notice."""
    service = start(wait="10m")
    service.event("started")
    service.signal(signal.SIGTERM)
    service.event("drain")

    service.signal(signal.SIGTERM)

    assert service.wait(10) in (0, 1)


def test_an_issuer_that_is_down_makes_only_its_own_routes_503(start: Start, policy: Path) -> None:
    """It becomes ready although the provider can't be reached; routes without a token go on."""
    (policy / "issuers.yaml").write_text(KEYS.replace("{jwks_file: corp.json}", "{jwks_uri: https://127.0.0.1:1/keys}"))
    service = start("--keys-allow-private", "true")
    port = service.event("listening")["port"]
    admin_port_ready = service.event("keys_failed")

    assert admin_port_ready["name_of"] == "corp"
    assert code_of(f"127.0.0.1:{port}") == 0
    assert code_of(f"127.0.0.1:{port}", "/orders/42") == 401


@pytest.mark.parametrize(
    ("arguments", "code", "said"),
    [
        (["--policy", str(POLICIES / "platform-broken")], 3, "guardrails.yaml:3:7: error["),
        (["--policy", "/nonexistent"], 5, "can't be served"),
        (["--policy", str(POLICIES / "shop"), "--listen", "127.0.0.1:9", "--tls-cert", "/nonexistent"], 2, "tls.key"),
        (["--config", "/nonexistent.yaml"], 2, "/nonexistent.yaml"),
        (["--policy", str(POLICIES / "shop"), "--audit-file", "/nonexistent/audit.log"], 5, "/nonexistent/audit.log"),
        (["--policy", str(POLICIES / "shop"), "--listen", "unix:/nonexistent/a.sock"], 5, "unix:/nonexistent/a.sock"),
    ],
)
def test_what_cant_start_says_why_and_exits(arguments: list[str], code: int, said: str) -> None:
    """A code for scripts, a sentence for people, never a traceback."""
    ended = run("serve", "--admin-listen", "off", *arguments)

    assert ended.returncode == code
    assert said in ended.stderr
    assert "Traceback" not in ended.stderr


def test_all_faults_of_a_broken_policy_are_listed(tmp_path: Path) -> None:
    """Those of the platform's file and of the team's, each with its source line."""
    ended = run("serve", "--policy", str(POLICIES / "platform-broken"), "--admin-listen", "off")

    assert "orders.yaml:8:29: error[key-unknown]" in ended.stderr
    assert "  3 | bind: destinatoin" in ended.stderr


def test_an_occupied_port_exits_with_5() -> None:
    """For the gRPC and for the admin listener."""
    with socket.create_server(("127.0.0.1", 0)) as taken:
        address = f"127.0.0.1:{taken.getsockname()[1]}"
        policy = str(POLICIES / "shop")
        first = run("serve", "--policy", policy, "--admin-listen", "off", "--listen", address)
        second = run("serve", "--policy", policy, "--listen", "127.0.0.1:0", "--admin-listen", address)

    assert (first.returncode, second.returncode) == (5, 5)
    assert f"{address}: another process listens on this port" in first.stderr
    assert f"{address}: Address already in use" in second.stderr


def test_an_unreadable_key_exits_with_5(tmp_path: Path) -> None:
    """The file is named."""
    for name in ("tls.crt", "tls.key", "ca.crt"):
        (tmp_path / name).write_text("nothing")

    ended = run(
        "serve",
        "--policy",
        str(POLICIES / "shop"),
        "--admin-listen",
        "off",
        "--listen",
        "127.0.0.1:0",
        "--tls-cert",
        str(tmp_path / "tls.crt"),
        "--tls-key",
        str(tmp_path / "tls.key"),
        "--tls-client-ca",
        str(tmp_path / "ca.crt"),
        "--tls-may-connect",
        ORDERS,
    )

    assert ended.returncode == 5
    assert "tls.crt: no PEM certificates" in ended.stderr


def test_health_asks_a_running_service(start: Start) -> None:
    """SERVING once it is ready, exit code 0."""
    service = start()
    port = service.event("listening")["port"]
    service.event("started")

    for _ in range(50):
        ended = run("health", "--address", f"127.0.0.1:{port}")
        if ended.returncode == 0:
            break
        threading.Event().wait(0.1)

    assert (ended.returncode, ended.stdout) == (0, "SERVING\n")


def test_light_commands_import_no_server_libraries() -> None:
    """What makes `authz --version` and `authz lint` quick."""
    script = (
        "import sys\nfrom authz.cli import main\n"
        f"main(['lint', {str(POLICIES / 'shop')!r}])\n"
        "main(['explain', "
        f"{str(POLICIES / 'shop')!r}, 'GET', 'orders.shop.example/livez'])\n"
        "heavy = {'grpc', 'httpx', 'httpcore', 'opentelemetry', 'google.protobuf', 'asyncio'} & set(sys.modules)\n"
        "sys.exit(f'imported {heavy}' if heavy else 0)\n"
    )
    ended = python("-c", script)

    assert (ended.returncode, ended.stderr) == (0, "")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return python("-m", "authz", *arguments)


def python(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, *arguments], cwd=REPOSITORY, capture_output=True, text=True, timeout=60, check=False
    )
