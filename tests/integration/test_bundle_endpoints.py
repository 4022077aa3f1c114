"""Bundle endpoints over real TLS: who may answer, what is refused, and that one that hangs holds up no other."""

from __future__ import annotations

import json
import socket
import ssl
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.x509.oid import ExtendedKeyUsageOID

from authz.authn.svid import import_bundle
from authz.model.issuer import BundleEndpoint, EndpointProfile, PeerVerification, TrustSettings
from authz.model.spiffe import SpiffeId
from authz.sources.bundles import BundleStore
from authz.sources.endpoint_bundles import EndpointBundle
from authz.sources.fetch import Fetcher, FetchError, FetchRules
from authz.sources.server_trust import SpiffeTrust
from authz.sources.state import Cause, SourceState
from tests.fakes.waiting import until
from tests.fakes.web_server import Handle, answer, serving
from tests.mint.certificates import TRUST_DOMAIN, Issued, issue, key_usage, make_authority, svid
from tests.mint.tls_material import Authority, Pair, server_context

SERVER = "spiffe://shop.example/spire/server"
NOW = datetime.now(UTC)
HOUR = timedelta(hours=1)
ROOT = make_authority(begin=NOW - HOUR, end=NOW + HOUR)
RULES = FetchRules(timeout=2.0, max_bytes=20_000, allow_private=True)


def edition(*authorities: Issued, sequence: int = 1) -> bytes:
    keys = [each.jwk() for each in authorities or (ROOT,)]
    return json.dumps({"spiffe_sequence": sequence, "spiffe_refresh_hint": 60, "keys": keys}).encode()


def leaf(spiffe_id: str = SERVER, *, issuer: Issued = ROOT, **changes: object) -> Issued:
    """The endpoint's own certificate, valid now."""
    given = {"begin": NOW - HOUR, "end": NOW + HOUR, **changes}
    return svid(spiffe_id, issuer=issuer, **given)  # type: ignore[arg-type] # one maker for all variants


def context_of(directory: Path, shown: Issued, *chain: Issued) -> ssl.SSLContext:
    return server_context(directory, Pair("".join(each.pem for each in (shown, *chain)).encode(), shown.private_pem))


def web_context(directory: Path) -> ssl.SSLContext:
    """For `https_web`; the CA file is `ca.pem`."""
    web = Authority()
    (directory / "ca.pem").write_bytes(web.certificate)
    return server_context(directory, web.leaf())


def fetch(directory: Path, shown: Issued, *chain: Issued, handle: Handle | None = None) -> bytes:
    """What the endpoint serves to somebody who trusts ROOT and expects SERVER."""
    trust = SpiffeTrust(SpiffeId.parse(SERVER), import_bundle(edition(), TRUST_DOMAIN))
    with serving(handle or answer(edition()), context_of(directory, shown, *chain)) as port:
        return Fetcher(RULES).get(f"https://localhost:{port}/", trust).body


# --- https_spiffe: who may answer ---


def test_the_endpoint_is_known_by_its_spiffe_id(tmp_path: Path) -> None:
    """Its certificate bears no host name, and needs none."""
    assert fetch(tmp_path, leaf()) == edition()


def test_an_endpoint_below_an_intermediate_shows_its_chain(tmp_path: Path) -> None:
    """SPIRE under an upstream authority."""
    middle = make_authority(name="middle", issuer=ROOT, begin=NOW - HOUR, end=NOW + HOUR)

    assert fetch(tmp_path, leaf(issuer=middle), middle) == edition()


OTHER_ROOT = make_authority(name="stranger", begin=NOW - HOUR, end=NOW + HOUR)


@pytest.mark.parametrize(
    "shown",
    [
        leaf("spiffe://shop.example/ns/shop/sa/frontend"),
        leaf("spiffe://partner.example/spire/server"),
        leaf(issuer=OTHER_ROOT),
        leaf(uris=[SERVER, "spiffe://shop.example/other"]),
        leaf(uris=[], dns=["localhost"]),
        leaf(purposes=[ExtendedKeyUsageOID.CLIENT_AUTH]),
        leaf(begin=NOW - 2 * HOUR, end=NOW - HOUR),
        leaf(usage=key_usage(crl_sign=True)),
        issue(subject="self", uris=[SERVER], dns=["localhost"], begin=NOW - HOUR, end=NOW + HOUR),
    ],
    ids=[
        "another-id",
        "another-domain",
        "another-authority",
        "two-ids",
        "web-certificate",
        "client-only",
        "expired",
        "no-signature-usage",
        "self-signed",
    ],
)
def test_nobody_else_is_asked_anything(tmp_path: Path, shown: Issued) -> None:
    """The request isn't even sent."""
    heads: list[bytes] = []

    with pytest.raises(FetchError) as caught:
        fetch(tmp_path, shown, handle=lambda _, head: heads.append(head))

    assert caught.value.cause is Cause.TLS
    assert heads == []


