"""Trust bundles and our own certificate out of real SPIRE: the Workload API, and both profiles of bundle endpoints."""

from __future__ import annotations

import json
import socket
import ssl
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path

import grpc
import pytest
from cryptography import x509

from authz.authn.svid import import_bundle
from authz.cli import main
from authz.model.issuer import BundleEndpoint, EndpointProfile, PeerVerification, TrustSettings
from authz.model.spiffe import SpiffeId
from authz.sources.background import Surroundings
from authz.sources.bundles import BundleStore
from authz.sources.endpoint_bundles import EndpointBundle
from authz.sources.fetch import Fetcher, FetchRules
from authz.sources.schedule import RefreshRules
from authz.sources.state import Cause, Freshness, SourceState
from authz.sources.workload_api import WorkloadApi
from authz.wire.reflection import METHOD_PATH
from examples.store.processes import Processes, wait_for
from tests.fakes.processes import RunningService
from tests.mint.check_messages import check_message, read_answer
from tests.mint.tls_material import Authority
from tests.real.edge import short_directory
from tests.real.mesh import TrustDomain, federate

SHORT: int = 20
"""Seconds that SVIDs last here; SPIRE's agent renews them at half of it."""


class Domains:
    """Two federated trust domains, and our own entries in the first."""

    def __init__(self, directory: Path, processes: Processes) -> None:
        self.directory = directory
        self.web = Authority()
        self.shop = TrustDomain("shop.example", directory, processes, lifetime=SHORT)
        self.partner = TrustDomain("partner.example", directory, processes)
        federate(self.shop, self.partner)
        self.gateway = self.shop.add("gateway", dns=["localhost"], federates_with=["partner.example"])
        self.authz = self.shop.add("authz", dns=["localhost"], federates_with=["partner.example"])

    @property
    def socket(self) -> str:
        return f"unix:{self.shop.agent_socket}"


@pytest.fixture(scope="module")
def domains() -> Iterator[Domains]:
    with short_directory() as directory, Processes(directory) as processes:
        yield Domains(directory, processes)


@pytest.fixture
def connect(domains: Domains) -> Iterator[Callable[[str], WorkloadApi]]:
    """A Workload API client that shows one of our identities."""
    opened: list[WorkloadApi] = []

    def make(wanted: str) -> WorkloadApi:
        around = Surroundings(rules=RefreshRules(), clock=time.monotonic, random=lambda: 0.0, report=lambda event: None)
        api = WorkloadApi(domains.socket, around, wanted=wanted)
        api.start()
        opened.append(api)
        assert api.wait_for_svid(20)
        return api

    yield make
    for api in opened:
        api.close()


# --- the Workload API ---


def test_the_agent_hands_out_both_bundles_and_our_certificate(
    domains: Domains, connect: Callable[[str], WorkloadApi]
) -> None:
    """Ours is what the server itself shows; the partner's comes by federation; JWT keys are in both."""
    api = connect(domains.authz)
    expected = import_bundle(domains.shop.bundle(), "shop.example")

    found = api.bundle("shop.example")

    assert found is not None
    assert {each.fingerprint for each in found.authorities} == {each.fingerprint for each in expected.authorities}
    assert [key.kid for key in found.jwt_keys] == [key.kid for key in expected.jwt_keys] != []
    wait_for("the partner's bundle", lambda: api.bundle("partner.example") is not None, within=60)
    assert api.bundle("nobody.example") is None
    assert api.svid_state().freshness is Freshness.FRESH


def test_the_listener_rotates_its_certificate_under_a_standing_connection(
    domains: Domains, connect: Callable[[str], WorkloadApi], tmp_path: Path
) -> None:
    """`authz serve` with nothing but the socket: one call after the other on one connection, new handshakes beside."""
    client = connect(domains.gateway)
    service = _serve(domains, tmp_path)
    try:
        port = int(service.event("listening")["port"])
        with _channel(client, port) as standing:
            first, calls = _serial(client, port), 0
            while _serial(client, port) == first:
                _ask(standing)
                calls += 1
                assert calls < 600
                time.sleep(0.1)
            _ask(standing)
    finally:
        service.end()


def _serve(domains: Domains, directory: Path) -> RunningService:
    (directory / "platform.yaml").write_text(
        "apiVersion: authz/v1\nkind: TrustDomains\ntrustDomains:\n  shop.example: {bundle: {workload_api: true}}\n"
        "  partner.example: {bundle: {workload_api: true}}\npeers: {verified_by: certificate}\n"
    )
    return RunningService(
        "--policy",
        str(directory),
        "--listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
        "--tls-workload-api",
        domains.socket,
        "--tls-spiffe-id",
        domains.authz,
        "--tls-may-connect",
        domains.gateway,
    )


def _channel(client: WorkloadApi, port: int) -> grpc.Channel:
    serving = client.svid()
    assert serving is not None
    credentials = grpc.ssl_channel_credentials(serving.authorities, serving.svid.key, serving.svid.chain)
    return grpc.secure_channel(f"localhost:{port}", credentials, options=[("grpc.use_local_subchannel_pool", 1)])


def _ask(channel: grpc.Channel) -> None:
    """No policy matches, so the answer is a denial: one that only somebody gets who may ask."""
    answer = read_answer(channel.unary_unary(METHOD_PATH)(check_message(), timeout=5))
    reason = answer.dynamic_metadata.fields["reason"].string_value
    assert reason == "destination_unmatched"


