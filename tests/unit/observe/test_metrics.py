"""What Prometheus sees."""

from __future__ import annotations

import threading
from collections.abc import Iterable
from dataclasses import replace

import pytest

from authz.model.decision import Shadow
from authz.model.reason import Reason
from authz.observe import metrics as module
from authz.observe import names
from authz.observe.metrics import Metrics, Reading
from tests.mint.records import denial, permit, record


@pytest.fixture
def metrics() -> Iterable[Metrics]:
    made = Metrics()
    yield made
    made.close()


def _lines(metrics: Metrics) -> list[str]:
    kind, body = metrics.exposition()
    assert kind.startswith("text/plain")
    return [line for line in body.decode().splitlines() if not line.startswith("#")]


def test_decisions_are_counted_by_policy_result_and_reason(metrics: Metrics) -> None:
    """Nothing that a client sends becomes a label."""
    metrics.record(record(permit()))
    metrics.record(record(permit()))
    metrics.record(record(denial(Reason.SCOPE_MISSING)))

    lines = _lines(metrics)
    assert 'authz_decisions_total{policy="orders",reason="allowed",result="allow"} 2.0' in lines
    assert 'authz_decisions_total{policy="orders",reason="scope_missing",result="deny"} 1.0' in lines


def test_durations_fall_into_buckets(metrics: Metrics) -> None:
    """Each bucket holds those below it; a value at a bound belongs to it; the last holds all."""
    for duration in (0.00005, 0.0001, 0.003, 60.0):
        metrics.record(record(permit(), duration=duration))

    lines = _lines(metrics)
    assert 'authz_decision_duration_seconds_bucket{le="0.0001",result="allow"} 2.0' in lines
    assert 'authz_decision_duration_seconds_bucket{le="0.005",result="allow"} 3.0' in lines
    assert 'authz_decision_duration_seconds_bucket{le="5.0",result="allow"} 3.0' in lines
    assert 'authz_decision_duration_seconds_bucket{le="+Inf",result="allow"} 4.0' in lines
    assert 'authz_decision_duration_seconds_count{result="allow"} 4.0' in lines
    assert 'authz_decision_duration_seconds_count{result="deny"} 0.0' in lines


def test_no_count_is_lost_between_threads(metrics: Metrics) -> None:
    """Four threads, one series."""
    one = record(permit())
    threads = [threading.Thread(target=lambda: [metrics.record(one) for _ in range(5000)]) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()

    assert 'authz_decisions_total{policy="orders",reason="allowed",result="allow"} 20000.0' in _lines(metrics)


def test_series_are_bounded_and_what_is_over_is_counted_together(
    metrics: Metrics, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Policies that come and go for months don't fill the memory."""
    monkeypatch.setattr(module, "MAX_SERIES", 3)
    for number in range(10):
        metrics.record(record(denial(policy=f"p{number}")))

    lines = [line for line in _lines(metrics) if line.startswith("authz_decisions_total")]
    assert len(lines) == 4
    assert 'authz_decisions_total{policy="other",reason="scope_missing",result="deny"} 7.0' in lines


@pytest.mark.parametrize("instrument", names.INSTRUMENTS, ids=lambda each: each.name)
def test_every_instrument_can_be_shown(instrument: names.Instrument) -> None:
    """With its labels and its unit in the name."""
    metrics = Metrics()
    if instrument is names.CANDIDATES:
        metrics.record(replace(record(permit()), candidate=Shadow(verdict="scope_missing")))
    elif instrument is not names.DECISIONS:
        metrics.observe(instrument, lambda: [Reading(3, tuple("x" for _ in instrument.labels))])
    else:
        metrics.record(record(permit()))

    name = instrument.name.replace(".", "_")
    assert any(line.startswith(name) for line in _lines(metrics))
    metrics.close()


def test_a_reading_that_fails_takes_no_other_metric_away(metrics: Metrics) -> None:
    """A bug in one source costs its own metric."""

    def broken() -> list[Reading]:
        raise RuntimeError("secret")

    metrics.observe(names.KEYS_AGE, broken)
    metrics.observe(names.IN_FLIGHT, lambda: [Reading(3)])

    assert "authz_checks_in_flight 3.0" in _lines(metrics)
