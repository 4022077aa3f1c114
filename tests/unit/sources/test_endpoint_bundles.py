"""A bundle from its endpoint over time: editions in order, refresh hints, the bootstrap file, too old. No threads."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from authz.authn.svid import TrustBundle
from authz.model.issuer import BundleEndpoint, EndpointProfile, PeerVerification, TrustSettings
from authz.model.spiffe import SpiffeId
from authz.sources.bundles import BundleStore
from authz.sources.endpoint_bundles import EndpointBundle
from authz.sources.fetch import Fetched, FetchError
from authz.sources.schedule import RefreshRules
from authz.sources.server_trust import ServerTrust, SpiffeTrust
from authz.sources.state import Cause, Freshness, SourceEvent
from tests.fakes.clock import FakeClock
from tests.mint.certificates import TRUST_DOMAIN, Issued, authority, make_authority

URL = "https://spiffe.shop.example/bundle"
WEB = BundleEndpoint(url=URL)
SPIFFE = BundleEndpoint(
    url=URL,
    profile=EndpointProfile.SPIFFE,
    endpoint_id=SpiffeId.parse("spiffe://shop.example/spire/server"),
    bootstrap="shop.json",
)
RULES = RefreshRules(refresh=300.0, cooldown=10.0, max_stale=3600.0)
OLD, NEW = authority(name="old"), authority(name="new")


def edition(*authorities: Issued, sequence: int | None = 1, hint: int | None = None) -> bytes:
    """A bundle document."""
    members = {"spiffe_sequence": sequence, "spiffe_refresh_hint": hint}
    given = {name: value for name, value in members.items() if value is not None}
    return json.dumps({**given, "keys": [each.jwk() for each in authorities]}).encode()


class Bench:
    """One endpoint with everything around it in the test's hands."""

    def __init__(self, directory: Path, endpoint: BundleEndpoint = WEB) -> None:
        self.clock = FakeClock()
        self.answer: bytes | Exception = edition(OLD)
        self.trusts: list[ServerTrust | None] = []
        self.events: list[SourceEvent] = []
        self.store = BundleStore(
            directory, fetch=self._fetch, rules=RULES, clock=self.clock, jitter=lambda: 0.0, report=self.events.append
        )
        plan = self.store.prepare(
            TrustSettings(bundles={TRUST_DOMAIN: endpoint}, verified_by=PeerVerification.CERTIFICATE)
        )
        assert plan.faults == ()
        found = plan.sources[TRUST_DOMAIN][1]
        assert isinstance(found, EndpointBundle)
        self.source = found

    def _fetch(self, url: str, trust: ServerTrust | None) -> Fetched:
        assert url == URL
        self.trusts.append(trust)
        if isinstance(self.answer, Exception):
            raise self.answer
        return Fetched(body=self.answer)

    def step(self, answer: bytes | Exception) -> float:
        """The next attempt is due and gets this answer."""
        self.answer = answer
        self.clock.advance(3600.0)
        return self.source.step()

    @property
    def names(self) -> list[str]:
        """The authorities in use, by the first part of their name."""
        return _names(self.source.bundle())


def _names(bundle: TrustBundle | None) -> list[str]:
    authorities = () if bundle is None else bundle.authorities
    return [each.certificate.subject.rfc4514_string().removeprefix("CN=").partition(".")[0] for each in authorities]


@pytest.fixture
def bench(tmp_path: Path) -> Bench:
    return Bench(tmp_path)


@pytest.fixture
def spiffe(tmp_path: Path) -> Bench:
    (tmp_path / "shop.json").write_bytes(edition(OLD, sequence=5))
    return Bench(tmp_path, SPIFFE)


def test_before_the_first_fetch_there_is_no_bundle(bench: Bench) -> None:
    """Web PKI needs nothing beforehand, and has nothing."""
    assert bench.source.bundle() is None
    assert not bench.source.tried()
    state = bench.source.state()
    assert (state.freshness, state.cause, state.origin) == (Freshness.ABSENT, Cause.UNTRIED, f"https_web {URL}")


@pytest.mark.parametrize(
    ("hint", "delay"), [(None, 300.0), (600, 600.0), (60, 60.0), (0, 30.0), (1, 30.0), (86_400, 3600.0)]
)
def test_the_refresh_hint_counts_within_bounds(bench: Bench, hint: int | None, delay: float) -> None:
    """As often as the publisher wants, but neither all the time nor hardly ever (SPIFFE Federation §4.1)."""
    assert bench.step(edition(OLD, hint=hint)) == delay


def test_a_later_edition_replaces_an_earlier_one(bench: Bench) -> None:
    """Wholly: nothing is merged."""
    bench.step(edition(OLD, sequence=1))
    bench.step(edition(NEW, sequence=2))

    assert bench.names == ["new"]


