"""Trust bundles in files: per domain, last good kept, never another domain's."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.model.issuer import BundleFile, BundleWorkloadApi, PeerVerification, TrustSettings
from authz.sources.bundles import BundleStore
from authz.sources.schedule import RefreshRules
from authz.sources.state import Freshness, SourceEvent
from tests.fakes.clock import FakeClock
from tests.mint.jwk_documents import bundle


def _trust(**files: str) -> TrustSettings:
    bundles = {name.replace("_", "."): BundleFile(path) for name, path in files.items()}
    return TrustSettings(bundles=bundles, verified_by=PeerVerification.CERTIFICATE)


def test_a_bundle_is_read_and_read_again_when_it_changed(tmp_path: Path) -> None:
    """The reload loop polls."""
    (tmp_path / "shop.json").write_bytes(bundle())
    store = BundleStore(tmp_path)

    assert store.reconfigure(_trust(shop_example="shop.json")) == ()
    before = store.bundle("shop.example")
    assert before is not None
    assert before.trust_domain == "shop.example"
    store.poll()
    assert store.bundle("shop.example") is before
    (tmp_path / "shop.json").write_bytes(bundle())
    store.poll()
    after = store.bundle("shop.example")
    assert after is not None
    assert after.revision != before.revision


def test_an_unknown_domain_has_no_bundle(tmp_path: Path) -> None:
    """Nor has any domain without settings."""
    store = BundleStore(tmp_path)
    store.reconfigure(None)

    assert store.bundle("shop.example") is None


@pytest.mark.parametrize("path", ["missing.json", "../x.json", "bad.json"])
def test_a_bundle_that_is_none_is_a_fault(tmp_path: Path, path: str) -> None:
    """The load is refused with the domain's and the file's name."""
    (tmp_path / "bad.json").write_text("{")

    faults = BundleStore(tmp_path).reconfigure(_trust(shop_example=path))

    assert len(faults) == 1
    assert faults[0].place.file == path
    assert "shop.example" in faults[0].message


def test_the_last_good_bundle_serves_for_a_bounded_time(tmp_path: Path) -> None:
    """A file that becomes faulty takes nothing away at once, and doesn't keep an old authority for ever."""
    clock = FakeClock()
    (tmp_path / "shop.json").write_bytes(bundle())
    store = BundleStore(tmp_path, clock=clock, rules=RefreshRules(max_stale=100.0))
    store.reconfigure(_trust(shop_example="shop.json"))
    clock.advance(1000)
    store.poll()
    (tmp_path / "shop.json").write_text("{")
    store.poll()

    assert store.bundle("shop.example") is not None
    assert store.states()[0].freshness is Freshness.STALE
    clock.advance(101)
    store.poll()
    assert store.bundle("shop.example") is None
    assert store.states()[0].freshness is Freshness.EXPIRED


def test_a_pushed_bundle_without_a_socket_is_told_once(tmp_path: Path) -> None:
    """The setting is missing: the domain has no bundle, its state and the log say why, and nothing else stops."""
    events: list[SourceEvent] = []
    store = BundleStore(tmp_path, report=events.append)
    trust = TrustSettings(bundles={"shop.example": BundleWorkloadApi()}, verified_by=PeerVerification.CERTIFICATE)

    assert store.reconfigure(trust) == ()
    store.reconfigure(trust)

    assert store.bundle("shop.example") is None
    assert store.tried_once()
    assert store.states()[0].freshness is Freshness.ABSENT
    assert [event.error for event in events] == ["no Workload API is configured (keys.workload_api)"]


def test_a_domain_whose_origin_changes_begins_anew(tmp_path: Path) -> None:
    """What came from one place isn't kept for another."""
    (tmp_path / "shop.json").write_bytes(bundle())
    store = BundleStore(tmp_path)
    store.reconfigure(_trust(shop_example="shop.json"))
    assert store.bundle("shop.example") is not None

    store.reconfigure(
        TrustSettings(bundles={"shop.example": BundleWorkloadApi()}, verified_by=PeerVerification.CERTIFICATE)
    )

    assert store.bundle("shop.example") is None
