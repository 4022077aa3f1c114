"""Every metric and log field name in one place: what dashboards and alerts may rely on.

Metric names are written as OpenTelemetry has them; Prometheus shows dots as underscores and adds `_total` to
counters. Labels are closed sets or bounded by the policy directory: nothing that a client sends is one.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum
from typing import Final


class Shape(Enum):
    """How a metric behaves: it only grows, or it goes up and down."""

    COUNTER = "counter"
    GAUGE = "gauge"


@dataclass(frozen=True, slots=True)
class Instrument:
    """One metric; `labels` in the order in which readings give their values."""

    name: str
    shape: Shape
    unit: str
    description: str
    labels: tuple[str, ...] = ()


DECISIONS: Final = Instrument("authz.decisions", Shape.COUNTER, "", "Decisions made.", ("policy", "result", "reason"))
CANDIDATES: Final = Instrument(
    "authz.candidate.verdicts",
    Shape.COUNTER,
    "",
    "What candidates of routes would have said.",
    ("policy", "enforced", "candidate"),
)
DURATION_NAME: Final = "authz_decision_duration_seconds"
DURATION_HELP: Final = "From a check's arrival to its answer."
IN_FLIGHT: Final = Instrument("authz.checks.in_flight", Shape.GAUGE, "", "Checks being worked on or waiting.")
TOKEN_CACHE: Final = Instrument(
    "authz.token_cache.lookups", Shape.COUNTER, "", "Look-ups of verified tokens.", ("outcome",)
)
TOKEN_CACHE_SIZE: Final = Instrument("authz.token_cache.entries", Shape.GAUGE, "", "Tokens remembered.")
KEYS_AGE: Final = Instrument(
    "authz.keys.age", Shape.GAUGE, "s", "Time since the issuer's keys were last known good.", ("issuer",)
)
KEYS_COUNT: Final = Instrument("authz.keys.usable", Shape.GAUGE, "", "Usable keys of the issuer.", ("issuer",))
KEYS_FAILURES: Final = Instrument(
    "authz.keys.failures", Shape.GAUGE, "", "Failed attempts in a row to get the issuer's keys.", ("issuer",)
)
KEYS_STATE: Final = Instrument(
    "authz.keys.state",
    Shape.GAUGE,
    "",
    "1 for what the issuer's keys are, and why the last attempt failed.",
    ("issuer", "state", "reason"),
)
BUNDLE_AGE: Final = Instrument(
    "authz.bundle.age", Shape.GAUGE, "s", "Time since the bundle was last known good.", ("trust_domain",)
)
BUNDLE_COUNT: Final = Instrument(
    "authz.bundle.authorities", Shape.GAUGE, "", "Usable X.509 authorities of the trust domain.", ("trust_domain",)
)
BUNDLE_FAILURES: Final = Instrument(
    "authz.bundle.failures", Shape.GAUGE, "", "Failed attempts in a row to get the bundle.", ("trust_domain",)
)
BUNDLE_STATE: Final = Instrument(
    "authz.bundle.state",
    Shape.GAUGE,
    "",
    "1 for what the bundle is, and why the last attempt failed.",
    ("trust_domain", "state", "reason"),
)
SVID_AGE: Final = Instrument(
    "authz.svid.age", Shape.GAUGE, "s", "Time since the Workload API last vouched for our certificate.", ("id",)
)
SVID_EXPIRY: Final = Instrument(
    "authz.svid.expires", Shape.GAUGE, "s", "Time until our certificate expires; negative once it has.", ("id",)
)
SVID_STATE: Final = Instrument(
    "authz.svid.state",
    Shape.GAUGE,
    "",
    "1 for what our certificate is, and why the last attempt failed.",
    ("id", "state", "reason"),
)
REVOCATIONS: Final = Instrument(
    "authz.revocations.entries", Shape.GAUGE, "", "Entries of the revocation list in force.", ("kind",)
)
REVOCATIONS_CAPACITY: Final = Instrument(
    "authz.revocations.capacity", Shape.GAUGE, "", "Entries that there is room for."
)
REVOCATIONS_AGE: Final = Instrument(
    "authz.revocations.age", Shape.GAUGE, "s", "Time since the store of the revocations last answered."
)
REVOCATIONS_STALE: Final = Instrument(
    "authz.revocations.stale",
    Shape.GAUGE,
    "",
    "1 while what is known is older than its bound or incomplete: strict issuers deny.",
)
REVOCATIONS_PENDING: Final = Instrument(
    "authz.revocations.pending", Shape.GAUGE, "", "Acts in force here that the store couldn't take yet."
)
REVOCATIONS_FULL: Final = Instrument(
    "authz.revocations.full", Shape.GAUGE, "", "1 while there is an entry that there is no room for."
)
REVOCATIONS_UNREADABLE: Final = Instrument(
    "authz.revocations.unreadable", Shape.GAUGE, "", "Records of the store that can't be read."
)
REVOCATIONS_GAPS: Final = Instrument(
    "authz.revocations.gaps", Shape.COUNTER, "", "How often the store had lost what it held before."
)
REVOCATION_ACTS: Final = Instrument(
    "authz.revocation.acts", Shape.COUNTER, "", "Acts of revocation asked for at this instance.", ("act", "result")
)
POLICY_INFO: Final = Instrument(
    "authz.policy.info", Shape.GAUGE, "", "1 for the policy revision in force.", ("revision",)
)
POLICY_LOADS: Final = Instrument("authz.policy.loads", Shape.COUNTER, "", "Loads of the policy directory.", ("result",))
POLICY_REFUSED: Final = Instrument(
    "authz.policy.refused", Shape.GAUGE, "", "1 while the directory as it is now isn't what is in force."
)
POLICY_FAULTS: Final = Instrument("authz.policy.faults", Shape.GAUGE, "", "Faults of the last load.")
POLICY_STATUS: Final = Instrument(
    "authz.policy.status", Shape.GAUGE, "", "1 for what of each policy is in force.", ("policy", "status")
)
AUDIT_DROPPED: Final = Instrument(
    "authz.audit.dropped", Shape.COUNTER, "", "Decisions that were not written to the audit trail.", ("cause",)
)
AUDIT_WAITING: Final = Instrument(
    "authz.audit.waiting", Shape.GAUGE, "", "Decisions waiting to be written to the audit trail."
)

INSTRUMENTS: Final = (
    DECISIONS,
    CANDIDATES,
    IN_FLIGHT,
    TOKEN_CACHE,
    TOKEN_CACHE_SIZE,
    KEYS_AGE,
    KEYS_COUNT,
    KEYS_FAILURES,
    KEYS_STATE,
    BUNDLE_AGE,
    BUNDLE_COUNT,
    BUNDLE_FAILURES,
    BUNDLE_STATE,
    SVID_AGE,
    SVID_EXPIRY,
    SVID_STATE,
    REVOCATIONS,
    REVOCATIONS_CAPACITY,
    REVOCATIONS_AGE,
    REVOCATIONS_STALE,
    REVOCATIONS_PENDING,
    REVOCATIONS_FULL,
    REVOCATIONS_UNREADABLE,
    REVOCATIONS_GAPS,
    REVOCATION_ACTS,
    POLICY_INFO,
    POLICY_LOADS,
    POLICY_REFUSED,
    POLICY_FAULTS,
    POLICY_STATUS,
    AUDIT_DROPPED,
    AUDIT_WAITING,
)
DURATION_BUCKETS: Final = (0.0001, 0.00025, 0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1.0, 5.0)
"""Seconds: a warm check takes a few hundred microseconds, Envoy's default timeout is 200 ms."""
