"""docs/operations.md and docs/metrics.md say what the service really writes."""

from __future__ import annotations

import json
import re
from functools import partial
from typing import Final

from authz.model.decision import Denial, Shadow
from authz.model.principal import PrincipalKind, User, Via, Workload
from authz.model.reason import Reason
from authz.model.record import DecisionRecord, RevocationRecord
from authz.model.request import RequestView, Transport
from authz.model.spiffe import SpiffeId
from authz.observe.lines import encode
from authz.observe.metrics import Metrics, Reading
from authz.observe.names import DECISIONS, INSTRUMENTS, Instrument
from tests.architecture import tree

_CELLS: Final = re.compile(r"^\| ((?:`\w+`(?:, )?)+) \|", re.MULTILINE)
_USER: Final = User(
    issuer="corp",
    issuer_url="https://idp.shop.example",
    subject="alice",
    kind=PrincipalKind.PERSON,
    client="web",
    scopes=None,
    groups=None,
    roles=None,
    acr=None,
    amr=None,
    auth_time=None,
    expires_at=0.0,
    audiences=frozenset({"shop-api"}),
    claims={},
    aliases={},
    subject_hash="0123",
)
_FULL: Final = DecisionRecord(
    decision_id="id",
    time=0.0,
    duration=0.001,
    decision=Denial(
        reason=Reason.GUARDRAIL_DENIED,
        route="orders.read",
        policy="orders",
        detail="denied",
        guardrail="quarantined",
        user=_USER,
        workload=Workload(id=SpiffeId.parse("spiffe://shop.example/a"), via=Via.MTLS),
    ),
    view=RequestView(method="GET", host="orders.shop.example", path="/orders/1"),
    transport=Transport.MTLS,
    revision="r1",
    source_address="127.0.0.1",
    destination="spiffe://shop.example/orders",
    candidate=Shadow(verdict="allowed"),
)


_FULL_ACT: Final = RevocationRecord(
    time=0.0,
    act="revoke",
    by="unix:root",
    result="here",
    kind="subject",
    issuer="corp",
    value="alice",
    why="left",
    before=1,
    until=2,
    error="TimeoutError",
)


def _one_reading(instrument: Instrument) -> list[Reading]:
    return [Reading(1, tuple("x" for _ in instrument.labels))]


def _documented(page: str, heading: str) -> set[str]:
    section = tree.text_of(page).partition(heading)[2].partition("\n## ")[0]
    return {name for cell in _CELLS.findall(section) for name in re.findall(r"`(\w+)`", cell)}


def test_each_field_of_the_audit_line_is_described() -> None:
    """The page's table holds the fields of a full line, and no other."""
    written = json.loads(encode(_FULL))

    assert _documented("docs/operations.md", "## Audit") == set(written)


def test_each_field_of_a_revocations_line_is_described() -> None:
    """The page's own table for acts of revocation, likewise."""
    assert _documented("docs/operations.md", "## Audit of revocations") == set(json.loads(encode(_FULL_ACT)))


def test_the_fields_of_the_user_and_the_workload_are_described() -> None:
    """The inner fields are named in the rows of `user` and `workload`."""
    written = json.loads(encode(_FULL))
    rows = {
        line.split(" | ")[0].strip("| `"): line
        for line in tree.text_of("docs/operations.md").splitlines()
        if "|" in line
    }

    for name in ("user", "workload"):
        assert set(re.findall(r"`(\w+)`", rows[name])) == {name, *written[name]}


def test_each_metric_of_the_page_is_shown_under_its_name() -> None:
    """The names of docs/metrics.md are those of a real scrape."""
    metrics = Metrics()
    metrics.record(_FULL)
    for instrument in INSTRUMENTS:
        if instrument is not DECISIONS:
            metrics.observe(instrument, partial(_one_reading, instrument))

    text = metrics.exposition()[1].decode()
    metrics.close()

    shown = set(re.findall(r"^# TYPE (authz_\w+)", text, re.MULTILINE))
    assert shown == _documented("docs/metrics.md", "# Metrics")


def test_each_metric_that_the_operations_page_names_exists() -> None:
    """Alerts that the page suggests are about metrics that there are."""
    named = set(re.findall(r"`(authz_\w+)", tree.text_of("docs/operations.md")))

    assert named - _documented("docs/metrics.md", "# Metrics") == set()
