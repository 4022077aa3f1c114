"""The whole store, running on loopback: composition root of the example.

Owns: which service is who, calls whom and listens where; the directory that everything runs in. Must not: send
requests (see `client`) or judge answers (see `scenarios`). Leaving the `with` block ends all of it.
"""

from __future__ import annotations

import contextlib
import http.client
import shutil
import sys
import tempfile
import threading
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from examples.store import client, envoys
from examples.store.audit import AuditTrail
from examples.store.ca import SVID_LIFETIME, Authority, KeyPair
from examples.store.processes import Process, Processes, free_ports
from examples.store.provider import Provider
from examples.store.provider_web import ProviderServer, batch_token, log_in
from examples.store.services import Application

POLICY = Path(__file__).parent / "policy"
TRUST_DOMAIN = "shop.example"
PUBLIC_HOST = "www.shop.example"
AUTHZ_ID = f"spiffe://{TRUST_DOMAIN}/ns/authz/sa/authz"


@dataclass(frozen=True, slots=True, kw_only=True)
class Service:
    """One service: its identity, the services that it calls."""

    name: str
    namespace: str
    calls: tuple[str, ...] = ()

    @property
    def spiffe_id(self) -> str:
        return f"spiffe://{TRUST_DOMAIN}/ns/{self.namespace}/sa/{self.name}"

    @property
    def host(self) -> str:
        return f"{self.name}.{TRUST_DOMAIN}"


GATEWAY = Service(name="gateway", namespace="edge", calls=("frontend", "user-profile", "payments"))
SIDECARS = (
    Service(name="frontend", namespace="shop", calls=("orders",)),
    Service(name="orders", namespace="shop", calls=("inventory", "payments")),
    Service(name="payments", namespace="pay"),
    Service(name="inventory", namespace="shop"),
    Service(name="user-profile", namespace="shop"),
)
SERVICES = {service.name: service for service in (GATEWAY, *SIDECARS)}
PREFIXES = {"frontend": "/orders/", "user-profile": "/profiles/", "payments": "/webhooks/"}
"""What the gateway passes on to whom."""
OTHER_WORKLOADS = {
    "nightly-batch": f"spiffe://{TRUST_DOMAIN}/ns/jobs/sa/nightly-batch",
    "old-reports": f"spiffe://{TRUST_DOMAIN}/ns/legacy/sa/reports",
}
"""Callers without a service of their own."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Ports:
    """`inbound` is Envoy's, `local` the application's, `outbound` Envoy's for the application's own calls."""

    inbound: int
    local: int
    outbound: int


@dataclass(slots=True)
class Identities:
    """SVIDs in files that are replaced by a rename, so that whoever reads them never sees half a file."""

    directory: Path
    authority: Authority
    mode: int = 0o600
    """Of the files with keys."""
    ids: dict[str, str] = field(default_factory=dict)

    def add(self, name: str, spiffe_id: str) -> Path:
        """Mint for `name`; the file that its Envoy reads, with an `identity.yaml` beside it."""
        place = self.directory / name
        place.mkdir(mode=0o700, exist_ok=True)
        self.ids[name] = spiffe_id
        self._write(name)
        values = {"SVID": self.svid(name), "SVID_DIRECTORY": place}
        (place / "identity.yaml").write_text(envoys.render("identity.yaml", values))
        return self.svid(name)

    def svid(self, name: str) -> Path:
        return self.directory / name / "svid.pem"

    def renew(self) -> None:
        for name in self.ids:
            self._write(name)

    def _write(self, name: str) -> None:
        write_secret(self.svid(name), self.authority.svid(self.ids[name]), mode=self.mode)


def write_secret(path: Path, pair: KeyPair, *, mode: int = 0o600) -> None:
    """Key and certificate in one file, readable by its owner, in place all at once."""
    replace_file(path, pair.pem, mode=mode)


def replace_file(path: Path, content: bytes, *, mode: int = 0o644) -> None:
    """As an editor or a deployment does it: the new file takes the old one's place whole."""
    fresh = path.with_name(f".{path.name}.new")
    fresh.unlink(missing_ok=True)
    fresh.touch(mode=mode)
    fresh.write_bytes(content)
    fresh.replace(path)


