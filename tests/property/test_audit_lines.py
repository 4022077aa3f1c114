"""Invariant: a decision's line is what `json` makes of its fields, whatever they hold.

The encoder puts lines together from remembered pieces; the dictionary here is what it must not differ from.
"""

from __future__ import annotations

import json
from dataclasses import replace

from hypothesis import given
from hypothesis import strategies as st

from authz.model.decision import Decision, Denial, Permit, Shadow
from authz.model.principal import PrincipalKind, User, Via, Workload
from authz.model.reason import ALLOWED, Reason
from authz.model.record import DecisionRecord
from authz.model.request import RequestView, Transport
from authz.model.spiffe import SpiffeId
from authz.observe.lines import encode
from authz.observe.logs import timestamp
from authz.observe.redact import redact
from tests.mint.records import alice

# Control characters, quotes, other scripts, lone surrogates; few words, so that the same pieces come again.
texts = st.one_of(
    st.sampled_from(
        ["", "orders", "/orders/42", "Bearer abcdef0123456789", "\x1b[31m", "\u2028", '"\\/', "ünïcode", "😀"]
    ),
    st.text(st.characters(), max_size=12),
    st.text(max_size=400).map(lambda text: text * 40),
)
segments = st.text("abcXYZ019._-", min_size=1, max_size=8).filter(lambda text: text not in (".", ".."))
workloads = st.builds(
    Workload,
    id=st.builds(SpiffeId, trust_domain=st.sampled_from(["shop.example", "x"]), path=st.tuples(segments, segments)),
    via=st.sampled_from(Via),
)
users = st.builds(
    lambda issuer, subject, digest, kind, client: replace(
        alice(subject), issuer=issuer, subject_hash=digest, kind=kind, client=client
    ),
    texts,
    texts,
    texts,
    st.sampled_from(PrincipalKind),
    st.none() | texts,
)
permits = st.builds(
    Permit,
    route=texts,
    policy=texts,
    alternative=st.just(0),
    set_headers=st.just(()),
    remove_headers=st.just(()),
    user=st.none() | users,
    workload=st.none() | workloads,
)
denials = st.builds(
    Denial,
    reason=st.sampled_from(Reason),
    route=texts,
    policy=texts,
    detail=texts,
    guardrail=texts,
    user=st.none() | users,
    workload=st.none() | workloads,
)
verdicts = st.sampled_from([ALLOWED, "error", *(reason.code for reason in Reason)]) | texts
records = st.builds(
    DecisionRecord,
    decision_id=texts,
    time=st.floats(min_value=0, max_value=4e9),
    duration=st.floats(min_value=0, max_value=60),
    decision=permits | denials,
    view=st.builds(RequestView, method=texts, host=texts, path=texts),
    transport=st.sampled_from(Transport),
    revision=texts,
    source_address=texts,
    destination=texts,
    grpc=st.booleans(),
    candidate=st.none() | st.builds(Shadow, verdict=verdicts, detail=texts),
)


@given(records)
def test_a_line_is_what_json_makes_of_its_fields(record: DecisionRecord) -> None:
    """Byte for byte, and again from what was remembered."""
    expected = (json.dumps(filled(record), separators=(",", ":")) + "\n").encode("ascii")

    assert encode(record) == expected
    assert encode(record) == expected


@given(records)
def test_a_line_is_one_json_object_in_one_line(record: DecisionRecord) -> None:
    """Nothing that a request, a token or a policy holds ends it early."""
    line = encode(record)

    assert (line.count(b"\n"), line.endswith(b"}\n"), line.isascii()) == (1, True, True)
    assert json.loads(line)["event"] == "decision"


def filled(record: DecisionRecord) -> dict[str, object]:
    """The fields in their order, without empty ones."""
    return {name: value for name, value in fields(record).items() if value not in ("", None)}


def fields(record: DecisionRecord) -> dict[str, object]:
    decision, view = record.decision, record.view
    denial = decision if isinstance(decision, Denial) else None
    workload = decision.workload
    return {
        "event": "decision",
        "id": record.decision_id,
        "time": timestamp(record.time),
        "result": "allow" if denial is None else "deny",
        "reason": ALLOWED if denial is None else denial.reason.code,
        "status": 200 if denial is None else denial.reason.status,
        "policy": decision.policy,
        "route": decision.route,
        "detail": "" if denial is None else redact(denial.detail),
        "guardrail": "" if denial is None else denial.guardrail,
        "method": redact(view.method),
        "host": redact(view.host),
        "path": redact(view.path),
        "grpc": record.grpc,
        "transport": record.transport.value,
        "source": record.source_address,
        "destination": redact(record.destination),
        "user": of_user(decision.user),
        "workload": None if workload is None else {"id": str(workload.id), "via": workload.via.value},
        "candidate": of_candidate(record.candidate, decision),
        "revision": record.revision,
        "duration_us": round(record.duration * 1_000_000),
    }


def of_user(user: User | None) -> dict[str, object] | None:
    if user is None:
        return None
    fields: dict[str, object] = {
        "issuer": user.issuer,
        "subject": redact(user.subject),
        "subject_hash": user.subject_hash,
        "kind": user.kind.value,
    }
    return fields if user.client is None else {**fields, "client": redact(user.client)}


def of_candidate(shadow: Shadow | None, decision: Decision) -> dict[str, object] | None:
    if shadow is None:
        return None
    fields: dict[str, object] = {"verdict": shadow.verdict, "agrees": shadow.agrees_with(decision)}
    return {**fields, "detail": redact(shadow.detail)} if shadow.detail else fields
