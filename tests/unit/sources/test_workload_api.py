"""What the Workload API pushed: taken whole, kept for a bounded time, never mixed. Connections are scripted."""

from __future__ import annotations

from collections.abc import Callable

import pytest

from authz.sources.background import Surroundings
from authz.sources.schedule import RefreshRules
from authz.sources.state import Cause, Freshness, SourceEvent
from authz.sources.workload_api import WorkloadApi
from authz.sources.workload_client import CertificateUpdate, Close, Listener, Svid, TokenKeyUpdate, WorkloadApiError
from tests.fakes.clock import FakeClock
from tests.mint.certificates import FRONTEND, NOW, TRUST_DOMAIN, authority, svid
from tests.mint.keys import signing_key

OTHER = "spiffe://shop.example/ns/shop/sa/other"
PARTNER = "partner.example"
Script = Callable[[Listener], None]


def own(spiffe_id: str = FRONTEND, *, until: float = NOW + 3600) -> Svid:
    issued = svid(spiffe_id)
    return Svid(id=spiffe_id, chain=issued.pem.encode(), key=issued.private_pem, not_before=NOW - 60, not_after=until)


def certificates(*svids: Svid, partner: bool = False) -> CertificateUpdate:
    authorities = {TRUST_DOMAIN: (authority().jwk(),)}
    if partner:
        authorities[PARTNER] = (authority(PARTNER).jwk(),)
    return CertificateUpdate(svids=svids or (own(),), authorities=authorities)


TOKEN_KEYS = TokenKeyUpdate(keys={TRUST_DOMAIN: (signing_key("ES256", "svid-key").jwk(use="jwt-svid"),)})


class Bench:
    """One Workload API whose connections do what a test says, then end."""

    def __init__(self, *, wanted: str = "") -> None:
        self.clock, self.wall = FakeClock(), FakeClock(NOW)
        self.events: list[SourceEvent] = []
        self.closed = 0
        self.scripts: list[Script | WorkloadApiError] = []
        around = Surroundings(
            rules=RefreshRules(max_stale=100.0), clock=self.clock, random=lambda: 0.0, report=self.events.append
        )
        self.api = WorkloadApi("unix:/agent.sock", around, wanted=wanted, opener=self._open, now=self.wall)

    def _open(self, address: str, listener: Listener) -> Close:
        assert address == "unix:/agent.sock"
        script = self.scripts.pop(0)
        if isinstance(script, WorkloadApiError):
            raise script
        script(listener)
        return self._close

    def _close(self) -> None:
        self.closed += 1

    def connect(self, *scripts: Script | WorkloadApiError) -> list[float]:
        """One attempt after the other; the delays."""
        self.scripts = list(scripts)
        return [self.api.attempt() for _ in scripts]


def pushing(
    *updates: CertificateUpdate | TokenKeyUpdate, then: Callable[[], None] = lambda: None, end: str = "ended"
) -> Script:
    """A connection that pushes these, lets a test look, and ends."""

    def script(listener: Listener) -> None:
        for update in updates:
            if isinstance(update, CertificateUpdate):
                listener.certificates(update)
            else:
                listener.token_keys(update)
        then()
        listener.ended(end)

    return script


def test_both_kinds_make_one_bundle() -> None:
    """Authorities for certificates and keys for JWT-SVIDs; half of it is no bundle."""
    bench, seen = Bench(), []

    def half() -> None:
        seen.append(bench.api.bundle(TRUST_DOMAIN))

    def whole() -> None:
        bundle = bench.api.bundle(TRUST_DOMAIN)
        assert bundle is not None
        seen.append((len(bundle.authorities), bundle.jwt_keys.find("svid-key", "ES256").kid))
        seen.append(bench.api.bundle_state(TRUST_DOMAIN).freshness)

    bench.connect(pushing(certificates(), then=half), pushing(TOKEN_KEYS, certificates(), then=whole))

    assert seen == [None, (1, "svid-key"), Freshness.FRESH]
    assert bench.closed == 2


