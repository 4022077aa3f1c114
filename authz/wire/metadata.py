"""Dynamic metadata on allow and deny, for Envoy's access log, rate limits and RBAC (policy language §7).

Owns the names and which value each has. What is absent is left out. Envoy files it under the filter's name.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Final

from authz.model.decision import Decision, Permit
from authz.model.reason import ALLOWED
from authz.model.request import Transport
from authz.wire.fields import field, framed, tag

NAMES: Final = ("decision_id", "route", "policy", "policy_revision", "reason", "subject_hash", "workload", "transport")

# google.protobuf.Struct: fields=1 is a map (key=1, value=2) of Value, whose string_value is 3.
_ENTRY: Final = tag(1)
_VALUE: Final = tag(2)
_STRING: Final = tag(3)
_KEYS: Final = {name: field(tag(1), name.encode()) for name in NAMES}


def metadata(decision: Decision, *, decision_id: str, revision: str, transport: Transport) -> bytes:
    """The serialised `google.protobuf.Struct`."""
    user, workload = decision.user, decision.workload
    reason = ALLOWED if isinstance(decision, Permit) else decision.reason.code
    return (
        (_decision_id(decision_id) if decision_id else b"")
        + _ground(decision.route, decision.policy, revision, reason, transport)
        + _who("" if user is None else user.subject_hash, "" if workload is None else str(workload.id))
    )


@lru_cache(maxsize=4096)
def _ground(route: str, policy: str, revision: str, reason: str, transport: Transport) -> bytes:
    """What comes from policies and the mesh: there is little of it, and the bytes are always the same."""
    return b"".join(
        (
            _entry("route", route),
            _entry("policy", policy),
            _entry("policy_revision", revision),
            _entry("reason", reason),
            _entry("transport", transport.value),
        )
    )


@lru_cache(maxsize=4096)
def _who(subject_hash: str, workload: str) -> bytes:
    return _entry("subject_hash", subject_hash) + _entry("workload", workload)


def _entry(name: str, value: str) -> bytes:
    if not value:
        return b""
    text = field(_STRING, value.encode())
    return field(_ENTRY, _KEYS[name] + field(_VALUE, text))


_decision_id: Final = framed(lambda decision_id: _entry("decision_id", decision_id))