def _serial(client: WorkloadApi, port: int) -> int:
    """The serial number of the certificate that a new handshake shows."""
    serving = client.svid()
    assert serving is not None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.load_verify_locations(cadata=serving.authorities.decode())
    context.set_alpn_protocols(["h2"])
    with short_directory() as directory:
        (directory / "c.pem").write_bytes(serving.svid.chain)
        (directory / "k.pem").write_bytes(serving.svid.key)
        context.load_cert_chain(directory / "c.pem", directory / "k.pem")
    with (
        socket.create_connection(("127.0.0.1", port), 5) as plain,
        context.wrap_socket(plain, server_hostname="localhost") as secure,
    ):
        return x509.load_der_x509_certificate(secure.getpeercert(True) or b"").serial_number


def test_readiness_and_the_command_line_show_what_the_agent_handed_out(domains: Domains, tmp_path: Path) -> None:
    """State, age, reason and source of each bundle and of our certificate."""
    service = _serve(domains, tmp_path)
    try:
        admin = service.event("admin")["port"]
        service.event("started")

        def report() -> dict[str, dict[str, dict[str, object]]]:
            with urllib.request.urlopen(f"http://127.0.0.1:{admin}/readyz?verbose", timeout=5) as answer:
                return json.load(answer)  # type: ignore[no-any-return] # as the test reads it

        wait_for("both bundles", lambda: report()["bundles"]["partner.example"]["state"] == "fresh", within=60)
        found = report()
        assert found["bundles"]["shop.example"]["reason"] == ""
        assert found["certificates"][domains.authz]["source"] == f"workload API {domains.socket}"
        with urllib.request.urlopen(f"http://127.0.0.1:{admin}/metrics", timeout=5) as answer:
            metrics = answer.read().decode()
        assert 'authz_bundle_state{reason="",state="fresh",trust_domain="shop.example"} 1.0' in metrics
        assert f'authz_svid_expires_seconds{{id="{domains.authz}"}}' in metrics
    finally:
        service.end()

    assert main(["bundle", "show", str(tmp_path), "--keys-workload-api", domains.socket]) == 0


def test_an_agent_that_dies_and_comes_back(domains: Domains, connect: Callable[[str], WorkloadApi]) -> None:
    """What was known goes on serving; a new connection is found without anybody's help."""
    api = connect(domains.authz)

    domains.shop.agent.kill()
    wait_for("the loss to show", lambda: api.bundle_state("shop.example").freshness is Freshness.STALE, within=20)
    assert api.bundle("shop.example") is not None
    domains.shop.restart_agent()

    wait_for("the agent again", lambda: api.bundle_state("shop.example").freshness is Freshness.FRESH, within=90)
    assert api.svid_state().error == ""


# --- bundle endpoints ---


class Endpoint:
    """A store with one trust domain's bundle from SPIRE's own endpoint."""

    def __init__(
        self, directory: Path, domain: TrustDomain, endpoint: BundleEndpoint, ca_file: Path | None = None
    ) -> None:
        rules = FetchRules(allow_private=True, ca_file=ca_file)
        self.store = BundleStore(directory, fetch=Fetcher(rules).get)
        trust = TrustSettings(bundles={domain.name: endpoint}, verified_by=PeerVerification.CERTIFICATE)
        plan = self.store.prepare(trust)
        assert plan.faults == ()
        source = plan.sources[domain.name][1]
        assert isinstance(source, EndpointBundle)
        self.source = source

    def fetch(self) -> SourceState:
        """One attempt now."""
        self.source.ask()
        self.source.step()
        return self.source.state()

    @property
    def sequence(self) -> int:
        bundle = self.source.bundle()
        assert bundle is not None and bundle.sequence is not None
        return bundle.sequence


def _by_spiffe(domain: TrustDomain, directory: Path, server: str = "spire/server") -> BundleEndpoint:
    (directory / "bootstrap.json").write_bytes(domain.bundle())
    return BundleEndpoint(
        url=domain.bundle_url,
        profile=EndpointProfile.SPIFFE,
        endpoint_id=SpiffeId.parse(f"spiffe://{domain.name}/{server}"),
        bootstrap="bootstrap.json",
    )


def test_https_spiffe_follows_the_authorities_of_the_partner(domains: Domains, tmp_path: Path) -> None:
    """The endpoint's certificate is judged by the bundle; a new authority raises the sequence number."""
    partner = domains.partner
    endpoint = Endpoint(tmp_path, partner, _by_spiffe(partner, tmp_path))
    assert endpoint.fetch().error == ""
    before = endpoint.sequence

    partner.prepare_authority()
    assert endpoint.fetch().size == 2
    assert endpoint.sequence > before
    partner.activate_authority()
    # The endpoint changes its own certificate to the new authority in its own time; either is known by now.
    assert endpoint.fetch().error == ""


def test_https_spiffe_refuses_another_workload_at_the_endpoint(domains: Domains, tmp_path: Path) -> None:
    """SPIRE's certificate bears another ID than the one that was agreed on."""
    endpoint = Endpoint(tmp_path, domains.partner, _by_spiffe(domains.partner, tmp_path, "somebody/else"))

    state = endpoint.fetch()

    assert (state.cause, state.error) == (Cause.TLS, "the endpoint shows another SPIFFE ID than endpoint_spiffe_id")


def test_https_web_asks_the_ca_file(tmp_path: Path) -> None:
    """SPIRE serving its bundle with an ordinary certificate."""
    web = Authority()
    (tmp_path / "ca.pem").write_bytes(web.certificate)
    with short_directory() as directory, Processes(directory) as processes:
        domain = TrustDomain("web.example", directory, processes, web=web)
        domain.start_server()
        endpoint = BundleEndpoint(url=domain.bundle_url)

        assert Endpoint(tmp_path, domain, endpoint, tmp_path / "ca.pem").fetch().size == 1
        assert Endpoint(tmp_path, domain, endpoint).fetch().cause is Cause.TLS