class Store:
    """Everything that runs. Make it with `running()`."""

    def __init__(
        self, directory: Path, processes: Processes, *, raw_headers: bool, replacements: Mapping[str, str]
    ) -> None:
        self.directory = directory
        self.processes = processes
        self.policy = directory / "policy"
        self.mesh_ca = Authority("the store's mesh", trust_domain=TRUST_DOMAIN)
        self.web_ca = Authority("the store's public door")
        self.identities = Identities(directory / "identities", self.mesh_ca)
        ports = iter(free_ports(3 * len(SERVICES) + 6))
        self.ports = {name: Ports(inbound=next(ports), local=next(ports), outbound=next(ports)) for name in SERVICES}
        self.authz_port, self.admin_port = next(ports), next(ports)
        self.idp = ProviderServer(next(ports))
        self.partner_idp = ProviderServer(next(ports))
        self.unknown_idp = ProviderServer(next(ports))
        self.audit = AuditTrail(directory / "logs" / "audit.jsonl")
        self._raw_headers = raw_headers
        self._replacements = {
            "https://idp.shop.example": self.idp.provider.issuer,
            "https://idp.partner.example": self.partner_idp.provider.issuer,
            **replacements,
        }

    @property
    def web_ca_file(self) -> Path:
        return self.directory / "web-ca.pem"

    @property
    def mesh_ca_file(self) -> Path:
        return self.directory / "mesh-ca.pem"

    @property
    def providers(self) -> Mapping[str, Provider]:
        servers = {"corp": self.idp, "partner": self.partner_idp, "unknown": self.unknown_idp}
        return {name: server.provider for name, server in servers.items()}

    def door(self, service: str) -> tuple[str, int]:
        return "127.0.0.1", self.ports[service].inbound

    def svid(self, workload: str) -> Path:
        return self.identities.svid(workload)

    def log_in(self, name: str) -> str:
        return log_in(self.idp.provider.issuer, name)

    def batch_token(self) -> str:
        return batch_token(self.idp.provider.issuer)

    def write_files(self) -> None:
        """Certificates, identities, and the policy with the providers' real addresses in it."""
        self.identities.directory.mkdir(mode=0o700)
        self.web_ca_file.write_bytes(self.web_ca.certificate)
        self.mesh_ca_file.write_bytes(self.mesh_ca.certificate)
        write_secret(self.directory / "edge.pem", self.web_ca.server(PUBLIC_HOST))
        owners = {name: service.spiffe_id for name, service in SERVICES.items()}
        for name, spiffe_id in {**owners, **OTHER_WORKLOADS, "authz": AUTHZ_ID}.items():
            self.identities.add(name, spiffe_id)
        copy_policy(self.policy, self._replacements)
        bundle = self.policy / "platform" / "bundles" / "shop.json"
        bundle.parent.mkdir(exist_ok=True)
        bundle.write_bytes(self.mesh_ca.bundle())

    def start_authz(self) -> Process:
        configuration = self.directory / "authz.yaml"
        configuration.write_text(self._authz_configuration())
        command = [sys.executable, "-m", "authz", "serve", "--config", str(configuration)]
        process = self.processes.start("authz", command)
        process.wait_ready(lambda: is_ready(self.admin_port))
        return process

    def start_envoys(self) -> None:
        started = [(self._start_envoy(service), service) for service in SERVICES.values()]
        for process, service in started:
            process.wait_ready(lambda service=service: self._answers(service))

    def applications(self) -> list[Application]:
        return [Application(name, ports.local, outbound=ports.outbound) for name, ports in self.ports.items()]

    def envoy_values(self, service: Service) -> dict[str, object]:
        """What fills the template of one service's Envoy."""
        ports = self.ports[service.name]
        return {
            "NODE": service.name,
            "LISTEN": "127.0.0.1",
            "PORT": ports.inbound,
            "LOCAL_PORT": ports.local,
            "OUTBOUND_PORT": ports.outbound,
            "CA": self.mesh_ca_file,
            "EDGE_CERTIFICATE": self.directory / "edge.pem",
            "IDENTITY": self.identities.directory / service.name / "identity.yaml",
            "AUTHZ_HOST": "127.0.0.1",
            "AUTHZ_PORT": self.authz_port,
            "AUTHZ_ID": AUTHZ_ID,
            "ENCODE_RAW_HEADERS": str(self._raw_headers).lower(),
        }

    def _answers(self, service: Service) -> bool:
        """Whether the way through this Envoy, authz and the application is open, by its public health route."""
        host = PUBLIC_HOST if service is GATEWAY else service.host
        tls = client.mesh(self.web_ca_file if service is GATEWAY else self.mesh_ca_file, None)
        try:
            answer = client.send(self.ports[service.name].inbound, "GET", "/healthz", host=host, tls=tls)
        except OSError:
            return False
        return answer.status == 200

    def _start_envoy(self, service: Service) -> Process:
        configuration = self.directory / f"envoy-{service.name}.yaml"
        template = "gateway.yaml" if service is GATEWAY else "sidecar.yaml"
        upstreams = [self._upstream(SERVICES[name]) for name in service.calls]
        configuration.write_text(envoys.render(template, self.envoy_values(service), upstreams))
        return self.processes.start(f"envoy-{service.name}", envoys.command(configuration))

    def _upstream(self, service: Service) -> dict[str, object]:
        return {
            "UPSTREAM": service.name,
            "UPSTREAM_HOST": service.host,
            "UPSTREAM_ADDRESS": "127.0.0.1",
            "UPSTREAM_PORT": self.ports[service.name].inbound,
            "UPSTREAM_ID": service.spiffe_id,
            "PREFIX": PREFIXES.get(service.name, "/"),
        }

    def _authz_configuration(self) -> str:
        may_connect = ", ".join(service.spiffe_id for service in SERVICES.values())
        return envoys.fill(
            (Path(__file__).parent / "authz.yaml").read_text(),
            {
                "POLICY": self.policy,
                "PORT": self.authz_port,
                "ADMIN_PORT": self.admin_port,
                "SVID": self.identities.svid("authz"),
                "CA": self.mesh_ca_file,
                "MAY_CONNECT": may_connect,
                "AUDIT": self.audit.file,
            },
        )