def test_while_the_connection_stands_nothing_ages() -> None:
    """What changes is pushed; afterwards the age counts and ends it."""
    bench = Bench()

    def later() -> None:
        bench.clock.advance(1000)
        assert bench.api.bundle_state(TRUST_DOMAIN).age == 0.0

    bench.connect(pushing(certificates(), TOKEN_KEYS, then=later, end="the stream was ended"))

    state = bench.api.bundle_state(TRUST_DOMAIN)
    assert (state.freshness, state.age, state.cause) == (Freshness.STALE, 0.0, Cause.WORKLOAD_API)
    assert state.error == "the stream was ended"
    bench.clock.advance(100)
    assert bench.api.bundle(TRUST_DOMAIN) is not None
    bench.clock.advance(1)
    assert bench.api.bundle(TRUST_DOMAIN) is None
    assert bench.api.bundle_state(TRUST_DOMAIN).freshness is Freshness.EXPIRED


def test_bundles_of_domains_are_kept_apart_and_go_when_they_are_not_pushed_any_more() -> None:
    """An end of federation counts at once."""
    bench, seen = Bench(), []

    def look() -> None:
        seen.append([bench.api.bundle_state(domain).error for domain in (TRUST_DOMAIN, PARTNER)])

    bench.connect(
        pushing(certificates(partner=True), TOKEN_KEYS, then=look), pushing(certificates(), TOKEN_KEYS, then=look)
    )

    assert seen == [["", ""], ["", "the Workload API hands out no bundle of this trust domain"]]
    assert bench.api.bundle(PARTNER) is None
    assert bench.api.bundle_state(PARTNER).freshness is Freshness.ABSENT


def test_the_delay_grows_while_nothing_comes_and_starts_anew_after_an_update() -> None:
    """Back-off, capped by the schedule."""
    gone = WorkloadApiError("there is no such socket")
    bench = Bench()

    assert bench.connect(gone, gone, gone, pushing(certificates(), TOKEN_KEYS), gone) == [1.0, 2.0, 4.0, 1.0, 2.0]
    assert [event.error for event in bench.events if event.kind == "svid"] == [
        "there is no such socket",
        "",
        "ended",
        "there is no such socket",
    ]


def test_our_svid_is_the_first_or_the_one_that_is_wanted() -> None:
    """SPIFFE Workload API §5.3; its authorities are those of its own trust domain."""
    update = certificates(own(), own(OTHER), partner=True)
    first, second, third = Bench(), Bench(wanted=OTHER), Bench(wanted="spiffe://shop.example/nobody")

    for bench in (first, second, third):
        bench.connect(pushing(update, TOKEN_KEYS))

    serving = [bench.api.svid() for bench in (first, second)]
    assert [each and each.svid.id for each in serving] == [FRONTEND, OTHER]
    assert [each and each.authorities for each in serving] == [authority().pem.encode()] * 2
    assert third.api.svid() is None
    assert third.api.svid_state().freshness is Freshness.ABSENT


def test_an_expired_svid_shows_and_ends_the_connection() -> None:
    """An agent that holds the stream open and renews nothing is left."""
    bench = Bench()

    def script(listener: Listener) -> None:
        listener.certificates(certificates(own(until=NOW + 10)))
        listener.token_keys(TOKEN_KEYS)
        bench.wall.advance(11)

    bench.connect(script)

    state = bench.api.svid_state()
    assert (state.freshness, state.error) == (Freshness.ABSENT, "our certificate expired and no new one came")
    assert bench.api.expires() == pytest.approx(-1.0)


def test_an_svid_that_came_expired_takes_no_bundle_away() -> None:
    """A clock that is wrong, ours or the agent's: the connection is as good as another would be."""
    bench, seen = Bench(), []

    def look() -> None:
        seen.append(bench.api.bundle_state(TRUST_DOMAIN).freshness)

    bench.connect(pushing(certificates(own(until=NOW - 1)), TOKEN_KEYS, then=look))

    assert seen == [Freshness.FRESH]
    assert bench.api.svid_state().freshness is Freshness.ABSENT
    assert bench.api.svid_state().error == "ended"


def test_the_private_key_shows_nowhere() -> None:
    """Not in what the value prints as."""
    assert "PRIVATE" not in repr(own())


def test_before_anything_came_there_is_nothing() -> None:
    """And waiting for it has an end."""
    bench = Bench()

    assert bench.api.svid() is None
    assert not bench.api.wait_for_svid(0.0)
    assert not bench.api.tried()
    assert bench.api.svid_state().cause is Cause.UNTRIED
