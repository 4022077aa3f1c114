"""Dynamic metadata on allow and deny, for Envoy's access log, rate limits and RBAC (policy language §7).

Owns the names and which value each has. What is absent is left out. Envoy files it under the filter's name.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

from authz.model.decision import Decision, Permit
from authz.model.reason import ALLOWED
from authz.model.request import Transport
from authz.wire.fields import field, tag

NAMES: Final = (
    "decision_id", "route", "policy", "policy_revision", "reason", "subject_hash", "workload", "transport",
)

# google.protobuf.Struct: fields=1 is a map (key=1, value=2) of Value, whose string_value is 3.
_ENTRY: Final = tag(1)
_VALUE: Final = tag(2)
_STRING: Final = tag(3)
_KEYS: Final = {name: field(tag(1), name.encode()) for name in NAMES}


def metadata(decision: Decision, *, decision_id: str, revision: str, transport: Transport) -> bytes:
    """The serialised `google.protobuf.Struct`."""
    entries = []
    for name, value in _entries(decision, decision_id, revision, transport):
        if value:
            text = field(_STRING, value.encode())
            entries.append(field(_ENTRY, _KEYS[name] + field(_VALUE, text)))
    return b"".join(entries)


def _entries(
    decision: Decision, decision_id: str, revision: str, transport: Transport
) -> Iterator[tuple[str, str]]:
    user, workload = decision.user, decision.workload
    yield "decision_id", decision_id
    yield "route", decision.route
    yield "policy", decision.policy
    yield "policy_revision", revision
    yield "reason", ALLOWED if isinstance(decision, Permit) else decision.reason.code
    yield "subject_hash", "" if user is None else user.subject_hash
    yield "workload", "" if workload is None else str(workload.id)
    yield "transport", transport.value