def test_without_a_bundle_nobody_can_be_judged() -> None:
    """And there is no way back to the Web PKI."""
    with pytest.raises(FetchError, match="no bundle to judge"):
        Fetcher(RULES).get("https://localhost:9/", SpiffeTrust(SpiffeId.parse(SERVER), None))


# --- the whole source ---


@contextmanager
def store_of(directory: Path, **endpoints: BundleEndpoint) -> Iterator[BundleStore]:
    """A running store for trust domains `NAME.example`."""
    fetcher = Fetcher(
        RULES
        if not (directory / "ca.pem").exists()
        else FetchRules(timeout=2.0, max_bytes=20_000, allow_private=True, ca_file=directory / "ca.pem")
    )
    store = BundleStore(directory, fetch=fetcher.get)
    bundles = {f"{name}.example": endpoint for name, endpoint in endpoints.items()}
    assert store.reconfigure(TrustSettings(bundles=bundles, verified_by=PeerVerification.CERTIFICATE)) == ()
    try:
        yield store
    finally:
        store.close()
        assert [thread.name for thread in threading.enumerate() if thread.name.startswith("bundle-")] == []


def state_of(store: BundleStore, name: str = TRUST_DOMAIN) -> SourceState:
    return next(state for state in store.states() if state.name == name)


def test_https_spiffe_from_bootstrap_to_the_next_authority(tmp_path: Path) -> None:
    """The bundle that was fetched judges the next answer: the endpoint may change its authority."""
    second = make_authority(name="second", begin=NOW - HOUR, end=NOW + HOUR)
    (tmp_path / "first.json").write_bytes(edition())
    served = [edition(ROOT, second, sequence=2)]
    context = context_of(tmp_path, leaf())

    def handle(connection: socket.socket, head: bytes) -> None:
        answer(served[0])(connection, head)

    with serving(handle, context) as port:
        endpoint = BundleEndpoint(
            url=f"https://localhost:{port}/",
            profile=EndpointProfile.SPIFFE,
            endpoint_id=SpiffeId.parse(SERVER),
            bootstrap="first.json",
        )
        with store_of(tmp_path, shop=endpoint) as store:
            until(lambda: state_of(store).size == 2)
            # From now on the endpoint shows a certificate of the second authority, and serves that one alone.
            context_of(tmp_path, leaf(issuer=second))
            context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
            served[0] = edition(second, sequence=3)
            source = store.prepare(
                TrustSettings(bundles={TRUST_DOMAIN: endpoint}, verified_by=PeerVerification.CERTIFICATE)
            ).sources[TRUST_DOMAIN][1]
            assert isinstance(source, EndpointBundle)
            source.ask()  # A minute is too long for a test.
            until(lambda: state_of(store).size == 1)
            assert state_of(store).error == ""


@pytest.mark.parametrize(
    ("handle", "cause"),
    [
        (answer(b"", status="302 Found", headers="Location: https://localhost/\r\n"), Cause.REDIRECT),
        (answer(b"x" * 20_001), Cause.SIZE),
        (answer(b"", status="503 Busy"), Cause.STATUS),
        (answer(b"<html>"), Cause.CONTENT),
        (answer(b'{"keys": []}'), Cause.CONTENT),
        (lambda connection, _: time.sleep(2.5), Cause.TIMEOUT),
    ],
    ids=["redirect", "huge", "busy", "html", "empty", "slow"],
)
def test_what_is_no_bundle_leaves_none(tmp_path: Path, handle: Handle, cause: Cause) -> None:
    """And the state says which it was."""
    context = web_context(tmp_path)

    with (
        serving(handle, context) as port,
        store_of(tmp_path, shop=BundleEndpoint(url=f"https://localhost:{port}/")) as store,
    ):
        until(store.tried_once)

        assert state_of(store).cause is cause
        assert store.bundle(TRUST_DOMAIN) is None


def test_one_endpoint_that_hangs_holds_up_no_other(tmp_path: Path) -> None:
    """https_web against the CA file, each source on its own thread."""
    context = web_context(tmp_path)
    release = threading.Event()

    def hang(connection: socket.socket, head: bytes) -> None:
        release.wait(10)

    with (
        serving(hang, context) as slow,
        serving(answer(edition()), context) as quick,
        store_of(
            tmp_path,
            shop=BundleEndpoint(url=f"https://localhost:{quick}/"),
            slow=BundleEndpoint(url=f"https://localhost:{slow}/"),
        ) as store,
    ):
        until(lambda: store.bundle(TRUST_DOMAIN) is not None)
        assert not store.tried_once()
        release.set()
