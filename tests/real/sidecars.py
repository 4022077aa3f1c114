"""Envoys with SVIDs from SPIRE, an authz that they ask, and the certified provider: the mesh of these tests.

Owns: putting `sidecar.yaml`, `spire.yaml`, `tests.real.mesh` and `tests.real.edge` together. authz answers in
plaintext on loopback here; a sidecar's way to it over mTLS is what `tests/e2e/test_store.py` goes.
"""

from __future__ import annotations

import contextlib
import ssl
import sys
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Final, TypeVar

import httpx
import yaml

from examples.store import envoys
from examples.store.client import Answer, send
from examples.store.processes import Process, Processes, accepts, free_ports, wait_for
from tests.e2e.edge import send_plain
from tests.real.edge import POLICIES, ProviderEdge, short_directory
from tests.real.idp import RealProvider
from tests.real.mesh import TrustDomain

HOST: Final = "orders.test"
"""The protected application's name in the policies."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Sidecar:
    """One running Envoy. Whoever calls `outbound` acts as this workload."""

    process: Process
    spiffe_id: str
    inbound: int
    outbound: int


_Kind = TypeVar("_Kind", bound="Mesh")


class Mesh(ProviderEdge):
    """Made by `mesh_prepared`. `orders` protects the application, the other sidecars call it."""

    orders: Sidecar
    application_process: Process
    domains: tuple[TrustDomain, ...] = ()

    def trust(self, *domains: TrustDomain, verified_by: str = "certificate") -> None:
        """Policies that trust these domains, with the bundles that SPIRE has now."""
        chosen = {domain.name for domain in domains}
        document = yaml.safe_load((POLICIES / "trust.yaml").read_text())
        document["trustDomains"] = {name: each for name, each in document["trustDomains"].items() if name in chosen}
        document["peers"] |= {"verified_by": verified_by, "envoy_validates_per_domain": True}
        self.put_policies("issuers.yaml")
        partners = (POLICIES / "partners.yaml").read_text() if len(domains) > 1 else ""
        self.put("mesh.yaml", ((POLICIES / "mesh.yaml").read_text() + partners).encode())
        self.renew_bundles(*domains)
        self._put_trust(yaml.safe_dump(document).encode())

    def _put_trust(self, content: bytes) -> None:
        """In force when this returns, if authz runs already."""
        path = self.policy / "trust.yaml"
        news = bool(self.instances) and path.read_bytes() != content
        before = self.readiness()["policy"]["revision"] if news else ""
        self.put(path.name, content)
        if news:
            wait_for("the new policy", lambda: self.readiness()["policy"]["revision"] != before)

    def renew_bundles(self, *domains: TrustDomain) -> None:
        """`spire-server bundle show -format spiffe` into the files that authz reads."""
        for domain in domains:
            self.put(f"bundles/{domain.name}.json", domain.bundle())

    def start_orders(self, domain: TrustDomain, *, federated: bool = False, **changes: Any) -> Sidecar:
        """The Envoy before the application."""
        self.orders = self.start_sidecar(
            domain, domain.add("orders", **_entry(changes)), federated=federated, **changes
        )
        return self.orders

    def start_caller(self, domain: TrustDomain, name: str, *, federated: bool = False, **changes: Any) -> Sidecar:
        """The Envoy of a workload that calls the application."""
        return self.start_sidecar(domain, domain.add(name, **_entry(changes)), federated=federated, **changes)

    def start_sidecar(
        self,
        domain: TrustDomain,
        spiffe_id: str,
        *,
        federated: bool = False,
        connection_limit: str = "",
        authz_ports: tuple[int, ...] = (),
        **_: object,
    ) -> Sidecar:
        """One more Envoy; `connection_limit` replaces how long it keeps a connection."""
        inbound, outbound = free_ports(2)
        upstream = getattr(self, "orders", None)
        configuration = self.directory / f"envoy-{inbound}.yaml"
        text = envoys.render("sidecar.yaml", self._values(inbound, outbound), [_upstream(upstream)] if upstream else [])
        bundle = "ALL" if federated else f"spiffe://{domain.name}"
        with_spire = envoys.with_spire(text, spiffe_id=spiffe_id, bundle=bundle, agent_socket=domain.agent_socket)
        _ask_in_plaintext(with_spire, authz_ports or tuple(each.port for each in self.instances))
        if connection_limit:
            _limit_connections(with_spire, connection_limit)
        configuration.write_text(yaml.safe_dump(with_spire))
        process = self.processes.start(f"envoy-{inbound}", envoys.command(configuration))
        process.wait_ready(lambda: accepts(inbound) and accepts(outbound))
        return Sidecar(process=process, spiffe_id=spiffe_id, inbound=inbound, outbound=outbound)

    def call(
        self, caller: Sidecar, target: str, *, token: str = "", headers: Mapping[str, str] | None = None
    ) -> Answer:
        """One request of `caller` to the application, through both Envoys."""
        credential = {"Authorization": f"Bearer {token}"} if token else {}
        return send_plain(caller.outbound, "GET", target, {"Host": HOST, **credential, **(headers or {})})

    def send_tls(self, port: int, target: str, context: ssl.SSLContext) -> Answer:
        """One request straight to a sidecar's inbound side."""
        return send(port, "GET", target, host=HOST, tls=context)

    def readiness(self) -> dict[str, Any]:
        """What `/readyz?verbose` says."""
        url = f"http://127.0.0.1:{self.authz.admin_port}/readyz?verbose"
        document: dict[str, Any] = httpx.get(url, timeout=5, trust_env=False).json()
        return document

    def start_application(self) -> None:
        """The application, as a process of its own."""
        port = self.application.port
        command = [sys.executable, "-m", "tests.real.application", str(port)]
        self.application_process = self.processes.start("application", command)
        self.application_process.wait_ready(lambda: accepts(port))

    def bundle_size(self, domain: TrustDomain) -> int:
        """How many X.509 authorities authz has for a trust domain."""
        return int(self.readiness()["bundles"][domain.name]["size"])

    def outcome(self, caller: Sidecar, target: str, *, token: str = "") -> tuple[int, str]:
        """Status and recorded reason."""
        answer = self.call(caller, target, token=token)
        return answer.status, self.reason(answer)

    def _values(self, inbound: int, outbound: int) -> dict[str, object]:
        return {
            "NODE": f"sidecar-{inbound}",
            "LISTEN": "127.0.0.1",
            "PORT": inbound,
            "OUTBOUND_PORT": outbound,
            "LOCAL_PORT": self.application.port,
            "AUTHZ_HOST": "127.0.0.1",
            "AUTHZ_PORT": self.authz.port,
            "AUTHZ_ID": "spiffe://shop.example/authz",
            "ENCODE_RAW_HEADERS": "true",
            "IDENTITY": "",
            "CA": "",
        }


