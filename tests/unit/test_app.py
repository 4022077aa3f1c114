"""What the composition root picks where a wrong pick would let something pass."""

from __future__ import annotations

import logging
from dataclasses import replace

import pytest

from authz.app import replays_of
from authz.config.settings import Settings
from authz.engine.ports import NoReplayStore
from authz.model.errors import Unavailable
from authz.model.patience import UNHURRIED
from authz.sources.replays import LocalReplays


def test_one_process_remembers_proofs_by_itself() -> None:
    """Nobody else could be shown the same proof."""
    assert isinstance(replays_of(Settings(), 1), LocalReplays)


def test_several_workers_without_a_store_take_no_proof(caplog: pytest.LogCaptureFixture) -> None:
    """Each of them would take a proof that the others took already; the start says so."""
    with caplog.at_level(logging.WARNING):
        replays = replays_of(replace(Settings(), workers=2), 1)

    assert isinstance(replays, NoReplayStore)
    assert "store.url" in caplog.text
    with pytest.raises(Unavailable):
        replays.first_use(b"key", 60.0, now=0.0, patience=UNHURRIED)
