"""What the scenarios are made of: the pool of tokens, the verdict on memory, the profile table, the time they take."""

from __future__ import annotations

import base64
import json
import time
from pathlib import Path

import pytest

from authz.authn import algorithms
from authz.authn.keys import import_key_set
from authz.model.issuer import ALGORITHMS
from bench import __main__ as run
from bench import budget, plan
from bench.pool import pool
from bench.scenarios import endurance
from bench.scenarios.stage import FULL, QUICK
from bench.timing import Effort, over
from tests.mint.keys import jwk_set

SCENARIOS = list(plan.PLANNED)


def _quiet(_: str) -> None: ...


def test_tokens_of_the_pool_are_signed_distinct_and_as_long_as_each_other(tmp_path: Path) -> None:
    """Each verifies with the pool's key and names itself in `jti`."""
    made = pool(50, directory=tmp_path, say=_quiet)
    public = import_key_set(jwk_set(made.key), ALGORITHMS)[0].find("key-0", "Ed25519").public
    found = [made.token(number) for number in range(50)]

    assert len(set(found)) == 50
    assert len({len(one) for one in found}) == 1
    for number, token in enumerate(found):
        signed, _, signature = token.rpartition(b".")
        assert algorithms.verifies("Ed25519", public, base64.urlsafe_b64decode(signature + b"=="), signed)
        claims = json.loads(base64.urlsafe_b64decode(signed.split(b".")[1] + b"=="))
        assert claims["jti"] == f"{number:08x}"


def test_the_pool_is_kept_until_it_is_old_too_small_or_broken(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that can't serve is made anew; one that can isn't."""
    first = pool(20, directory=tmp_path, say=_quiet)
    assert pool(10, directory=tmp_path, say=_quiet).first == first.first
    larger = pool(30, directory=tmp_path, say=_quiet)
    assert larger.size == 30
    assert larger.first != first.first

    (tmp_path / "tokens").write_bytes((tmp_path / "tokens").read_bytes()[:-64] + bytes(64))
    mended = pool(30, directory=tmp_path, say=_quiet)
    assert mended.first != larger.first

    now = time.time() + 13 * 3600
    monkeypatch.setattr(time, "time", lambda: now)
    assert pool(30, directory=tmp_path, say=_quiet).first != mended.first
    assert (tmp_path / "tokens").stat().st_mode & 0o077 == 0


def _samples(leak: float) -> endurance.Growth | None:
    """Megabytes while caches fill, then so many octets more per check."""
    checks = [(number + 1) * 16_666 for number in range(60)]
    return endurance.growth(checks, [70 + 20 * min(1.0, done / 100_000) + done * leak / 1e6 for done in checks])


def test_memory_that_fills_caches_is_flat() -> None:
    """What comes before they are full doesn't count."""
    found = _samples(0)

    assert found is not None and found.flat
    assert str(found).startswith("FLAT: after 99,996 checks 90.0 MB")


def test_ten_octets_leaked_per_check_are_seen() -> None:
    """The verdict names the megabytes."""
    found = _samples(10)

    assert found is not None and not found.flat
    assert str(found).startswith("NOT FLAT") and found.megabytes > 7


def test_too_few_checks_give_no_verdict() -> None:
    """Neither flat nor not: the run says that it isn't known, and fails."""
    assert endurance.growth([1_000 * number for number in range(1, 61)][:20], [70.0] * 20) is None
    assert endurance.growth([], []) is None


def test_a_run_takes_about_ten_minutes_and_the_quick_one_about_one() -> None:
    """By the configured durations."""
    whole = sum(plan.PLANNED[name](FULL) for name in SCENARIOS) + plan.WORKBENCH

    assert whole < plan.LIMIT
    assert plan.decisions(QUICK, quick=True) < plan.QUICK_LIMIT


def test_each_scenario_is_planned() -> None:
    """One that is added says how long it takes."""
    assert list(run.SCENARIOS) == SCENARIOS


def test_the_profile_table_has_a_line_for_every_step_and_goal() -> None:
    """With one call each: the functions are there and take what they are given."""
    effort = Effort(rounds=1, calls=2, seconds=0.001)
    lines = budget.measure(budget.Extent(effort, routes=(10, 100), entries=20, memory=20, loading=False))
    steps = {one.step: one for one in lines}

    for name in ("decode", "parse", "match", "authenticate, warm", "evaluate", "encode"):
        assert steps[name].value > 0
    goals = {name: one.limit for name, one in steps.items() if one.limit is not None}
    assert goals == {
        "WHOLE ANSWER, WARM": 0.6,
        "WHOLE ANSWER, COLD RS256": 2.2,
        "WHOLE ANSWER, COLD ES256": 3.7,
        "growth from 10 to 100 routes, one of them": 1.5,
        "growth from 10 to 100 routes, each in turn": 1.5,
        "token cache entry": 2048,
    }
    assert len({len(row) for row in budget.rows(lines)}) == 1


def test_what_another_thread_does_is_waited_for_and_what_is_prepared_is_not_counted() -> None:
    """Each input is used once; `settle` ends each round."""
    used: list[int] = []
    settled: list[int] = []

    over(lambda number: list(range(number)), used.append, Effort(rounds=2, calls=3), settle=lambda: settled.append(0))

    assert used == [0, 1, 2] * 3
    assert len(settled) == 6