@contextlib.contextmanager
def running(*, raw_headers: bool = True, replacements: Mapping[str, str] | None = None) -> Iterator[Store]:
    """Start everything, yield it, stop everything; `StartFailed` says what did not come up.

    `replacements` are further changes to the policies' text before anything reads it.
    """
    with contextlib.ExitStack() as stack:
        directory = Path(stack.enter_context(tempfile.TemporaryDirectory(prefix="authz-store-")))
        (directory / "logs").mkdir()
        processes = stack.enter_context(Processes(directory / "logs"))
        store = Store(directory, processes, raw_headers=raw_headers, replacements=replacements or {})
        store.write_files()
        for part in (store.idp, store.partner_idp, store.unknown_idp, *store.applications()):
            stack.enter_context(part)
        store.start_authz()
        store.start_envoys()
        stack.enter_context(_renewing(store.identities))
        yield store


def copy_policy(target: Path, replacements: Mapping[str, str], *, source: Path | None = None) -> None:
    """A working copy of the policy directory, the issuers' addresses replaced by where they really listen."""
    shutil.copytree(source or POLICY, target)
    for file in target.rglob("*.yaml"):
        text = file.read_text()
        for old, new in replacements.items():
            text = text.replace(old, new)
        file.write_text(text)


@contextlib.contextmanager
def _renewing(identities: Identities) -> Iterator[None]:
    """Fresh SVIDs at half their lifetime, as an issuer in a mesh would hand them out."""
    ended = threading.Event()

    def renew() -> None:
        while not ended.wait(SVID_LIFETIME.total_seconds() / 2):
            identities.renew()

    thread = threading.Thread(target=renew, name="renew", daemon=True)
    thread.start()
    try:
        yield
    finally:
        ended.set()
        thread.join()


def is_ready(admin_port: int) -> bool:
    """Whether authz says that it has its policy and tried its issuers."""
    connection = http.client.HTTPConnection("127.0.0.1", admin_port, timeout=2)
    try:
        connection.request("GET", "/readyz")
        return connection.getresponse().status == 200
    except OSError:
        return False
    finally:
        connection.close()
