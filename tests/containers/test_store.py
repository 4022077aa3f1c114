"""The store by `docker-compose.yml`: the demo's table through containers, and what keeps the containers apart."""

from __future__ import annotations

import json
import subprocess

import pytest

from examples.store.scenarios import SCENARIOS
from examples.store.store import SERVICES
from tests.containers.compose import Compose

_VISITORS = ("walk", "token", "welcome")


def test_the_demos_table(store: Compose) -> None:
    """Each request of the demo has its verdict, its reason and its sight of the upstream, from inside the networks."""
    table = store.say("run", "--rm", "walk")

    assert f"{len(SCENARIOS)} as expected, 0 different" in table


def test_everything_is_healthy(store: Compose) -> None:
    """Each container that stays has a health check, and it is content."""
    health = {service: store.health(service) for service in store.containers if service not in _VISITORS}

    assert set(health.values()) == {"healthy"}, health
    assert len(health) == 2 * len(SERVICES) + 7


def test_the_last_word_says_what_to_try(store: Compose) -> None:
    """Whoever brings it up reads at the end what to do next."""
    told = store.containers["welcome"].logs().decode()

    assert "The store is open. Try" in told
    assert str(store.port) in told


def test_a_login_from_outside(store: Compose) -> None:
    """The lines of the welcome work: a token from `token`, `curl` at the published port."""
    token = store.say("run", "--rm", "token", "alice").strip().splitlines()[-1]
    statuses = [_curl(store.port, path, token) for path in ("/orders/42", "/orders/7", "/healthz")]

    assert statuses == [200, 403, 200]


def test_only_the_edge_is_published_and_only_on_loopback(store: Compose) -> None:
    """Nobody else's machine reaches any of it."""
    published = {
        service: [binding["HostIp"] for binding in bindings]
        for service, container in store.containers.items()
        for bindings in container.attrs["NetworkSettings"]["Ports"].values()
        if bindings
    }

    assert published == {"gateway": ["127.0.0.1"]}


def test_every_container_is_locked_down(store: Compose) -> None:
    """Nobody is root, nothing can be written but what is mounted, no capability, limits for memory and processes."""
    for service, container in store.containers.items():
        config, host = container.attrs["Config"], container.attrs["HostConfig"]

        assert config["User"].split(":")[0] not in ("", "0", "root"), service
        assert host["ReadonlyRootfs"], service
        assert host["CapDrop"] == ["ALL"], service
        assert not host["CapAdd"], service
        assert not host["Privileged"], service
        assert host["SecurityOpt"] == ["no-new-privileges:true"], service
        assert host["Memory"] > 0, service
        assert host["PidsLimit"] > 0, service
        assert host["NanoCpus"] > 0, service


def test_no_secret_stands_in_the_environment(store: Compose) -> None:
    """What Docker tells about a container holds no password and no key: they stand in files."""
    passwords = json.loads(_file(store, "idp", "/store/secrets/passwords.json"))
    told = "".join(json.dumps(container.attrs) for container in store.containers.values())

    assert len(set(passwords.values())) == 4
    assert [name for name, password in passwords.items() if password in told] == []
    assert "PRIVATE KEY" not in told


def test_each_key_stands_with_its_owner_only(store: Compose) -> None:
    """A service's Envoy sees its own SVID and nobody else's."""
    for service in SERVICES:
        found = _run(store, f"{service}-envoy", "find /store -name 'svid.pem' 2>/dev/null").split()

        assert found == [f"/store/{service}/svid.pem"]


@pytest.mark.parametrize(
    ("source", "address", "port"),
    [
        ("gateway-envoy", "frontend", 8080),
        ("orders-envoy", "payments", 8080),
        ("gateway-envoy", "redis", 6379),
        ("inventory-envoy", "redis", 6379),
        ("frontend-envoy", "idp.shop.example", 443),
        ("gateway-envoy", "authz", 9001),
        ("redis", "authz", 9000),
        ("idp", "redis", 6379),
    ],
)
def test_what_must_not_meet_does_not(store: Compose, source: str, address: str, port: int) -> None:
    """No application is reached past its Envoy, no Envoy reaches Redis, a provider or authz's own pages."""
    assert not store.can_reach(source, address, port)


@pytest.mark.parametrize(
    ("source", "address", "port"),
    [
        ("gateway-envoy", "frontend", 8443),
        ("orders-envoy", "payments", 8443),
        ("orders-envoy", "authz", 9000),
        ("authz-1", "redis", 6379),
        ("authz-2", "idp.shop.example", 443),
    ],
)
def test_what_has_to_meet_does(store: Compose, source: str, address: str, port: int) -> None:
    """The check above isn't vacuous."""
    assert store.can_reach(source, address, port)


def test_a_revocation_is_in_force_at_once_in_both(store: Compose) -> None:
    """The last line of the welcome: said to one replica, the token is refused from then on."""
    token = store.say("run", "--rm", "token", "bob").strip().splitlines()[-1]
    before = _curl(store.port, "/orders/7", token)
    command = "authz revoke subject bob --issuer corp --why test"
    code, output = store.containers["authz-1"].exec_run(command.split())
    after = [_curl(store.port, "/orders/7", token) for _ in range(5)]

    assert code == 0, output
    assert (before, after) == (200, [401] * 5)


def test_a_second_start_keeps_identities_and_passwords(store: Compose) -> None:
    """The authority goes on with the roots that it made; nobody has to be told anything."""
    command = "cat /store/public/mesh-ca.pem; cat /store/secrets/passwords.json"
    before = _run(store, "ca", command)
    store.say("restart", "ca")
    after = _run(store, "ca", command)

    assert before == after
    assert _curl(store.port, "/healthz", "") == 200


def _curl(port: int, path: str, token: str) -> int:
    command = [
        "curl", "-sk", "-o", "/dev/null", "-w", "%{http_code}", "--max-time", "10",
        "--connect-to", f"www.shop.example:443:127.0.0.1:{port}",
        *(["-H", f"Authorization: Bearer {token}"] if token else []), f"https://www.shop.example{path}",
    ]  # fmt: skip
    return int(subprocess.run(command, capture_output=True, text=True, check=True).stdout)


def _file(store: Compose, service: str, path: str) -> str:
    return _run(store, service, f"cat {path}")


def _run(store: Compose, service: str, command: str) -> str:
    _, output = store.containers[service].exec_run(["sh", "-c", command])
    return str(output.decode())
