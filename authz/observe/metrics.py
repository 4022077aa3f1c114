"""Metrics: counted in plain Python on the check's thread, read by OpenTelemetry when Prometheus asks.

Owns: decision counts and durations, and the callbacks through which everything else is read. A check makes no call
into the SDK: an OpenTelemetry counter costs several microseconds with attributes, two dictionary updates under a
lock cost a fraction of one. Counters and gauges are observable instruments. The API has no observable histogram, so
the durations' buckets are ours and are shown by a collector in the same Prometheus registry.

How to wire it (app): one `Metrics()`; `record` is a `Recorder` of the check service; `observe(names.KEYS_AGE, lambda:
[Reading(state.age or 0.0, (state.name,)) for state in keys.states()])` and so on for each instrument of
observe.names; `exposition()` is the admin page. `close()` at shutdown.
"""

from __future__ import annotations

import logging
import threading
from bisect import bisect_left
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Final

from opentelemetry.exporter.prometheus import PrometheusMetricReader
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.resources import Resource
from prometheus_client import CollectorRegistry
from prometheus_client.exposition import CONTENT_TYPE_LATEST, generate_latest
from prometheus_client.metrics_core import HistogramMetricFamily
from prometheus_client.registry import Collector

from authz.model.decision import Denial
from authz.model.reason import ALLOWED
from authz.model.record import DecisionRecord
from authz.observe import names
from authz.observe.names import DURATION_BUCKETS, Instrument, Shape

MAX_SERIES: Final = 1500
"""Combinations of policy, result and reason that are counted apart (the SDK shows 2,000 at most). Beyond them, which
takes many renamed policies, decisions are counted under OTHER: a count is never lost."""
OTHER: Final = "other"

_LOG: Final = logging.getLogger("authz.metrics")
_RESULTS: Final = {True: "deny", False: "allow"}


@dataclass(frozen=True, slots=True)
class Reading:
    """A value and its labels' values, in the order of the instrument's `labels`."""

    value: float
    labels: tuple[str, ...] = ()


Read = Callable[[], Iterable[Reading]]
"""Called on the admin thread; must not block."""


class Metrics:
    """See the module. Any thread may record."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._decisions: dict[tuple[str, bool, str], int] = {}
        self._candidates: dict[tuple[str, str, str], int] = {}
        self._durations = {result: _Buckets() for result in _RESULTS}
        self._registry = CollectorRegistry()
        self._reader = PrometheusMetricReader(registry=self._registry, scope_info_enabled=False)
        self._provider = MeterProvider(
            [self._reader], resource=Resource({"service.name": "authz"}), shutdown_on_exit=False
        )
        self._meter = self._provider.get_meter("authz")
        self._registry.register(_DurationCollector(self._snapshot))
        self.observe(names.DECISIONS, self._counted)
        self.observe(names.CANDIDATES, self._counted_candidates)

    def record(self, record: DecisionRecord) -> None:
        """Count one decision."""
        decision = record.decision
        if isinstance(decision, Denial):
            key = (decision.policy, True, decision.reason.code)
        else:
            key = (decision.policy, False, ALLOWED)
        bucket = bisect_left(DURATION_BUCKETS, record.duration)
        with self._lock:
            count = self._decisions.get(key)
            if count is None:
                key, count = self._admit(key)
            self._decisions[key] = count + 1
            durations = self._durations[key[1]]
            durations.counts[bucket] += 1
            durations.total += record.duration
            if record.candidate is not None:
                self._count_candidate(record.candidate.verdict, key)

    def observe(self, instrument: Instrument, read: Read) -> None:
        """Show an instrument; `read` is called at each scrape. What it raises costs that instrument one scrape."""
        make = {Shape.COUNTER: self._meter.create_observable_counter, Shape.GAUGE: self._meter.create_observable_gauge}[
            instrument.shape
        ]
        make(
            instrument.name,
            callbacks=[_callback(instrument, read)],
            unit=instrument.unit,
            description=instrument.description,
        )

    def exposition(self) -> tuple[str, bytes]:
        """The content type and the text of a scrape."""
        return CONTENT_TYPE_LATEST, generate_latest(self._registry)

    def close(self) -> None:
        self._provider.shutdown()

    def _admit(self, key: tuple[str, bool, str]) -> tuple[tuple[str, bool, str], int]:
        if len(self._decisions) >= MAX_SERIES:
            key = (OTHER, key[1], key[2])
        return key, self._decisions.get(key, 0)

    def _counted(self) -> Iterator[Reading]:
        with self._lock:
            counts = list(self._decisions.items())
        for (policy, denied, reason), count in counts:
            yield Reading(count, (policy, _RESULTS[denied], reason))

    def _count_candidate(self, verdict: str, enforced: tuple[str, bool, str]) -> None:
        """Bounded like decisions; the lock is held."""
        key = (enforced[0], enforced[2], verdict)
        if key not in self._candidates and len(self._candidates) >= MAX_SERIES:
            key = (OTHER, *key[1:])
        self._candidates[key] = self._candidates.get(key, 0) + 1

    def _counted_candidates(self) -> Iterator[Reading]:
        with self._lock:
            counts = list(self._candidates.items())
        for labels, count in counts:
            yield Reading(count, labels)

    def _snapshot(self) -> dict[str, _Buckets]:
        with self._lock:
            return {_RESULTS[denied]: buckets.copy() for denied, buckets in self._durations.items()}


class _Buckets:
    """Counts per bucket (the last is everything above) and the sum of what was counted."""

    __slots__ = ("counts", "total")

    def __init__(self, counts: list[int] | None = None, total: float = 0.0) -> None:
        self.counts = [0] * (len(DURATION_BUCKETS) + 1) if counts is None else counts
        self.total = total

    def copy(self) -> _Buckets:
        return _Buckets(list(self.counts), self.total)

    def cumulative(self) -> list[tuple[str, float]]:
        """As Prometheus wants them: each bucket holds those below it."""
        bounds = [*(str(bound) for bound in DURATION_BUCKETS), "+Inf"]
        running, out = 0, []
        for bound, count in zip(bounds, self.counts, strict=True):
            running += count
            out.append((bound, float(running)))
        return out


class _DurationCollector(Collector):
    def __init__(self, snapshot: Callable[[], dict[str, _Buckets]]) -> None:
        self._snapshot = snapshot

    def collect(self) -> Iterator[HistogramMetricFamily]:
        family = HistogramMetricFamily(names.DURATION_NAME, names.DURATION_HELP, labels=["result"])
        for result, buckets in self._snapshot().items():
            family.add_metric([result], buckets.cumulative(), sum_value=buckets.total)
        yield family


def _callback(instrument: Instrument, read: Read) -> Callable[[CallbackOptions], list[Observation]]:
    def observations(_: CallbackOptions) -> list[Observation]:
        try:
            return [
                Observation(reading.value, dict(zip(instrument.labels, reading.labels, strict=True)))
                for reading in read()
            ]
        except Exception as error:  # noqa: BLE001 - one source's bug must not take the other metrics away
            _LOG.error(
                "a metric can't be read",
                extra={"event": "metric_failed", "metric": instrument.name, "error": type(error).__name__},
            )
            return []

    return observations