def test_an_earlier_edition_never_comes_back(bench: Bench) -> None:
    """A replica that lags behind, or somebody who plays an old answer, brings no revoked authority back."""
    bench.step(edition(NEW, sequence=2))

    bench.step(edition(OLD, sequence=1))

    assert bench.names == ["new"]
    state = bench.source.state()
    assert (state.freshness, state.cause) == (Freshness.STALE, Cause.ROLLBACK)
    bench.step(edition(NEW, sequence=3))
    assert bench.source.state().freshness is Freshness.FRESH


def test_an_edition_without_a_number_is_the_newest_but_hides_none(bench: Bench) -> None:
    """It is taken (SPIFFE Federation §4.2); what was seen before it still counts."""
    bench.step(edition(OLD, sequence=7))
    bench.step(edition(NEW, sequence=None))
    assert bench.names == ["new"]

    bench.step(edition(OLD, sequence=6))

    assert bench.names == ["new"]
    assert bench.source.state().cause is Cause.ROLLBACK


def test_a_change_under_the_same_number_is_taken_with_a_warning(bench: Bench) -> None:
    """The publisher broke a rule; an authority that it took out must not go on counting for that."""
    bench.step(edition(OLD, sequence=1))
    bench.step(edition(NEW, sequence=1))

    assert bench.names == ["new"]
    assert "same sequence number" in bench.events[-1].warnings[0]


@pytest.mark.parametrize(
    "answer",
    [
        FetchError("the connection failed", cause=Cause.CONNECTION),
        b"{}",
        b"{",
        edition(),
        edition(OLD, sequence=-1),
        b'{"spiffe_sequence": "2", "keys": []}',
        b'{"spiffe_sequence": 18446744073709551616, "keys": []}',
    ],
)
def test_a_failed_or_useless_answer_keeps_the_last_good_bundle(bench: Bench, answer: bytes | Exception) -> None:
    """For a bounded time; retries come soon."""
    bench.step(edition(OLD))
    bench.clock.advance(-3000)

    assert bench.step(answer) == 1.0

    assert bench.names == ["old"]
    assert bench.source.state().freshness is Freshness.STALE
    bench.clock.advance(3001)
    assert bench.source.bundle() is None
    assert bench.source.state().freshness is Freshness.EXPIRED


def test_an_endpoint_that_was_down_at_start_recovers(bench: Bench) -> None:
    """Without a restart."""
    bench.step(FetchError("the connection was refused", cause=Cause.CONNECTION))
    assert bench.source.tried()
    assert bench.source.state().cause is Cause.CONNECTION

    bench.step(edition(OLD))

    assert bench.names == ["old"]
    assert bench.source.state().cause is Cause.NONE


# --- https_spiffe ---


def test_the_bootstrap_file_serves_until_the_first_fetch(spiffe: Bench) -> None:
    """As the first edition: it judges workloads and the endpoint."""
    assert spiffe.names == ["old"]
    state = spiffe.source.state()
    assert (state.freshness, state.cause) == (Freshness.STALE, Cause.UNTRIED)
    assert state.origin.endswith("bootstrap")

    spiffe.step(edition(NEW, sequence=6))

    assert isinstance(spiffe.trusts[0], SpiffeTrust)
    assert spiffe.names == ["new"]
    assert spiffe.source.state().freshness is Freshness.FRESH


def test_the_bootstrap_file_serves_for_a_bounded_time(spiffe: Bench) -> None:
    """An endpoint that never answers doesn't make a first edition the last."""
    spiffe.step(FetchError("down", cause=Cause.TLS))
    spiffe.clock.advance(1)

    assert spiffe.source.bundle() is None
    assert spiffe.source.state().freshness is Freshness.EXPIRED


def test_an_edition_before_the_bootstrap_file_is_refused(spiffe: Bench) -> None:
    """The operator's word has a sequence number too."""
    spiffe.step(edition(NEW, sequence=4))

    assert spiffe.source.state().cause is Cause.ROLLBACK


def test_a_new_bootstrap_file_replaces_what_was_fetched(spiffe: Bench, tmp_path: Path) -> None:
    """The way out when a trust domain began anew (SPIFFE Federation §4.2); a fetch is tried at once."""
    spiffe.step(edition(OLD, sequence=9))
    spiffe.clock.advance(1)
    (tmp_path / "shop.json").write_bytes(edition(NEW, sequence=1))

    spiffe.source.poll()

    assert spiffe.names == ["new"]
    spiffe.answer = edition(NEW, make_authority(name="more"), sequence=2)
    spiffe.clock.advance(1)
    spiffe.source.step()
    assert spiffe.names == ["new", "more"]


def test_a_bootstrap_file_that_cant_be_read_is_a_fault(tmp_path: Path) -> None:
    """As a bundle file is."""
    trust = TrustSettings(bundles={TRUST_DOMAIN: SPIFFE}, verified_by=PeerVerification.CERTIFICATE)

    faults = BundleStore(tmp_path).prepare(trust).faults

    assert [fault.code for fault in faults] == ["file-missing"]
