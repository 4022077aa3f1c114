"""The Web PKI's authorities: read once, and again when they may have changed."""

from __future__ import annotations

from pathlib import Path

import pytest

from authz.sources.server_trust import SYSTEM_SECONDS, UntrustedServer, WebTrust
from tests.fakes.clock import FakeClock
from tests.mint.tls_material import Authority


def test_a_changed_file_counts_at_once(tmp_path: Path) -> None:
    """And an unchanged one isn't read for each fetch."""
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority().certificate)
    trust = WebTrust(file)
    first = trust.context()
    assert trust.context() is first

    file.write_bytes(Authority().certificate)

    second = trust.context()
    assert second is not first
    assert second.get_ca_certs() != first.get_ca_certs()


def test_a_file_that_went_away_trusts_nobody(tmp_path: Path) -> None:
    """What it held before doesn't go on counting."""
    file = tmp_path / "ca.pem"
    file.write_bytes(Authority().certificate)
    trust = WebTrust(file)
    trust.context()

    file.unlink()

    with pytest.raises(UntrustedServer):
        trust.context()


def test_the_systems_authorities_are_read_again_now_and_then() -> None:
    """They change with the machine's packages."""
    clock = FakeClock()
    trust = WebTrust(clock=clock)
    first = trust.context()
    clock.advance(1)
    assert trust.context() is first

    clock.advance(SYSTEM_SECONDS)

    assert trust.context() is not first
