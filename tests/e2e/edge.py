"""The smallest real deployment: one authz, an application, a provider or two, and Envoys before it.

Owns: starting and asking it. Two Envoys share the one authz, one for each header mode (`encode_raw_headers`).
"""

from __future__ import annotations

import contextlib
import http.client
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from examples.store import envoys
from examples.store.audit import AuditTrail
from examples.store.client import Answer
from examples.store.processes import Process, Processes, accepts, free_ports
from examples.store.provider_web import ProviderServer
from examples.store.services import Application
from examples.store.store import copy_policy, is_ready

POLICY = Path(__file__).parent / "policy"
HOST = "shop.test"


@dataclass(frozen=True, slots=True, kw_only=True)
class Authz:
    """One running service."""

    process: Process
    port: int
    admin_port: int
    audit: AuditTrail


class Edge:
    """Made by `edge_running`; `policy` is the directory that its authz reads."""

    def __init__(self, directory: Path, processes: Processes) -> None:
        self.directory = directory
        self.processes = processes
        self.policy = directory / "policy"
        raw, joined, local, idp, partner = free_ports(5)
        self.ports = {True: raw, False: joined}
        self.idp = ProviderServer(idp)
        self.partner_idp = ProviderServer(partner)
        self.application = Application("application", local)
        self.instances: list[Authz] = []

    @property
    def authz(self) -> Authz:
        """The one started last."""
        return self.instances[-1]

    def issuers(self) -> dict[str, str]:
        """What stands in the policies for the providers, and where they really are."""
        return {
            "https://idp.shop.example": self.idp.provider.issuer,
            "https://idp.partner.example": self.partner_idp.provider.issuer,
        }

    def reserve_authz_port(self) -> int:
        """A port for an authz that starts later."""
        return free_ports(1)[0]

    def start_authz(self, **settings: str) -> Authz:
        """Another authz beside those that run already; `settings` are its flags, `_` for `-`."""
        port, admin_port = (
            int(last) if (last := settings.get(name, "").rpartition(":")[2]).isdigit() else free
            for name, free in zip(("listen", "admin_listen"), free_ports(2), strict=True)
        )
        name = f"authz-{len(self.instances)}"
        audit = self.directory / f"{name}.jsonl"
        flags = {
            "policy_dir": str(self.policy),
            "listen": f"127.0.0.1:{port}",
            "admin_listen": f"127.0.0.1:{admin_port}",
            "reload_interval": "100ms",
            "health_wait": "0s",
            "drain_grace": "5s",
            "keys_cooldown": "1s",
            "audit_file": str(audit),
            **settings,
        }
        options = [part for flag, value in flags.items() for part in (f"--{flag.replace('_', '-')}", value)]
        process = self.processes.start(name, [sys.executable, "-m", "authz", "serve", *options])
        process.wait_ready(lambda: is_ready(admin_port))
        instance = Authz(process=process, port=port, admin_port=admin_port, audit=AuditTrail(audit))
        self.instances.append(instance)
        return instance

    def start_envoy(
        self,
        *,
        raw: bool = True,
        authz_ports: tuple[int, ...] = (),
        local_port: int = 0,
        tunnels: bool = False,
        authz_socket: Path | None = None,
        guarded: bool = True,
    ) -> Process:
        """One Envoy; with several `authz_ports` its cluster has all of them, health-checked as at the gateway.

        With `tunnels` it would open one for CONNECT, if authz let it; with `authz_socket` it asks there. Not `guarded`:
        without what keeps one client's dropped requests from costing others their answers.
        """
        port = self.ports[raw]
        ports = authz_ports or (self.authz.port,)
        configuration = self.directory / f"envoy-{port}.yaml"
        values = {
            "LISTEN": "127.0.0.1",
            "PORT": port,
            "LOCAL_PORT": local_port or self.application.port,
            "AUTHZ_PORT": ports[0],
            "ENCODE_RAW_HEADERS": str(raw).lower(),
        }
        text = envoys.render("edge-single.yaml", values)
        text = _with_replacements(text, ports[1:]) if ports[1:] else text
        text = _with_tunnels(text) if tunnels else text
        text = text if guarded else _unguarded(text)
        configuration.write_text(_with_socket(text, authz_socket) if authz_socket else text)
        process = self.processes.start(f"envoy-{port}", envoys.command(configuration))
        process.wait_ready(lambda: accepts(port))
        return process

    def send(
        self,
        method: str,
        target: str,
        *,
        token: str = "",
        headers: Mapping[str, str] | None = None,
        raw: bool = True,
        host: str = HOST,
    ) -> Answer:
        """One request through an Envoy, on a connection of its own."""
        credential = {"Authorization": f"Bearer {token}"} if token else {}
        return send_plain(self.ports[raw], method, target, {"Host": host, **credential, **(headers or {})})

    def reason(self, answer: Answer) -> str:
        """Why, as authz recorded it; for a request that was allowed `allowed`."""
        seen = answer.document.get("headers")
        upstream = seen.get("x-authz-decision-id", "") if isinstance(seen, dict) else ""
        decision_id = upstream or answer.headers.get("x-authz-decision-id", "")
        return str(self.authz.audit.find(decision_id)["reason"])

    def add_route(self, name: str, *, file: str = "edge.yaml") -> None:
        """Make `GET /NAME` public, in one step as a deployment does it."""
        path = self.policy / file
        fresh = path.with_name(f".{path.name}.new")
        fresh.write_text(path.read_text() + public_route(name))
        fresh.replace(path)