@contextlib.contextmanager
def mesh_prepared(kind: type[_Kind]) -> Iterator[_Kind]:
    """A directory, an application and a provider that isn't started; trust domains are the test's business."""
    with short_directory() as directory, Processes(directory) as processes:
        mesh = kind(directory, processes, RealProvider(directory, processes))
        mesh.start_application()
        yield mesh


def _entry(changes: Mapping[str, Any]) -> dict[str, Any]:
    return {name: changes[name] for name in ("lifetime", "federates_with") if name in changes}


def _upstream(orders: Sidecar) -> dict[str, object]:
    return {
        "UPSTREAM": "orders",
        "UPSTREAM_HOST": HOST,
        "UPSTREAM_ADDRESS": "127.0.0.1",
        "UPSTREAM_PORT": orders.inbound,
        "UPSTREAM_ID": orders.spiffe_id,
    }


def _ask_in_plaintext(configuration: dict[str, Any], ports: tuple[int, ...]) -> None:
    cluster = next(each for each in configuration["static_resources"]["clusters"] if each["name"] == "authz")
    del cluster["transport_socket"]
    cluster["load_assignment"]["endpoints"] = [
        {
            "lb_endpoints": [
                {"endpoint": {"address": {"socket_address": {"address": "127.0.0.1", "port_value": port}}}}
                for port in ports
            ]
        }
    ]


def _limit_connections(configuration: dict[str, Any], limit: str) -> None:
    for options in envoys.found(configuration, "common_http_protocol_options"):
        options["max_connection_duration"] = limit
