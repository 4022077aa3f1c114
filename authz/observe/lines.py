"""Lines of the audit trail: a JSON object each, of which empty fields are left out.

Owns: what a line says. Must not: write a credential, or show more of a request than `RequestView` does. Subjects are
written in clear (with their hash): who was let in is what the trail is for; claims are not.

Every check makes a line, so a decision's is put together from pieces: those that come again and again (an outcome, a
host, a user) are remembered ready for use, the others are escaped one by one. A dictionary given to `json` takes
several times as long; the tests hold that its bytes would be the same.
"""

from __future__ import annotations

import json
from functools import lru_cache
from json.encoder import encode_basestring_ascii as quoted
from typing import Final

from authz.model.decision import Decision, Denial, Shadow
from authz.model.principal import PrincipalKind, User, Via
from authz.model.reason import ALLOWED, Reason
from authz.model.record import DecisionRecord, RevocationRecord
from authz.model.spiffe import SpiffeId
from authz.observe.logs import timestamp
from authz.observe.redact import redact

Record = DecisionRecord | RevocationRecord

_KEPT: Final = 1024
"""Pieces of a kind that are remembered."""
_KEPT_CHARACTERS: Final = 256
"""Of what a peer or a token says, nothing longer is remembered: it would fill the memory."""


def encode(record: Record) -> bytes:
    """One line, without empty fields."""
    if isinstance(record, DecisionRecord):
        return _decision(record).encode("ascii")
    return line({name: value for name, value in _revocation(record).items() if value != ""})


def line(fields: dict[str, object]) -> bytes:
    """ASCII only, so that no terminal or shipper reads a control or a line separator out of it."""
    return json.dumps(fields, ensure_ascii=True, separators=(",", ":")).encode("ascii") + b"\n"


def _decision(record: DecisionRecord) -> str:
    decision, view = record.decision, record.view
    user, workload, candidate = decision.user, decision.workload, record.candidate
    return (
        f'{{"event":"decision"{_field("id", record.decision_id)},"time":"{timestamp(record.time)}"{_outcome(decision)}'
        f"{_asked(view.method, view.host)}{_field('path', redact(view.path))}"
        f',"grpc":{"true" if record.grpc else "false"},"transport":"{record.transport.value}"'
        f"{_field('source', record.source_address)}"
        f"{_destination(record.destination)}"
        f"{'' if user is None else _user(user)}"
        f"{'' if workload is None else _workload(workload.id, workload.via)}"
        f"{'' if candidate is None else _candidate(candidate, decision)}"
        f'{_field("revision", record.revision)},"duration_us":{round(record.duration * 1_000_000)}}}\n'
    )


def _field(name: str, text: str) -> str:
    return f',"{name}":{quoted(text)}' if text else ""


def _outcome(decision: Decision) -> str:
    if not isinstance(decision, Denial):
        return _permitted(decision.policy, decision.route)
    return _denied(decision.reason, decision.policy, decision.route, decision.detail, decision.guardrail)


@lru_cache(_KEPT)
def _permitted(policy: str, route: str) -> str:
    return f',"result":"allow","reason":"{ALLOWED}","status":200{_field("policy", policy)}{_field("route", route)}'


@lru_cache(_KEPT)
def _denied(reason: Reason, policy: str, route: str, detail: str, guardrail: str) -> str:
    """The detail is a text of ours."""
    return (
        f',"result":"deny","reason":"{reason.code}","status":{reason.status}'
        f"{_field('policy', policy)}{_field('route', route)}"
        f"{_field('detail', redact(detail))}{_field('guardrail', guardrail)}"
    )


@lru_cache(_KEPT)
def _asked(method: str, host: str) -> str:
    """A view's texts are short."""
    return _field("method", redact(method)) + _field("host", redact(host))


def _destination(principal: str) -> str:
    return _kept_destination(principal) if len(principal) <= _KEPT_CHARACTERS else _any_destination(principal)


def _any_destination(principal: str) -> str:
    return _field("destination", redact(principal))


_kept_destination: Final = lru_cache(_KEPT)(_any_destination)


def _user(user: User) -> str:
    client = user.client
    short = len(user.subject) <= _KEPT_CHARACTERS and (client is None or len(client) <= _KEPT_CHARACTERS)
    return (_kept_user if short else _any_user)(user.issuer, user.subject, user.subject_hash, user.kind, client)


def _any_user(issuer: str, subject: str, subject_hash: str, kind: PrincipalKind, client: str | None) -> str:
    """What is known of a user stands there even if it is empty."""
    the_client = "" if client is None else f',"client":{quoted(redact(client))}'
    return (
        f',"user":{{"issuer":{quoted(issuer)},"subject":{quoted(redact(subject))}'
        f',"subject_hash":{quoted(subject_hash)},"kind":"{kind.value}"'
        f"{the_client}}}"
    )


_kept_user: Final = lru_cache(_KEPT)(_any_user)


@lru_cache(_KEPT)
def _workload(name: SpiffeId, via: Via) -> str:
    """Verified ones are few, and a SPIFFE ID is bounded."""
    return f',"workload":{{"id":{quoted(str(name))},"via":"{via.value}"}}'


def _candidate(shadow: Shadow, decision: Decision) -> str:
    """What the route's candidate would have said, and whether that is the same."""
    agrees = "true" if shadow.agrees_with(decision) else "false"
    detail = _field("detail", redact(shadow.detail))
    return f',"candidate":{{"verdict":{quoted(shadow.verdict)},"agrees":{agrees}{detail}}}'


def _revocation(record: RevocationRecord) -> dict[str, object]:
    """A revoked `jti` or `sid` is no credential, so it is written in clear; the sentence is the operator's own."""
    return {
        "event": "revocation",
        "time": timestamp(record.time),
        "act": record.act,
        "result": record.result,
        "by": redact(record.by),
        "kind": record.kind,
        "issuer": record.issuer,
        "value": redact(record.value),
        "why": redact(record.why),
        "issued_before": timestamp(record.before) if record.before else "",
        "until": timestamp(record.until) if record.until else "",
        "error": record.error,
    }