def public_route(name: str) -> str:
    """One more route for the end of a policy file."""
    return f"  - id: {name}\n    match:\n      methods: [GET]\n      path: /{name}\n    allow: {{public: added}}\n"


def send_plain(port: int, method: str, target: str, headers: Mapping[str, str]) -> Answer:
    """One request over plain HTTP/1.1, the target exactly as given."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=15)
    try:
        connection.putrequest(method, target, skip_host=True, skip_accept_encoding=True)
        for name, value in headers.items():
            connection.putheader(name, value)
        connection.endheaders()
        response = connection.getresponse()
        received = {name.lower(): value for name, value in response.getheaders()}
        return Answer(status=response.status, headers=received, body=response.read())
    finally:
        connection.close()


@contextlib.contextmanager
def edge_prepared(directory: Path) -> Iterator[Edge]:
    """Providers, application and policy; no authz and no Envoy yet."""
    with Processes(directory) as processes, contextlib.ExitStack() as stack:
        edge = Edge(directory, processes)
        copy_policy(edge.policy, edge.issuers(), source=POLICY)
        for part in (edge.idp, edge.partner_idp, edge.application):
            stack.enter_context(part)
        yield edge


@contextlib.contextmanager
def edge_running(directory: Path) -> Iterator[Edge]:
    """All of it, with an Envoy for each header mode."""
    with edge_prepared(directory) as edge:
        edge.start_authz()
        edge.start_envoy(raw=True)
        edge.start_envoy(raw=False)
        yield edge


def _with_replacements(text: str, ports: tuple[int, ...]) -> str:
    """More endpoints for the authz cluster, with the health check and the retry policy of gateway.yaml."""
    configuration, documented = yaml.safe_load(text), _gateway()
    cluster = _authz_cluster(configuration)
    endpoints = cluster["load_assignment"]["endpoints"][0]["lb_endpoints"]
    for port in ports:
        address = {"socket_address": {"address": "127.0.0.1", "port_value": port}}
        endpoints.append({"endpoint": {"address": address}})
    cluster["health_checks"] = _authz_cluster(documented)["health_checks"]
    _check(configuration)["grpc_service"]["retry_policy"] = _check(documented)["grpc_service"]["retry_policy"]
    return yaml.safe_dump(configuration)


def _with_socket(text: str, path: Path) -> str:
    """The authz cluster on a Unix socket."""
    configuration = yaml.safe_load(text)
    endpoint = _authz_cluster(configuration)["load_assignment"]["endpoints"][0]["lb_endpoints"][0]["endpoint"]
    endpoint["address"] = {"pipe": {"path": str(path)}}
    return yaml.safe_dump(configuration)


def _unguarded(text: str) -> str:
    """No retries, and as many requests of a connection at once as it sends."""
    configuration = yaml.safe_load(text)
    del configuration["layered_runtime"], _authz_cluster(configuration)["circuit_breakers"]
    del _check(configuration)["grpc_service"]["retry_policy"]
    return yaml.safe_dump(configuration)


def _with_tunnels(text: str) -> str:
    """CONNECT switched on, with a route of its own."""
    configuration = yaml.safe_load(text)
    manager = _manager(configuration)
    manager["upgrade_configs"].append({"upgrade_type": "CONNECT"})
    tunnel = {
        "match": {"connect_matcher": {}},
        "route": {"cluster": "app", "upgrade_configs": [{"upgrade_type": "CONNECT", "connect_config": {}}]},
    }
    manager["route_config"]["virtual_hosts"][0]["routes"].insert(0, tunnel)
    return yaml.safe_dump(configuration)


def _gateway() -> dict[str, Any]:
    names = (
        "NODE",
        "LISTEN",
        "PORT",
        "EDGE_CERTIFICATE",
        "IDENTITY",
        "CA",
        "LOCAL_PORT",
        "AUTHZ_HOST",
        "AUTHZ_PORT",
        "AUTHZ_ID",
        "ENCODE_RAW_HEADERS",
    )
    configuration: dict[str, Any] = yaml.safe_load(envoys.render("gateway.yaml", dict.fromkeys(names, "0")))
    return configuration


def _authz_cluster(configuration: dict[str, Any]) -> dict[str, Any]:
    clusters = configuration["static_resources"]["clusters"]
    return next(each for each in clusters if each["name"] == "authz")


def _manager(configuration: dict[str, Any]) -> dict[str, Any]:
    chain = configuration["static_resources"]["listeners"][0]["filter_chains"][0]
    manager: dict[str, Any] = chain["filters"][0]["typed_config"]
    return manager


def _check(configuration: dict[str, Any]) -> dict[str, Any]:
    check: dict[str, Any] = _manager(configuration)["http_filters"][0]["typed_config"]
    return check
